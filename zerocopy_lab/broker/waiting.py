"""Fetches that wait for data: who waits for which partition.

A consumer at the end of the log asks "give me at least `min_bytes`, I wait up to `max_wait`". An
append to one of its partitions looks whether there is enough now, a timer gives up in the end.
Nobody polls.

Kafka's counterpart is the fetch purgatory (`DelayedFetch`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from threading import Lock

from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.broker.waiting_fetch import PartitionKey, WaitingFetch
from zerocopy_lab.protocol.framing import Now
from zerocopy_lab.protocol.later import Later

#: To look at one more fetch takes 20 us or so, and whoever appends has to wait for it: beyond so
#: many it is done elsewhere, once for all appends until then.
MANY_WAITERS = 200


class WaitingFetches:
    """Safe to use from every network thread."""

    def __init__(self, timers: Timers, elsewhere: Callable[[Callable[[], None]], object]) -> None:
        """`elsewhere` has a call made soon, in a thread that may be busy for long."""
        self._timers = timers
        self._elsewhere = elsewhere
        self._lock = Lock()
        self._by_partition: dict[PartitionKey, set[WaitingFetch]] = defaultdict(set)
        self._to_be_looked_at: set[PartitionKey] = set()

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
        fetch = WaitingFetch(partitions, if_enough, whatever, self._elsewhere, self.forget)
        with self._lock:
            for partition in partitions:
                self._by_partition[partition].add(fetch)
        return fetch.begin(self._timers, max_wait_s)

    def appended(self, partition: PartitionKey) -> None:
        """There is more in `partition` than before, or it begins elsewhere."""
        waiters = self._by_partition.get(partition)
        if waiters:
            if len(waiters) <= MANY_WAITERS:
                self._tell(partition)
            elif partition not in self._to_be_looked_at:
                self._to_be_looked_at.add(partition)
                self._elsewhere(partial(self._tell, partition))

    def _tell(self, partition: PartitionKey) -> None:
        self._to_be_looked_at.discard(partition)  # first: an append from now on may be missed
        with self._lock:
            candidates = list(self._by_partition.get(partition, ()))
        for fetch in candidates:
            fetch.look_soon()

    def topic_is_gone(self, topic: str) -> None:
        """Nobody will append to its partitions any more: let those who wait hear so."""
        with self._lock:
            partitions = [key for key in self._by_partition if key[0] == topic]
        for partition in partitions:
            self.appended(partition)

    def forget(self, fetch: WaitingFetch) -> None:
        """It waits no longer."""
        with self._lock:
            for partition in fetch.partitions:
                waiters = self._by_partition.get(partition)
                if waiters is not None:
                    waiters.discard(fetch)
                    if not waiters:
                        del self._by_partition[partition]
