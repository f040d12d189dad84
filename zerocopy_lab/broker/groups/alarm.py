"""The lock of the group coordinator, and what has to respect it: answers and alarms.

All groups share one lock. An answer is sent only after it was let go, because sending may run the
next request of the same connection, which may want the lock. An alarm takes the lock before it
acts, and looks again whether it was cancelled meanwhile: the timers' thread may have come first and
have had to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from zerocopy_lab.broker.timers import Timers


class CoordinatorLock:
    """A lock with a list of things to be said once it is free."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: list[Callable[[], object]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; afterwards send the answers, whatever happened."""
        self._lock.acquire()
        try:
            yield
        finally:
            answers, self._answers = self._answers, []
            self._lock.release()
            for answer in answers:
                answer()

    def afterwards(self, answer: Callable[[], object]) -> None:
        """Have `answer()` called when the lock is free. Only for its holder."""
        assert self._lock.locked(), "nobody holds the lock, so nobody would send this"
        self._answers.append(answer)


class Alarm:
    """Something that happens under the lock after `delay_s` seconds, unless cancelled under the
    lock.
    """

    __slots__ = ("_action", "_handle", "_lock")

    def __init__(
        self, timers: Timers, lock: CoordinatorLock, delay_s: float, action: Callable[[], None]
    ) -> None:
        self._lock = lock
        self._action: Callable[[], None] | None = action
        self._handle = timers.call_later(delay_s, self._ring)

    def cancel(self) -> None:
        """Never ring. Only for the holder of the lock."""
        self._action = None
        self._handle.cancel()

    def _ring(self) -> None:
        with self._lock.held():
            action, self._action = self._action, None
            if action is not None:
                action()
