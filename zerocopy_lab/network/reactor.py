"""The event loop of one network thread.

It waits until a socket is ready, a timer is due or another thread has left a call, and then runs callbacks, one at a time.
Whatever blocks in a callback blocks every connection of this thread. That is not a flaw of this code: a cold page under
sendfile stalls Kafka's own network threads in just this way (KAFKA-7504), and lab 06 shows it.
"""

from __future__ import annotations

import heapq
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count

log = logging.getLogger(__name__)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

#: Called with the events (READ, WRITE or both) for which its socket is ready.
OnReady = Callable[[int], None]


class Timer:
    """A call in the future that can be taken back."""

    __slots__ = ("callback", "due_s")

    def __init__(self, due_s: float, callback: Callable[[], None]) -> None:
        self.due_s = due_s
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """The call will not be made. Legal at any time, from any thread."""
        self.callback = None


class Reactor:
    """Run `run()` in the thread that shall own the sockets; `call_soon`, `call_later` and `stop` work from any thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._soon: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._ticket = count()  # orders timers that are due at the same instant
        self._thread_id = 0
        self._stopping = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        for end in (self._wake_receiver, self._wake_sender):
            end.setblocking(False)
        self.watch(self._wake_receiver, READ, self._on_wake)

    # -- sockets ---------------------------------------------------------------------------------------------------

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Call `on_ready` whenever `sock` is ready for one of `events`."""
        self._selector.register(sock, events, on_ready)

    def change(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Wait for other events on a watched socket."""
        self._selector.modify(sock, events, on_ready)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching."""
        self._selector.unregister(sock)

    # -- calls -----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Monotonic seconds, the clock of `call_later`."""
        return time.monotonic()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the reactor's thread after the current one."""
        self._soon.append(callback)
        if threading.get_ident() != self._thread_id:
            self._wake()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` in the reactor's thread in `delay_s` seconds, unless cancelled."""
        timer = Timer(self.now() + delay_s, callback)
        entry = (timer.due_s, next(self._ticket), timer)
        if threading.get_ident() == self._thread_id:
            heapq.heappush(self._timers, entry)
        else:
            self.call_soon(lambda: heapq.heappush(self._timers, entry))
        return timer

    def stop(self) -> None:
        """Let `run()` return after the current callback."""
        self._stopping = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._wake_sender.send(b"\0")
        except BlockingIOError:
            pass  # the pipe is full of wake-ups: the reactor is about to wake
        except OSError:
            log.debug("a wake-up after the reactor's end")

    def _on_wake(self, _events: int) -> None:
        self._wake_receiver.recv(4096)

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `stop()`. An exception in a callback is logged and ends that callback alone."""
        self._thread_id = threading.get_ident()
        select, soon = self._selector.select, self._soon
        while not self._stopping:
            for key, events in select(self._patience_s()):
                self._run(key.data, events)
            if self._timers:
                self._run_due_timers()
            while soon:
                self._run(soon.popleft())

    def close(self) -> None:
        """Give the selector and the wake-up sockets back, after `run()` has returned."""
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    def _patience_s(self) -> float | None:
        """How long the selector may wait: not at all, until the next timer, or for ever."""
        if self._soon:
            return 0
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self.now())

    def _run_due_timers(self) -> None:
        now_s = self.now()
        while self._timers and self._timers[0][0] <= now_s:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                self._run(callback)

    def _run(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:  # a bug of ours must not end everybody's service; the traceback is the log line
            log.exception("a callback of the network thread failed")
