"""All of a broker's network threads together: who listens, who serves whom, how it ends."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, cycle

from zerocopy_lab.network.connection import Connection
from zerocopy_lab.network.inbox import BufferLoan
from zerocopy_lab.network.listener import Listener
from zerocopy_lab.network.reactor import Reactor
from zerocopy_lab.protocol.exchange import Client, Handler
from zerocopy_lab.transfer import Transfer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkSettings:
    """How the network serves. `transfer` makes the strategy object of one connection."""

    host: str
    port: int
    transfer: Callable[[], Transfer]
    threads: int = 1
    request_max_bytes: int = 104_857_600
    send_buffer_bytes: int = -1
    receive_buffer_bytes: int = -1
    congestion_control: str | None = None


class NetworkThread:
    """One reactor, the connections it serves and the receive buffers they share."""

    def __init__(self, handler: Handler, settings: NetworkSettings) -> None:
        self.reactor = Reactor()
        self.connections: set[Connection] = set()
        self._handler = handler
        self._settings = settings
        self._loan = BufferLoan()

    def adopt(self, sock: socket.socket, client: Client) -> None:
        """Serve this connection from now on. Runs in the reactor's thread."""
        self.connections.add(
            Connection(
                sock,
                client,
                self.reactor,
                self._loan,
                self._handler,
                self._settings.transfer(),
                self._settings.request_max_bytes,
                self.connections.discard,
            )
        )

    def run(self) -> None:
        """Serve until the reactor is stopped, then hang up on everybody."""
        self.reactor.run()
        for connection in list(self.connections):
            connection.close()
        self.reactor.close()


class NetworkServer:
    """Listens from the moment it is made; serves while `run` runs."""

    def __init__(self, settings: NetworkSettings, handler: Handler) -> None:
        self._settings = settings
        self._ids = count(1)
        self._threads = [NetworkThread(handler, settings) for _ in range(settings.threads)]
        self._turn = cycle(self._threads)
        self.reactor = self._threads[0].reactor
        self._listener = Listener(settings.host, settings.port, self.reactor, self._on_connect)
        if settings.congestion_control is not None:
            self._listener.set_congestion_control(settings.congestion_control)
        self.host, self.port = self._listener.host, self._listener.port

    def run(self) -> None:
        """Serve until `stop`; the calling thread becomes the first network thread."""
        others = [
            threading.Thread(target=thread.run, name=f"network-{number}", daemon=True)
            for number, thread in enumerate(self._threads[1:], start=1)
        ]
        for other in others:
            other.start()
        try:
            self._threads[0].run()
        finally:
            self._listener.close()
            for thread in self._threads[1:]:
                thread.reactor.stop()
            for other in others:
                other.join()

    def stop(self) -> None:
        """Let `run` return; from any thread or signal handler."""
        self.reactor.stop()

    def connections(self) -> list[Connection]:
        """Everybody who is connected now; from any thread, for counting."""
        return [c for thread in self._threads for c in list(thread.connections)]

    def _on_connect(self, sock: socket.socket, host: str, port: int) -> None:
        for option, size_bytes in (
            (socket.SO_SNDBUF, self._settings.send_buffer_bytes),
            (socket.SO_RCVBUF, self._settings.receive_buffer_bytes),
        ):
            if size_bytes > 0:
                sock.setsockopt(socket.SOL_SOCKET, option, size_bytes)
        client = Client(next(self._ids), host, port)
        thread = next(self._turn)
        thread.reactor.call_soon(lambda: thread.adopt(sock, client))
