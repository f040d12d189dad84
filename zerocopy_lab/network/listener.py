"""Accepts connections and spreads them over the network threads, in turn.

Kafka's counterpart is the acceptor thread of `SocketServer`; accepting is so rare here that the first network thread does it
on the side.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable

from zerocopy_lab.network.reactor import READ, Reactor

log = logging.getLogger(__name__)

_BACKLOG = 1024
_PAUSE_S = 0.5


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
        reactor.call_soon(self._watch)

    def close(self) -> None:
        """Accept nobody any more."""
        self._sock.close()

    def _watch(self) -> None:
        self._reactor.watch(self._sock, READ, self._accept)

    def _accept(self, _events: int) -> None:
        while True:
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as failure:
                if failure.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                # The waiting connection would wake us at once, again and again: look away for a moment.
                log.error("cannot accept a connection: %s; next try in %s s", failure, _PAUSE_S)
                self._reactor.forget(self._sock)
                self._reactor.call_later(_PAUSE_S, self._watch)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._on_connect(sock, address[0], address[1])


def _family(host: str) -> socket.AddressFamily:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return socket.AddressFamily(found[0][0])
