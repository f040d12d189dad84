"""The event loop of one network thread.

It waits until a socket is ready or another thread has left a call, and then runs callbacks, one
at a time. Whatever blocks in a callback blocks every connection of this thread. That is not a flaw
of this code: a cold page under sendfile stalls Kafka's own network threads in just this way
(KAFKA-7504), and lab 06 shows it.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from zerocopy_lab.network.poll_elsewhere import PollElsewhere

_LOGGER = logging.getLogger(__name__)

READ, WRITE = select.POLLIN, select.POLLOUT

#: So many get one turn, and their answers leave at its end: who has many connections is woken by
#: the first answer and awake for the others, and to wake a client costs half of what a send does.
_TURN_SOCKETS = 32

#: Called when its socket is ready, or broken: the next system call on it says which.
OnReady = Callable[[], None]


class Reactor:
    """`run()` in the thread that shall own the sockets; `call_soon` and `stop` from any thread."""

    def __init__(self) -> None:
        # The module `selectors` would do, and took a twelfth of a small request's time.
        self._poll = select.epoll() if hasattr(select, "epoll") else PollElsewhere()
        self._on_ready: dict[int, OnReady] = {}  # by descriptor
        self._soon: deque[Callable[[], None]] = deque()
        self._thread_id = 0
        self.is_crowded = False  # whether several clients are ready in this turn
        self._stopping = False
        self._tick_interval_s: float | None = None
        self._on_tick: Callable[[], None] = lambda: None
        self._next_tick_s = 0.0
        self._wake_receiver, self._wake_sender = socket.socketpair()
        for end in (self._wake_receiver, self._wake_sender):
            end.setblocking(False)
        self.watch(self._wake_receiver, READ, self._on_wake)

    # Sockets

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Call `on_ready` whenever `sock` is ready for one of `events`."""
        self._poll.register(sock, events)
        self._on_ready[sock.fileno()] = on_ready

    def change(self, sock: socket.socket, events: int) -> None:
        """Wait for other events on a watched socket."""
        self._poll.modify(sock, events)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching."""
        self._poll.unregister(sock)
        del self._on_ready[sock.fileno()]

    # Calls

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the reactor's thread after the current one."""
        self._soon.append(callback)
        if threading.get_ident() != self._thread_id:
            self._wake()

    def every(self, interval_s: float, callback: Callable[[], None]) -> None:
        """Run `callback` about every `interval_s` seconds, for things that need not be on time."""
        self._tick_interval_s, self._on_tick = interval_s, callback

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
            _LOGGER.debug("a wake-up after the reactor's end")

    def _on_wake(self) -> None:
        self._wake_receiver.recv(4096)

    # The loop

    def run(self) -> None:
        """Serve until `stop()`; a callback that raises is logged and ends alone."""
        self._thread_id = threading.get_ident()
        poll, on_ready, soon = self._poll.poll, self._on_ready, self._soon
        while not self._stopping:
            ready = poll(0 if soon else self._tick_interval_s, _TURN_SOCKETS)
            self.is_crowded = len(ready) > 2  # one may be our own knock
            for fd, _ in ready:
                if fd not in on_ready:
                    continue  # forgotten by a callback just now
                try:
                    on_ready[fd]()
                except Exception:  # a bug of ours must not end everybody's service
                    _LOGGER.exception("serving a connection failed")
            while soon:
                try:
                    soon.popleft()()
                except Exception:
                    _LOGGER.exception("a call left for the network thread failed")
            if self._tick_interval_s is not None and monotonic() >= self._next_tick_s:
                self._next_tick_s = monotonic() + self._tick_interval_s
                soon.append(self._on_tick)

    def close(self) -> None:
        """Give the selector and the wake-up sockets back, after `run()` has returned."""
        self._soon.clear()  # an answer that came too late may hold files
        self._poll.close()
        self._wake_receiver.close()
        self._wake_sender.close()
