"""An answer that is not known yet."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it holds answers, whatever they are
    from zerocopy_lab.protocol.framing import Answer


class Later:
    """An answer that is not known yet: of a fetch that waits for data, of a member that waits for
    its group.

    Whoever comes to know the answer completes it, in whatever thread that is, and the network,
    which listens, sends it. An answer may hold files open, so only one side ever holds it: it stays
    here no longer than until the listener has it.

    Kafka's counterpart is the purgatory (`DelayedOperation`), which also polls and expires. Here
    those who wait bring their own timer.
    """

    __slots__ = ("__weakref__", "_answer", "_listener", "_lock", "_on_abandon", "done")

    def __init__(self, on_abandon: Callable[[], object] | None = None) -> None:
        """`on_abandon` is called when the client hangs up before there is an answer."""
        self._lock = Lock()
        self._on_abandon = on_abandon
        self._listener: Callable[[Answer], object] | None = None
        self._answer: Answer | None = None
        self.done = False

    def complete(self, answer: Answer) -> bool:
        """Answer, once. Whoever comes second (bytes against timeout) gets False and changes
        nothing.

        The listener runs in the calling thread: call this without holding a lock that it might
        want.
        """
        with self._lock:
            if self.done:
                return False
            self.done, self._on_abandon = True, None
            listener, self._listener = self._listener, None
            if listener is None:
                self._answer = answer
        if listener is not None:
            listener(answer)
        return True

    def on_complete(self, listener: Callable[[Answer], object]) -> None:
        """Have `listener(answer)` called when there is one: now, if there is. Only one can listen,
        from any thread.
        """
        with self._lock:
            assert self._listener is None, "a second listener would take the first one's answer"
            answer, self._answer = self._answer, None
            if not self.done:
                self._listener = listener
        if answer is not None:
            listener(answer)

    def follow(self, other: Later) -> None:
        """Be answered as `other` is, and abandon it when this is abandoned."""
        with self._lock:
            abandoned = self.done
            if not abandoned:
                self._on_abandon = other.abandon
        if abandoned:
            other.abandon()
        else:
            other.on_complete(self.complete)

    def abandon(self) -> None:
        """The client has hung up, nobody will read the answer: let the one who prepares it stop."""
        with self._lock:
            on_abandon, self._on_abandon = self._on_abandon, None
            self.done, self._listener, self._answer = True, None, None
        if on_abandon is not None:
            on_abandon()
