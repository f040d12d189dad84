"""A bound on the descriptors that all segments of a broker hold together.

A segment opens its files when somebody reads or writes, and keeps them open: opening costs a
system call each, and a process may have only so many (`ulimit -n`, often 1024, which the
connections need too). So the segments are registered here, and when there are too many the ones
that nobody has used for longest let go (the "clock" rule: whoever was used since the hand last
came by is spared once). Idle partitions let go anyway, at every housekeeping round.

Letting go never disturbs anybody: a reader or a slice in flight holds the `OpenFile` itself.

Kafka instead keeps every segment of every partition open, and asks for `ulimit -n 100000`.
"""

from __future__ import annotations

import resource
import threading
from collections import OrderedDict
from typing import Protocol


class Closable(Protocol):
    """Something that holds descriptors and can do without."""

    used: bool  # set by its owner at every use, cleared here

    def open_count(self) -> int:
        """How many descriptors it holds."""

    def let_go(self) -> None:
        """Drop the descriptors; the next use opens them again. Must not take a lock."""

    def rest(self) -> None:
        """Let go, and drop whatever else can be had again."""


class OpenFiles:
    """Who holds descriptors, the longest-serving first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._holders: OrderedDict[int, Closable] = OrderedDict()
        self._lock = threading.Lock()

    def count(self) -> int:
        """How many descriptors are held now (slices in flight not counted)."""
        with self._lock:
            return sum(holder.open_count() for holder in self._holders.values())

    def opened(self, holder: Closable) -> None:
        """To be called whenever a holder has opened a file. Makes others let go when there are too
        many.
        """
        with self._lock:
            self._holders.setdefault(id(holder), holder)
            # A holder has at most two descriptors; to count exactly would mean to walk over all.
            while len(self._holders) * 2 > self.limit and len(self._holders) > 1:
                oldest_id, oldest = self._holders.popitem(last=False)
                if oldest is holder or oldest.used:
                    oldest.used = oldest is holder
                    self._holders[oldest_id] = oldest
                else:
                    oldest.let_go()

    def closed(self, holder: Closable) -> None:
        """To be called when a holder has let go by itself."""
        with self._lock:
            self._holders.pop(id(holder), None)

    def close_idle(self) -> None:
        """Make everybody let go who has not been used since the last call."""
        with self._lock:
            idle = {key: holder for key, holder in self._holders.items() if not holder.used}
            for key, holder in self._holders.items():
                holder.used = False
                if key in idle:
                    holder.let_go()
            for key in idle:
                del self._holders[key]
        for holder in idle.values():  # without the lock: a holder may be opening a file just now
            holder.rest()


def share_of_descriptors() -> int:
    """A quarter of what the process may open; the rest is for connections and slices in flight."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (65_536 if allowed == resource.RLIM_INFINITY else min(allowed, 65_536)) // 4
