"""Accepts connections and spreads them over the network threads, in turn.

Kafka's counterpart is the acceptor thread of `SocketServer`; accepting is so rare here that the
first network thread does it on the side.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable

from zerocopy_lab.network.loopback import set_congestion_control
from zerocopy_lab.network.reactor import READ, Reactor

_LOGGER = logging.getLogger(__name__)

_BACKLOG = 1024
#: Then those who are connected already get their turn.
_ACCEPTED_IN_A_TURN = 64
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """Listens at once (OSError when it cannot) and accepts as soon as `reactor` runs."""

    def __init__(
        self,
        host: str,
        port: int,
        reactor: Reactor,
        on_connect: Callable[[socket.socket, str, int], None],
    ) -> None:
        self._reactor = reactor
        self._on_connect = on_connect
        self._sock = socket.create_server(
            (host, port), family=_family(host), backlog=_BACKLOG, reuse_port=False
        )
        self._sock.setblocking(False)
        self.host, self.port = self._sock.getsockname()[:2]
        self._spare_fd: int | None = os.open(os.devnull, os.O_RDONLY)
        self._is_deaf = True  # until the reactor runs
        self._has_complained = False
        reactor.call_soon(self.listen)

    def set_congestion_control(self, name: str) -> None:
        """Use TCP congestion control `name` (tcp(7)) on every connection. Raises OSError."""
        set_congestion_control(self._sock, name)

    def close(self) -> None:
        """Accept nobody any more."""
        self._sock.close()
        if self._spare_fd is not None:
            os.close(self._spare_fd)
            self._spare_fd = None

    def listen(self) -> None:
        """Accept, from the reactor's thread; again, if there was no room for anybody before."""
        if self._is_deaf:
            self._is_deaf = False
            self._reactor.watch(self._sock, READ, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_IN_A_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as failure:
                if failure.errno not in _NO_ROOM:
                    raise
                self._turn_away(failure)
                return
            self._has_complained = False
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._on_connect(sock, address[0], address[1])

    def _turn_away(self, failure: OSError) -> None:
        """Out of descriptors: use the spare one to accept the caller, and hang up.

        Left waiting, it would wake the selector at once, again and again; so where even that does
        not help, nobody is listened to until `listen` is called.
        """
        if not self._has_complained:  # once, until there is room again
            self._has_complained = True
            _LOGGER.error("turning connections away: %s; raise the limit of open files", failure)
        try:
            if self._spare_fd is not None:
                os.close(self._spare_fd)
                self._spare_fd = None
                with contextlib.suppress(BlockingIOError):  # it has hung up already
                    self._sock.accept()[0].close()
            self._spare_fd = os.open(os.devnull, os.O_RDONLY)
        except OSError as again:
            _LOGGER.debug("no room even to turn somebody away: %s", again)
            self._reactor.forget(self._sock)
            self._is_deaf = True


def _family(host: str) -> socket.AddressFamily:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return socket.AddressFamily(found[0][0])
