"""All of a broker's network threads together: who listens, who serves whom, how it ends."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle

from zerocopy_lab.network.connection import Connection, Surroundings
from zerocopy_lab.network.counters import NetworkCounters
from zerocopy_lab.network.inbox import ReceiveBuffers, RequestMemory
from zerocopy_lab.network.listener import Listener
from zerocopy_lab.network.loopback import give_back_the_systems, is_here, unpaced_control
from zerocopy_lab.network.patience import Patience, drop_unread
from zerocopy_lab.network.quotas import ConnectionQuotas, Limits
from zerocopy_lab.network.reactor import Reactor
from zerocopy_lab.network.tls import TlsConnection, accept_tls
from zerocopy_lab.protocol.framing import Client, FrameHandler
from zerocopy_lab.transfer import Transfer

_LOGGER = logging.getLogger(__name__)


_TICK_S = 1.0
_COMPLAINT_INTERVAL_S = 60.0

THE_SYSTEMS = "system"


@dataclass(frozen=True)
class ListenerSettings:
    """A further door. Its `protocol` is Kafka's name for what is spoken there: PLAINTEXT, SSL,
    SASL_PLAINTEXT, SASL_SSL.
    """

    protocol: str
    host: str
    port: int
    transfer: Callable[[], Transfer]
    tls: ssl.SSLContext | None = None

    @property
    def wants_authentication(self) -> bool:
        """Whether a client has to say who it is before anything else."""
        return self.protocol.startswith("SASL_")

    @property
    def lets_anybody_in(self) -> bool:
        """Whether neither a password nor a certificate of the client is asked for."""
        knows_clients = self.tls is not None and self.tls.verify_mode == ssl.CERT_REQUIRED
        return not (self.wants_authentication or knows_clients)


@dataclass(frozen=True)
class NetworkSettings:
    """How the network serves: a plain listener on `host` and `port` (unless `plaintext` is False),
    and `more_listeners`. `transfer` makes the strategy object of one connection.

    `congestion_control` is TCP's for every connection: its name; THE_SYSTEMS; or None for the
    system's, except where that one would pace peers on this machine.
    """

    host: str
    port: int
    transfer: Callable[[], Transfer]
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    more_listeners: tuple[ListenerSettings, ...] = ()
    plaintext: bool = True
    send_buffer_bytes: int = -1
    receive_buffer_bytes: int = -1
    congestion_control: str | None = None

    @property
    def listeners(self) -> tuple[ListenerSettings, ...]:
        """All of them, the plain one first."""
        plain = ListenerSettings("PLAINTEXT", self.host, self.port, self.transfer)
        return (plain, *self.more_listeners) if self.plaintext else self.more_listeners


class NetworkThread:
    """One reactor, the connections it serves and the receive buffers they share."""

    def __init__(
        self,
        handler: FrameHandler,
        limits: Limits,
        memory: RequestMemory,
        quotas: ConnectionQuotas,
        threads: int = 1,
    ) -> None:
        """`threads`: how many there are, who share `limits`."""
        self.reactor = Reactor()
        self.connections: dict[Connection, Patience] = {}
        self._quotas = quotas
        unread_bytes = limits.queued_max_response_bytes
        self._most_unread_bytes = unread_bytes // threads if unread_bytes >= 0 else sys.maxsize
        self._shared = Surroundings(
            self.reactor, ReceiveBuffers(memory), handler, limits, self._forget
        )
        self._of_the_past = NetworkCounters()

    def adopt(self, sock: socket.socket, client: Client, transfer: Transfer) -> None:
        """Serve this connection from now on. Runs in the reactor's thread."""
        kind = TlsConnection if isinstance(sock, ssl.SSLSocket) else Connection
        connection = kind(sock, client, transfer, self._shared)
        self.connections[connection] = Patience(connection, self._shared.limits)
        self._of_the_past.connections_opened += 1

    def _forget(self, connection: Connection) -> None:
        del self.connections[connection]
        self._quotas.release(connection.client.host)
        self._of_the_past.add(_counted(connection))

    def look_after_all(self) -> None:
        """End the connections that take too long, or leave too much unread. Runs in the reactor's
        thread.
        """
        now_s = time.monotonic()
        for patience in list(self.connections.values()):
            patience.look(now_s)
        drop_unread(self.connections, self._most_unread_bytes)

    def counters(self) -> NetworkCounters:
        """All connections of this thread, past and present; from any thread, and then not to the
        byte.
        """
        total = NetworkCounters()
        total.add(self._of_the_past)
        for connection in list(self.connections):
            total.add(_counted(connection))
        return total

    def run(self) -> None:
        """Serve until the reactor is stopped, then hang up on everybody."""
        self.reactor.run()
        for connection in list(self.connections):
            connection.close()
        self.reactor.close()


class NetworkServer:
    """Listens from the moment it is made; serves while `run` runs."""

    def __init__(self, settings: NetworkSettings, handler: FrameHandler) -> None:
        self._settings = settings
        self._ids = count(1)
        self._quotas = ConnectionQuotas(settings.limits)
        self._refused: Counter[str] = Counter()
        self._memory = RequestMemory(settings.limits.queued_max_request_bytes)
        self._threads = [
            NetworkThread(handler, settings.limits, self._memory, self._quotas, settings.threads)
            for _ in range(settings.threads)
        ]
        self._turn = cycle(self._threads)
        self.reactor = self._threads[0].reactor
        limits = settings.limits
        limits_ms = (limits.connections_max_idle_ms, limits.request_arrival_max_ms)
        shortest_ms = min((ms for ms in limits_ms if ms >= 0), default=0)
        for thread in self._threads:
            on_tick = partial(self._tick, thread)
            thread.reactor.every(min(_TICK_S, shortest_ms / 4000 or _TICK_S), on_tick)
        self._control_here: str | None = None  # for peers on this machine
        if settings.congestion_control is None:
            self._control_here = unpaced_control()
        if self._control_here is not None:
            text = "peers on this machine get TCP's %s: the system's default would pace them "
            text += "(--congestion-control %s leaves it)"
            _LOGGER.info(text, self._control_here, THE_SYSTEMS)
        self._complained_at_s: dict[str, float] = {}  # of connections refused, by setting
        self._listeners: list[Listener] = []
        self.addresses: dict[str, tuple[str, int]] = {}  # by protocol
        try:
            for each in settings.listeners:
                self._listen(each)
        except OSError:
            self._close_listeners()
            raise
        self.host, self.port = next(iter(self.addresses.values()))

    def _tick(self, thread: NetworkThread) -> None:
        thread.look_after_all()
        if thread is self._threads[0]:
            for listener in self._listeners:
                listener.listen()

    def _listen(self, settings: ListenerSettings) -> None:
        on_connect = partial(self._on_connect, settings)
        listener = Listener(settings.host, settings.port, self.reactor, on_connect)
        self._listeners.append(listener)
        control = self._settings.congestion_control or self._control_here
        if control is not None and control != THE_SYSTEMS:
            listener.set_congestion_control(control)
        self.addresses[settings.protocol] = listener.host, listener.port

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

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
            self._close_listeners()
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

    def counters(self) -> NetworkCounters:
        """What all threads have done so far."""
        total = NetworkCounters(
            connections_refused=self._refused.copy(), requests_without_memory=self._memory.waits
        )
        for thread in self._threads:
            total.add(thread.counters())
        return total

    def _complain(self, forbidden_by: str, host: str, port: int) -> None:
        """Once a minute: who is turned away can come back a thousand times a second."""
        setting, now_s = forbidden_by.partition("=")[0], time.monotonic()
        self._refused[setting] += 1
        if (
            now_s - self._complained_at_s.get(setting, -_COMPLAINT_INTERVAL_S)
            < _COMPLAINT_INTERVAL_S
        ):
            return
        self._complained_at_s[setting] = now_s
        so_far = self._refused[setting]
        text = "refused a connection of %s:%d: %s (%d so far; said once a minute)"
        _LOGGER.warning(text, host, port, forbidden_by, so_far)

    def _on_connect(
        self, settings: ListenerSettings, sock: socket.socket, host: str, port: int
    ) -> None:
        forbidden_by = self._quotas.admit(host)
        if forbidden_by is not None:
            sock.close()
            self._complain(forbidden_by, host, port)
            return
        if self._control_here is not None and not is_here(host):
            with suppress(OSError):  # it has hung up already
                give_back_the_systems(sock)
        for option, size_bytes in (
            (socket.SO_SNDBUF, self._settings.send_buffer_bytes),
            (socket.SO_RCVBUF, self._settings.receive_buffer_bytes),
        ):
            if size_bytes > 0:
                sock.setsockopt(socket.SOL_SOCKET, option, size_bytes)
        try:
            served = accept_tls(settings.tls, sock) if settings.tls else sock
        except OSError as failure:
            _LOGGER.warning("no TLS with %s:%d: %s", host, port, failure)
            self._quotas.release(host)
            sock.close()
            return
        client = Client(
            next(self._ids),
            host,
            port,
            listener=settings.protocol,
            authenticated=not settings.wants_authentication,
        )
        thread = next(self._turn)
        transfer = settings.transfer()
        thread.reactor.call_soon(lambda: thread.adopt(served, client, transfer))


def _counted(connection: Connection) -> NetworkCounters:
    return NetworkCounters(
        connections_cut_off=Counter([connection.cut_off] if connection.cut_off else []),
        received_bytes=connection.inbox.received_bytes,
        sent_bytes=connection.outbox.sent_bytes,
        file_bytes=connection.outbox.file_bytes,
        would_blocks=connection.outbox.would_blocks,
    )
