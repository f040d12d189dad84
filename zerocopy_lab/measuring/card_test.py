"""What the network card must be able to do, proved without a card.

Two network namespaces are two hosts; a veth pair is the cable between them, and its end at the
sender is a network card whose abilities can be switched (ethtool -K, here by its ioctl). The alias
test over this cable shows what the kernel does when the card cannot gather a packet's parts from
different places, or cannot compute its checksum: it copies, whatever system call was used. So zero
copy is a property of file, call *and* card.

    verdicts = alias_test_by_abilities(["sendfile"])        # one for each of ABILITIES

An ordinary user may do this where user namespaces are allowed: the process that holds the hosts is
started by `unshare -Urn` (as root by `unshare -n`), and with it everything is gone. What a real
card does with its DMA is not shown by it, only what the kernel hands over.

Sources: veth(4), network_namespaces(7), include/uapi/linux/ethtool.h; tcp_sendmsg_locked
(net/ipv4/tcp.c), where pages are referred to only if the route's card has NETIF_F_SG and else
copied; a card that cannot checksum loses NETIF_F_SG, too (netdev_fix_features, net/core/dev.c).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from zerocopy_lab.measuring.alias_test import AliasVerdict, alias_test_between
from zerocopy_lab.measuring.another_python import ask_python
from zerocopy_lab.transfer import strategies
from zerocopy_lab.transfer.connections import Pair, set_steady_congestion_control

ABILITIES: Final[dict[str, dict[str, bool]]] = {
    "as it comes": {},
    "cannot gather (sg off)": {"scatter-gather": False},
    "cannot checksum (tx off)": {"checksum": False},
}
"""What the sender's card is told, in this order, each on a new pair of cards."""

_COMMANDS: Final = {
    "scatter-gather": 0x19,  # ETHTOOL_SSG
    "checksum": 0x17,  # ETHTOOL_STXCSUM
    "segmentation": 0x1F,  # ETHTOOL_STSO
    "generic segmentation": 0x24,  # ETHTOOL_SGSO
}
_SIOCETHTOOL: Final = 0x8946
_CLONE_NEWNET: Final = 0x40000000
SENDER, _RECEIVER = "192.0.2.1", "192.0.2.2"  # addresses for documentation: RFC 5737
_DISCARD: Final = 9
_PORT: Final = struct.Struct("=H")
_TIMEOUT_S: Final = 60.0


class CardVerdict(NamedTuple):
    """One strategy over one kind of card."""

    abilities: str
    strategy: str
    verdict: str
    detail: str


def alias_test_by_abilities(names: Sequence[str]) -> list[CardVerdict]:
    """The alias test of these strategies for each of ABILITIES. Raises Unavailable."""
    said = in_own_network(["-m", "zerocopy_lab.measuring.card_test", *names])
    return [CardVerdict(**each) for each in json.loads(said)]


def in_own_network(words: Sequence[str]) -> str:
    """What Python says when it is called with these words in a network namespace of its own, as
    root there. Raises Unavailable.
    """
    return ask_python(words, "--net", "a pair of cards")


# -- inside the namespace --------------------------------------------------------------------------


def _all_verdicts(names: Sequence[str]) -> Iterator[CardVerdict]:
    for title, abilities in ABILITIES.items():
        for name in names:
            with two_hosts(abilities) as pair, tempfile.TemporaryDirectory() as directory:
                chosen = strategies()[name]
                found: AliasVerdict = alias_test_between(pair, chosen, "tcp", Path(directory))
            yield CardVerdict(title, name, found.verdict, found.detail)


@contextlib.contextmanager
def two_hosts(abilities: dict[str, bool]) -> Iterator[Pair]:
    """A TCP connection between two hosts, and both its ends in this process.

    This process is the sending host; what it sends to the other host's listener arrives at the end
    that is accepted there.
    """
    with the_other_host(abilities) as host:
        sender = socket.socket()
        sender.settimeout(_TIMEOUT_S)
        set_steady_congestion_control(sender)
        sender.connect((_RECEIVER, _DISCARD))
        with Pair(sender, _socket_from(host, _DISCARD)) as pair:
            yield pair


@contextlib.contextmanager
def connected_from_the_other_host(port: int, abilities: dict[str, bool]) -> Iterator[socket.socket]:
    """A client's socket on the other host, connected to a `port` of this one (at SENDER)."""
    with the_other_host(abilities) as host, _socket_from(host, port) as client:
        yield client


@contextlib.contextmanager
def the_other_host(abilities: dict[str, bool]) -> Iterator[socket.socket]:
    """A second host at the end of a cable, and how to speak with it.

    This process has to be in a namespace of its own. A child is the other host, for as long as the
    block lasts; its sockets are handed over (unix(7), SCM_RIGHTS).
    """
    ours, theirs = socket.socketpair()
    other = os.fork()
    if other == 0:
        _be_the_other_host(theirs)
    with ours, theirs:
        try:
            _expect(ours, b"apart")
            ip("link", "add", "card", "type", "veth", "peer", "name", "card", "netns", str(other))
            ip("address", "add", f"{SENDER}/24", "dev", "card")
            ip("link", "set", "card", "up")
            for ability, is_on in abilities.items():
                switch("card", ability, is_on)
            ours.sendall(b"cable")
            _expect(ours, b"ready")
            yield ours
            ip("link", "delete", "card")  # with its namespace it would go, but later
        finally:
            ours.shutdown(socket.SHUT_RDWR)  # ends the other host, and with it the cable
            os.waitpid(other, 0)


def _socket_from(host: socket.socket, port: int) -> socket.socket:
    """An end of a connection that is over there: accepted by its listener, or to a port of ours."""
    host.sendall(_PORT.pack(port))
    return socket.socket(fileno=socket.recv_fds(host, 1, 1)[1][0])


def switch(interface: str, ability: str, is_on: bool) -> None:
    """Switch an ability of an interface, as `ethtool -K` does. OSError when it may not be."""
    value = bytearray(struct.pack("=II", _COMMANDS[ability], is_on))
    address = ctypes.addressof((ctypes.c_char * len(value)).from_buffer(value))
    request = struct.pack("=16sQ16x", interface.encode(), address)  # struct ifreq
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control.fileno(), _SIOCETHTOOL, request)


def _be_the_other_host(ours: socket.socket) -> None:
    """Never returns. What goes wrong here is told on stderr, and the other side sees the end."""
    code = 1
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "a second network namespace was refused")
        ours.sendall(b"apart")
        _expect(ours, b"cable")
        ip("address", "add", f"{_RECEIVER}/24", "dev", "card")
        ip("link", "set", "card", "up")
        with socket.create_server((_RECEIVER, _DISCARD)) as listener:
            ours.sendall(b"ready")
            while wish := ours.recv(_PORT.size):  # nothing: the end of the block over there
                [port] = _PORT.unpack(wish)
                with (
                    listener.accept()[0]
                    if port == _DISCARD
                    else socket.create_connection((SENDER, port), timeout=_TIMEOUT_S)
                ) as wanted:
                    socket.send_fds(ours, [b"."], [wanted.fileno()])
        code = 0
    except BaseException as error:
        print(f"the other host: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _expect(sock: socket.socket, word: bytes) -> None:
    said = sock.recv(len(word), socket.MSG_WAITALL)
    if said != word:
        raise ConnectionError("the other host is gone")


def ip(*words: str) -> None:
    """iproute2. OSError with its complaint."""
    done: Any = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


if __name__ == "__main__":
    print(json.dumps([each._asdict() for each in _all_verdicts(sys.argv[1:])]))
