"""A response that is not known yet.

Some requests wait: a Fetch for bytes, a JoinGroup for the other members. Their handler answers with
a Deferred at once and goes on to the next request; whoever later knows the value completes it, from
whatever thread that is (another connection's request, a timer), and the network sends it.

Kafka's counterpart is the purgatory (`DelayedOperation`), which also polls and expires. Here those
who wait bring their own timer, so this can stay as small as a promise with one listener.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Deferred(Generic[T]):
    """A value to come, and the one who waits for it."""

    __slots__ = ("_callback", "_done", "_lock", "_on_abandon", "_value")

    def __init__(self, on_abandon: Callable[[], None] | None = None) -> None:
        """`on_abandon` is called when the client hangs up before the value is known."""
        self._on_abandon = on_abandon
        self._lock = Lock()
        self._done = False
        self._value: T | None = None
        self._callback: Callable[[T], object] | None = None

    @property
    def done(self) -> bool:
        """Whether the value is known."""
        return self._done

    def complete(self, value: T) -> bool:
        """Set the value, once. Whoever comes second (bytes against timeout) gets False and changes
        nothing.

        The listener runs in the calling thread: call this without holding a lock that it might
        want.
        """
        with self._lock:
            if self._done:
                return False
            self._done = True
            self._value = value
            callback = self._callback
        if callback is not None:
            callback(value)
        return True

    def on_complete(self, callback: Callable[[T], object]) -> None:
        """Have `callback(value)` called when the value is known: now, if it is. There is one
        listener, the network.
        """
        with self._lock:
            assert self._callback is None, "a second listener would take the first one's answer"
            self._callback = callback
            if not self._done:
                return
        callback(self._value)  # type: ignore[arg-type]  # done, so this is a T

    def abandon(self) -> None:
        """Nobody will read the value any more: let the one who prepares it stop."""
        with self._lock:
            if self._done:
                return
            self._done = True
            self._callback = None
        if self._on_abandon is not None:
            self._on_abandon()
