"""Errors that file operations can end in, and which of them pass by themselves.

A full disk, a used-up descriptor table or memory, an interrupting signal: when they are over, all
must go on as if nothing had been, without a restart. What is called a failure of the device, and
any failed flush (fsync(2) may have dropped what it could not write), may take a log directory
offline until the broker starts again.
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ci.torture.ledger import Wrong
from ci.torture.plan import Action, Call, Plan
from ci.torture.questions import Refused, read_all
from zerocopy_lab.client.wire import Wire

_LASTING = 1 << 40  # every call, until the plan is taken back
_NAMES = {
    Call.OPEN: "open",
    Call.WRITE: "write",
    Call.SYNC: "fsync",
    Call.TRUNCATE: "ftruncate",
    Call.RENAME: "rename",
    Call.REMOVE: "unlink",
    Call.MAKE: "create",
    Call.SENDFILE: "sendfile",
}
_FAILING = {
    errno.ENOSPC: [Call.WRITE, Call.MAKE, Call.RENAME, Call.SYNC],
    errno.EDQUOT: [Call.WRITE, Call.MAKE, Call.SYNC],
    errno.EIO: [
        Call.WRITE,
        Call.SYNC,
        Call.TRUNCATE,
        Call.RENAME,
        Call.OPEN,
        Call.SENDFILE,
        Call.REMOVE,
        Call.MAKE,
    ],
    errno.EINTR: [Call.WRITE, Call.SYNC, Call.TRUNCATE, Call.RENAME, Call.OPEN, Call.SENDFILE],
    errno.EMFILE: [Call.OPEN, Call.MAKE],
    errno.ENFILE: [Call.OPEN, Call.MAKE],
    errno.ENOMEM: [Call.OPEN, Call.WRITE, Call.RENAME, Call.MAKE, Call.REMOVE, Call.SENDFILE],
}


class Fault(NamedTuple):
    """One way in which a call does not do what it was asked for."""

    call: Call
    action: Action
    error: int
    times: int
    first: int

    @property
    def name(self) -> str:
        """As the figures call it."""
        what = "half done" if self.action is Action.DO_HALF else errno.errorcode[self.error]
        return f"{_NAMES[self.call]}: {what}"

    @property
    def passes(self) -> bool:
        """Whether nothing of it may be left when it is over."""
        return self.error != errno.EIO and (self.call is not Call.SYNC or self.error == errno.EINTR)

    def arm(self, plan: Plan) -> None:
        """Let it happen from now on."""
        plan.arm(self.call, self.action, self.first, times=self.times, error=self.error)

    def __str__(self) -> str:
        last = "on" if self.times == _LASTING else f"to {self.first + self.times - 1}"
        why = os.strerror(self.error) if self.error else "half of the bytes"
        return f"{self.name} ({why}), calls {self.first} {last}"


def choose(chance: random.Random, *, starting: bool) -> Fault:
    """Any of them. At a start there is no signal and no sendfile(2) to be interrupted."""
    if chance.random() < 0.15:
        call = Call.WRITE if starting else chance.choice([Call.WRITE, Call.SENDFILE])
        return Fault(call, Action.DO_HALF, 0, chance.choice([1, 3]), chance.randint(1, 30))
    error = chance.choice(list(_FAILING))
    call = chance.choice(_FAILING[error])
    often = [1, 1, 2] if error == errno.EINTR else [1, 1, 2, _LASTING]
    furthest = 5 if call in (Call.RENAME, Call.TRUNCATE, Call.REMOVE, Call.MAKE) else 30
    return Fault(call, Action.FAIL, error, chance.choice(often), chance.randint(1, furthest))


class Reader:
    """Somebody who reads all the while, so that sendfile(2) has something to do: whatever fails,
    what comes is whole, or an error, or the end of the connection.
    """

    def __init__(self, port: int, topics: Sequence[str]) -> None:
        self._port, self._topics = port, topics
        self._stop = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Until it shall stop, or the broker is gone."""
        try:
            while not self._stop.is_set():
                self._read()
        except ConnectionRefusedError:
            pass  # the broker is gone
        except BaseException as error:
            self.failure = error

    def _read(self) -> None:
        with Wire("127.0.0.1", self._port) as wire:
            try:
                while not self._stop.is_set():
                    for topic in self._topics:
                        self._read_topic(wire, topic)
            except ConnectionRefusedError:
                raise
            except ConnectionError:
                pass  # an answer that could not be finished

    def _read_topic(self, wire: Wire, topic: str) -> None:
        try:
            records, log_start, _ = read_all(wire, topic)
        except Refused:
            return
        offsets = [record.offset for record in records if record.offset >= log_start]
        if offsets != sorted(set(offsets)):
            raise Wrong(f"{topic}: a reader got offsets that go back")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Reads until the block ends. Raises what it found wrong."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
        if self.failure is not None:
            raise self.failure
