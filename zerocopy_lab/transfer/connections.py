"""Pairs of connected sockets on this machine, for whoever tries or measures a strategy.

TCP over loopback is the path of real clients. A unix socket is the same without packets, windows
and acknowledgements, so it shows the cost of a strategy with the least beside it.

Also the congestion control of measured sockets: BBR, the default of some machines, paces packets by
timers, and over loopback that decides the race before any copy does.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from zerocopy_lab.transfer.strategy import Transfer

Family = Literal["tcp", "unix"]


class Pair(NamedTuple):
    """Two ends of one connection; `with` closes both."""

    sender: socket.socket
    receiver: socket.socket

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.close()
        self.receiver.close()


def connected_pair(family: Family, buffer_bytes: int | None = None) -> Pair:
    """Two connected, blocking stream sockets; `buffer_bytes` for SO_SNDBUF and SO_RCVBUF.

    A TCP pair's sender has the congestion control of `set_steady_congestion_control`.
    """
    if family == "unix":
        pair = Pair(*socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
        for end in pair:
            _set_buffers(end, buffer_bytes)
        return pair
    with socket.socket() as listener:
        receiver = socket.socket()
        for end in (listener, receiver):  # before connecting, which agrees upon the window
            _set_buffers(end, buffer_bytes)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        set_steady_congestion_control(listener)
        receiver.connect(listener.getsockname())
        return Pair(listener.accept()[0], receiver)


def pair_for(strategy: type[Transfer], family: Family, buffer_bytes: int | None = None) -> Pair:
    """A connected pair such as the strategy needs: under (anonymous) TLS, or plain."""
    plain = connected_pair(family, buffer_bytes)
    if not strategy.needs_tls:
        return plain
    from zerocopy_lab.transfer.anonymous_tls import encrypted  # costs the import of ssl

    return encrypted(plain)


def set_steady_congestion_control(sock: socket.socket) -> str:
    """Ask for cubic, else reno, which any user may; return the name of what the socket has now.

    For a socket before it is connected, or for a listener, whose connections inherit it: Linux goes
    on pacing one that had BBR when it was connected.
    "none" for a unix socket, "unknown" where the system does not tell (macOS). See tcp(7).
    """
    if sock.family == socket.AF_UNIX:
        return "none"
    if not hasattr(socket, "TCP_CONGESTION"):
        return "unknown"
    for wanted in (b"cubic", b"reno"):
        with suppress(OSError):  # not in this kernel, or not allowed: try the next
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wanted)
            break
    name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return name.rstrip(b"\0").decode()


def is_ready(
    patience_s: float,
    *,
    read: Sequence[socket.socket | int] = (),
    write: Sequence[socket.socket | int] = (),
) -> bool:
    """Wait for the first end that can be read from or written to; False after `patience_s` seconds.

    poll(2), because select(2) knows no descriptor beyond 1023.
    """
    poll = select.poll()
    for ends, event in ((read, select.POLLIN), (write, select.POLLOUT)):
        for end in ends:
            poll.register(end, event)
    return bool(poll.poll(patience_s * 1000))


def _set_buffers(sock: socket.socket, buffer_bytes: int | None) -> None:
    if buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
