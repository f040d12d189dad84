"""poll(2) in the manner of epoll(7), for systems that have only the first (macOS).

The same four calls; `poll` here counts in seconds, and every call goes over all sockets again.
"""

from __future__ import annotations

import select
import socket


class PollElsewhere:
    """What `select.epoll` does, as far as the reactor uses it."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, sock: socket.socket, events: int) -> None:
        """Watch a socket."""
        self._poll.register(sock, events)

    def modify(self, sock: socket.socket, events: int) -> None:
        """Wait for other events on it."""
        self._poll.modify(sock, events)

    def unregister(self, sock: socket.socket) -> None:
        """Watch it no longer."""
        self._poll.unregister(sock)

    def poll(self, timeout_s: float | None, _most: int) -> list[tuple[int, int]]:
        """All descriptors that are ready, since the first so many would be the same ones each time;
        each with its events. None waits for as long as it takes.
        """
        return self._poll.poll(None if timeout_s is None else timeout_s * 1000)

    def close(self) -> None:
        """There is nothing to give back."""
