"""Fetches that wait for data.

A consumer at the end of the log asks "give me at least `min_bytes`, I wait up to `max_wait`". An
append to one of its partitions looks whether there is enough now, a timer gives up in the end.
Nobody polls.

Kafka's counterpart is the fetch purgatory (`DelayedFetch`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from threading import Lock

from zerocopy_lab.broker.timers import TimerHandle, Timers
from zerocopy_lab.protocol.framing import Now
from zerocopy_lab.protocol.later import Later

PartitionKey = tuple[str, int]

#: To look again at one more partition takes microseconds, and whoever appends to one of them has to
#: wait for it: beyond so many it is done elsewhere, once for all appends until then.
MANY_PARTITIONS = 500


class WaitingFetches:
    """Who waits for which partition. Safe to use from every network thread."""

    def __init__(self, timers: Timers, elsewhere: Callable[[Callable[[], None]], object]) -> None:
        """`elsewhere` has a call made soon, in a thread that may be busy for long."""
        self._timers = timers
        self._elsewhere = elsewhere
        self._lock = Lock()
        self._by_partition: dict[PartitionKey, set[_WaitingFetch]] = defaultdict(set)

    def __len__(self) -> int:
        """How many fetches wait."""
        with self._lock:
            return len({waiter for waiters in self._by_partition.values() for waiter in waiters})

    def wait(
        self,
        partitions: Collection[PartitionKey],
        max_wait_s: float,
        if_enough: Callable[[], Now | None],
        whatever: Callable[[], Now],
    ) -> Later:
        """The answer to come: `if_enough()` at the append that makes it so, else `whatever()` after
        `max_wait_s`.
        """
        fetch = _WaitingFetch(self, partitions, if_enough)
        with self._lock:
            for partition in partitions:
                self._by_partition[partition].add(fetch)
        fetch.timer = self._timers.call_later(max_wait_s, lambda: self._give_up(fetch, whatever))
        # Another thread may have appended after the caller looked and before we were on the list;
        # or it has answered before there was a timer to cancel.
        fetch.look()
        if fetch.later.done:
            fetch.timer.cancel()
        return fetch.later

    def appended(self, partition: PartitionKey) -> None:
        """There is more in `partition` than before, or it begins elsewhere."""
        waiters = self._by_partition.get(partition)
        if waiters:
            with self._lock:
                candidates = list(waiters)
            for fetch in candidates:
                if len(fetch.partitions) <= MANY_PARTITIONS:
                    fetch.look()
                elif not fetch.will_look:
                    fetch.will_look = True
                    self._elsewhere(fetch.look)

    def topic_is_gone(self, topic: str) -> None:
        """Nobody will append to its partitions any more: let those who wait hear so."""
        with self._lock:
            partitions = [key for key in self._by_partition if key[0] == topic]
        for partition in partitions:
            self.appended(partition)

    def _give_up(self, fetch: _WaitingFetch, whatever: Callable[[], Now]) -> None:
        """Its time is up."""
        if len(fetch.partitions) <= MANY_PARTITIONS:
            fetch.answer(whatever)
        else:
            self._elsewhere(lambda: fetch.answer(whatever))

    def forget(self, fetch: _WaitingFetch) -> None:
        """It waits no longer."""
        with self._lock:
            for partition in fetch.partitions:
                waiters = self._by_partition.get(partition)
                if waiters is not None:
                    waiters.discard(fetch)
                    if not waiters:
                        del self._by_partition[partition]


class _WaitingFetch:
    """One fetch that waits. It never holds what it found, nor the logs where it looks: a file that
    is deleted meanwhile is gone.
    """

    def __init__(
        self,
        waiting: WaitingFetches,
        partitions: Collection[PartitionKey],
        if_enough: Callable[[], Now | None],
    ) -> None:
        self.partitions = partitions
        self.later = Later(on_abandon=self.leave)
        self.timer: TimerHandle | None = None
        self.will_look = False
        self._waiting = waiting
        self._if_enough = if_enough

    def look(self) -> None:
        """Answer if there is enough."""
        self.will_look = False  # first: an append from now on may be one that this look misses
        self.answer(self._if_enough)

    def answer(self, read: Callable[[], Now | None]) -> None:
        """Hand over what `read` finds, unless that is nothing or somebody was faster."""
        if not self.later.done:
            found = read()
            if found is not None and self.later.complete(found):
                self.leave()

    def leave(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self._waiting.forget(self)
