"""Peers on the same machine get a congestion control that does not pace.

BBR sends by a clock, at the rate that it believes the network to have. Between two programs of one
machine there is no network: what is to be sent could be there already, and the sender waits for a
timer instead. Where BBR is the system's default, a connection from this machine therefore has
cubic, or else reno, which any account may choose (tcp(7), TCP_CONGESTION); peers elsewhere have the
system's. That concerns what the broker sends; what clients send is paced by *their* sockets.

It is the listener that is given cubic, and the peers elsewhere that are given BBR back, and not the
other way round: Linux never stops pacing a connection that had BBR once (`sk_pacing_status`,
net/ipv4/tcp_bbr.c).
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

_PACING = ("bbr",)  # the names of those that do begin so


def unpaced_control() -> str | None:
    """What to use in place of the system's congestion control; None where that one does not pace,
    nothing else may be chosen, or the system does not tell.
    """
    if not hasattr(socket, "TCP_CONGESTION"):
        return None
    with socket.socket() as sock:
        if not congestion_control(sock).startswith(_PACING):
            return None
        for name in ("cubic", "reno"):
            if not name.startswith(_PACING):
                with suppress(OSError):  # not in this kernel, or not allowed
                    set_congestion_control(sock, name)
                    return name
    return None


def give_back_the_systems(sock: socket.socket) -> None:
    """Use the system's congestion control on this connection. Raises OSError."""
    with socket.socket() as fresh:
        set_congestion_control(sock, congestion_control(fresh))


def is_here(host: str) -> bool:
    """Whether a peer's address is one of the loopback network."""
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def congestion_control(sock: socket.socket) -> str:
    """The name of what a TCP socket has."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def set_congestion_control(sock: socket.socket, name: str) -> None:
    """Use `name` on this socket, and on all that it accepts. Raises OSError."""
    if not hasattr(socket, "TCP_CONGESTION"):
        raise OSError("this system does not let a program choose TCP's congestion control")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
