"""Something to be done later: the end of a long poll, of a member's session, of a rebalance.

`TimerThread` is the broker's: one thread that sleeps until the earliest deadline. `ManualTimers` is
for tests, where time passes only when the test says so. Both keep a heap of deadlines, as asyncio
does.

Left out: Kafka's hierarchical timing wheel (`TimingWheel.scala`), which makes a million timers
cheap. The heap costs O(log n) per timer, and this broker has one timer per group member and waiting
fetch.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable
from itertools import count
from threading import Condition, Thread
from typing import Protocol

_LOGGER = logging.getLogger(__name__)

#: Cancelled timers stay in the heap until their turn; when there are this many, and most of the
#: heap is such, it is cleaned.
_CANCELLED_ALLOWED = 100


class TimerHandle:
    """One thing to be done at `deadline_s`."""

    __slots__ = ("_queue", "callback", "deadline_s")

    def __init__(self, queue: _TimerQueue, deadline_s: float, callback: Callable[[], None]) -> None:
        self._queue = queue
        self.deadline_s = deadline_s
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Not to be done any more. Too late is no error, but the callback may then be running in
        the timers' thread.
        """
        if self.callback is not None:
            self.callback = None
            self._queue.forget_one()


class Timers(Protocol):
    """What handlers see of time."""

    def now(self) -> float:
        """Seconds on a clock that never jumps."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Have `callback()` called once, `delay_s` seconds from now. It must be quick: all timers
        share a thread.
        """
        ...


class _TimerQueue:
    """Deadlines in order; among equals the first that came. Not thread-safe."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimerHandle]] = []
        self._order = count()
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, deadline_s: float, callback: Callable[[], None]) -> TimerHandle:
        handle = TimerHandle(self, deadline_s, callback)
        if self._cancelled > max(_CANCELLED_ALLOWED, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
        heapq.heappush(self._heap, (deadline_s, next(self._order), handle))
        return handle

    def forget_one(self) -> None:
        # Not exact when threads race or a handle has left the heap already: it only decides when to
        # clean up.
        self._cancelled += 1

    def next_deadline_s(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_s: float) -> Callable[[], None] | None:
        """The callback of the earliest timer that is due, or None."""
        while self._heap and self._heap[0][0] <= now_s:
            _, _, handle = heapq.heappop(self._heap)
            callback, handle.callback = handle.callback, None
            if callback is not None:
                return callback
            self._cancelled = max(0, self._cancelled - 1)
        return None


class TimerThread:
    """Timers that run by themselves, in a daemon thread, until `close()`."""

    def __init__(self) -> None:
        self._queue = _TimerQueue()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Have `callback()` called in the timers' thread, `delay_s` seconds from now."""
        with self._changed:
            earliest_s = self._queue.next_deadline_s()
            handle = self._queue.add(self.now() + delay_s, callback)
            if earliest_s is None or handle.deadline_s < earliest_s:
                self._changed.notify()
        return handle

    def close(self) -> None:
        """End the thread; what was still to be done is not done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (callback := self._wait_for_next()) is not None:
            try:
                callback()
            except Exception:
                _LOGGER.exception("a timer's callback failed; the other timers go on")
            del callback  # what it holds goes now, not with the next one

    def _wait_for_next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if (callback := self._queue.pop_due(self.now())) is not None:
                    return callback
                deadline_s = self._queue.next_deadline_s()
                self._changed.wait(None if deadline_s is None else deadline_s - self.now())
        return None


class ManualTimers:
    """Timers for tests: `advance()` is the only thing that makes time pass."""

    def __init__(self) -> None:
        self._queue = _TimerQueue()
        self._now_s = 0.0

    def now(self) -> float:
        """Seconds that were advanced so far."""
        return self._now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> TimerHandle:
        """Have `callback()` called by the `advance()` that passes this moment."""
        return self._queue.add(self._now_s + delay_s, callback)

    def advance(self, seconds: float) -> None:
        """Let time pass, calling what is due in order and at its own moment, timers set on the way
        included.
        """
        end_s = self._now_s + seconds
        while (deadline_s := self._queue.next_deadline_s()) is not None and deadline_s <= end_s:
            self._now_s = max(self._now_s, deadline_s)
            if (callback := self._queue.pop_due(deadline_s)) is not None:
                callback()
        self._now_s = end_s
