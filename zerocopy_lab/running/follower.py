"""A follower: a thread that keeps a copy of a partition's log, as a replica elsewhere would.

    leader --Fetch, as any consumer's--> bytes --as they came--> DIR/flights-0/0000....log

It begins where its file ends: what is damaged there is cut, and the next offset follows from the
last good batch. When the leader goes away it tries again until the leader is back. What a round
does with the bytes is a function, ours or a learner's (part `follower`), and so is what counts as
good (part `recovery`).

Left out compared with Kafka: the fetch says that it comes from a consumer, so the leader does not
count us among its in-sync replicas; leader epochs, by which a log that has parted from its leader's
is cut back; segments (a copy is one file).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.log.file_names import LOG_SUFFIX, TopicPartition, segment_file
from zerocopy_lab.records.batch import iterate_headers

_LONGEST_WAIT_MS = 100
_NEXT_TRY_S = 0.05
_OFFSET_OUT_OF_RANGE = 1


class FollowerStopped(RuntimeError):
    """It cannot go on, or was not quick enough; the message says why."""


class Follower:
    """Follows partition 0 of a topic while its `with` block lasts; `path` is the copy.

    `follow(fetch, log, next_offset)` is one round, `recover(log, next_offset)` says how many bytes
    of the copy are good.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        data_dir: Path,
        follow: Callable[[Callable[[int], bytes], IO[bytes], int], int],
        recover: Callable[[memoryview, int], int],
    ) -> None:
        host, _, port = bootstrap.rpartition(":")
        self._leader = host, int(port)
        self._topic, self._follow, self._recover = topic, follow, recover
        self.path = data_dir / str(TopicPartition(topic, 0)) / segment_file(0, LOG_SUFFIX)
        self.next_offset = 0
        """The end of the copy: where the next round begins."""
        self.problem = ""
        self._stopping = threading.Event()
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"follower of {topic}", daemon=True)

    def reach(self, offset: int, timeout_s: float = 30) -> None:
        """Waits until the copy ends at this offset, or behind it. Raises FollowerStopped."""
        with self._moved:
            done = self._moved.wait_for(
                lambda: self.next_offset >= offset or bool(self.problem), timeout_s
            )
        if self.problem:
            raise FollowerStopped(self.problem)
        if not done:
            raise FollowerStopped(f"after {timeout_s:g} s the copy ends at {self.next_offset}")

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._log = self.path.open("ab", buffering=0)
        self._begin_where_the_copy_ends()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._log.close()

    def _begin_where_the_copy_ends(self) -> None:
        there = memoryview(self.path.read_bytes())
        good = there[: self._recover(there, 0)]
        self._log.truncate(len(good))
        for _, header in iterate_headers(good):
            self.next_offset = header.last_offset + 1

    def _run(self) -> None:
        while not self._stopping.is_set() and not self.problem:
            try:
                with Wire(*self._leader, client_id="follower") as wire:
                    while not self._stopping.is_set():
                        self._move_to(
                            self._follow(lambda o: self._ask(wire, o), self._log, self.next_offset)
                        )
            except OSError:  # the leader is away, or does not serve: it may come back
                self._stopping.wait(_NEXT_TRY_S)
            except Exception as error:  # also whatever a learner's function raises
                self._stop(f"{type(error).__name__}: {error}")

    def _ask(self, wire: Wire, offset: int) -> bytes:
        answer = fetch(wire, self._topic, 0, offset, max_wait_ms=_LONGEST_WAIT_MS)
        if answer.error_code == _OFFSET_OUT_OF_RANGE:
            raise FollowerStopped(
                f"the leader's log has no offset {offset}: the copy has more than it"
            )
        if answer.error_code:
            raise ConnectionError(f"the leader answered with error {answer.error_code}")
        return answer.records

    def _move_to(self, offset: int) -> None:
        with self._moved:
            self.next_offset = offset
            self._moved.notify_all()

    def _stop(self, why: str) -> None:
        with self._moved:
            self.problem = why
            self._moved.notify_all()
