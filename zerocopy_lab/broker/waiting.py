"""Fetches that wait for data.

A consumer at the end of the log asks "give me at least `min_bytes`, I wait up to `max_wait`". Its
answer is a Deferred; an append to one of its partitions looks whether there is enough now, a timer
gives up in the end. Nobody polls.

Kafka's counterpart is the fetch purgatory (`DelayedFetch`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from threading import Lock

from zerocopy_lab.broker.deferred import Deferred
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.protocol.framing import Pieces

PartitionKey = tuple[str, int]


class WaitingFetches:
    """Who waits for which partition. Safe to use from every network thread."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._lock = Lock()
        self._by_partition: dict[PartitionKey, set[_Waiter]] = defaultdict(set)

    def __len__(self) -> int:
        """How many fetches wait."""
        with self._lock:
            return len({waiter for waiters in self._by_partition.values() for waiter in waiters})

    def wait(
        self,
        partitions: Collection[PartitionKey],
        max_wait_s: float,
        if_enough: Callable[[], Pieces | None],
        whatever: Callable[[], Pieces],
    ) -> Deferred[Pieces]:
        """The answer to come: `if_enough()` at the append that makes it so, else `whatever()` after
        `max_wait_s`.
        """
        waiter = _Waiter(self, partitions, if_enough)
        with self._lock:
            for partition in partitions:
                self._by_partition[partition].add(waiter)
        timer = self._timers.call_later(max_wait_s, lambda: waiter.answer(whatever()))
        waiter.cancel_timer = timer.cancel
        # Another thread may have appended after the caller looked and before we were on the list.
        waiter.look_again()
        return waiter.deferred

    def appended(self, partition: PartitionKey) -> None:
        """There is more in `partition` than before."""
        waiters = self._by_partition.get(partition)
        if waiters:
            with self._lock:
                candidates = list(waiters)
            for waiter in candidates:
                waiter.look_again()

    def forget(self, waiter: _Waiter) -> None:
        """It waits no longer."""
        with self._lock:
            for partition in waiter.partitions:
                waiters = self._by_partition.get(partition)
                if waiters is not None:
                    waiters.discard(waiter)
                    if not waiters:
                        del self._by_partition[partition]


class _Waiter:
    """One fetch that waits."""

    def __init__(
        self,
        waiting: WaitingFetches,
        partitions: Collection[PartitionKey],
        if_enough: Callable[[], Pieces | None],
    ) -> None:
        self.partitions = partitions
        self.deferred: Deferred[Pieces] = Deferred(on_abandon=self.leave)
        self.cancel_timer: Callable[[], None] = lambda: None
        self._waiting = waiting
        self._if_enough = if_enough

    def look_again(self) -> None:
        if not self.deferred.done:
            pieces = self._if_enough()
            if pieces is not None:
                self.answer(pieces)

    def answer(self, pieces: Pieces) -> None:
        """Hand the answer over, unless somebody was faster."""
        if self.deferred.complete(pieces):
            self.leave()

    def leave(self) -> None:
        self.cancel_timer()
        self._waiting.forget(self)
