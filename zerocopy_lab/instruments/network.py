"""What the network does to a measurement: congestion control, and what a network card takes over
from the processor.

Congestion control: a machine may default to BBR, which paces. Over loopback this costs the most
exactly where the work per byte is least, and then sendfile *loses* against copying. So measured
sockets are set to cubic, or else reno, which anyone may do, and results say so (tcp(7),
TCP_CONGESTION).

Network cards: the features that let a card fetch bytes from the page cache by itself are
scatter-gather (the packet's parts lie in different places), checksum offload (nobody reads the
payload before it leaves) and segmentation offload (one large packet per call). They are asked for
through the ioctl SIOCETHTOOL, which needs no privilege to read (Linux
include/uapi/linux/ethtool.h). Trap: loopback claims all of these features and has no DMA at all:
its "transmission" hands the same page over to the receiver, whose copy then costs what a card would
not. A card of a virtual machine has DMA into the memory of the *hypervisor's* choice, which may
well be another copy.
"""

from __future__ import annotations

import array
import socket
import struct
from pathlib import Path
from typing import Final, Literal, NamedTuple

from zerocopy_lab.instruments.unavailable import Unavailable

Dma = Literal["none", "virtual", "hardware"]

_SIOCETHTOOL: Final = 0x8946
_ETHTOOL_GSSET_INFO, _ETHTOOL_GSTRINGS, _ETHTOOL_GFEATURES = 0x37, 0x1B, 0x3A
_ETH_SS_FEATURES: Final = 4
_NAME_BYTES: Final = 32
_ZERO_COPY_FEATURES: Final = (
    "tx-scatter-gather", "tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-tcp-segmentation",
    "tx-generic-segmentation", "tls-hw-tx-offload", "highdma",
)  # fmt: skip


class NetworkCard(NamedTuple):
    """One interface: its driver, its kind of DMA, and the features of zero copy (name: is on)."""

    name: str
    driver: str | None
    dma: Dma
    features: dict[str, bool]


def congestion_controls() -> tuple[str, list[str]]:
    """The machine's default, and all that it has loaded. Raises Unavailable off Linux."""
    directory = Path("/proc/sys/net/ipv4")
    try:
        default = (directory / "tcp_congestion_control").read_text().strip()
        return default, (directory / "tcp_available_congestion_control").read_text().split()
    except OSError as error:
        why = f"{error.filename} cannot be read ({error.strerror})"
        raise Unavailable("congestion control", why, "Run this part on Linux") from None


def congestion_control_of(sock: socket.socket) -> str | None:
    """The algorithm a TCP socket really uses; None for unix sockets and on other systems."""
    option = getattr(socket, "TCP_CONGESTION", None)
    if option is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return sock.getsockopt(socket.IPPROTO_TCP, option, 16).rstrip(b"\0").decode()


def network_cards() -> list[NetworkCard]:
    """All interfaces with what they could do. Raises Unavailable off Linux."""
    directory = Path("/sys/class/net")
    if not directory.is_dir():
        raise Unavailable(
            "network card features", "there is no /sys/class/net", "Run this part on Linux"
        )
    return [_card(path) for path in sorted(directory.iterdir()) if path.is_dir()]


def _card(path: Path) -> NetworkCard:
    driver = path / "device" / "driver"
    return NetworkCard(
        path.name,
        driver.resolve().name if driver.exists() else None,
        _dma(path),
        _features(path.name),
    )


def _dma(path: Path) -> Dma:
    """Only what sits on a bus can do DMA; a paravirtual bus ends in the hypervisor."""
    if not (path / "device").exists():
        return "none"
    bus = (path / "device" / "subsystem").resolve().name
    return "virtual" if bus in ("virtio", "vmbus", "xen") else "hardware"


def _features(interface: str) -> dict[str, bool]:
    """The features of zero copy that the driver names; empty when it answers no questions."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            count = _feature_count(sock, interface)
            names = _feature_names(sock, interface, count)
            active = _active_bits(sock, interface, count)
    except OSError:
        return {}
    return {
        name: bool(active >> names.index(name) & 1) for name in _ZERO_COPY_FEATURES if name in names
    }


def _feature_count(sock: socket.socket, interface: str) -> int:
    request = array.array(
        "B", struct.pack("=IIQI", _ETHTOOL_GSSET_INFO, 0, 1 << _ETH_SS_FEATURES, 0)
    )
    _ethtool(sock, interface, request)
    return int(struct.unpack("=IIQI", request)[3])


def _feature_names(sock: socket.socket, interface: str, count: int) -> list[str]:
    head = struct.pack("=III", _ETHTOOL_GSTRINGS, _ETH_SS_FEATURES, count)
    request = array.array("B", head + bytes(count * _NAME_BYTES))
    _ethtool(sock, interface, request)
    names = request.tobytes()[len(head) :]
    return [
        names[at : at + _NAME_BYTES].rstrip(b"\0").decode()
        for at in range(0, len(names), _NAME_BYTES)
    ]


def _active_bits(sock: socket.socket, interface: str, count: int) -> int:
    """Bit n set: feature n is on.

    The kernel answers in blocks of 32 features: available, requested, active, never changed.
    """
    blocks = -(-count // 32)
    request = array.array("B", struct.pack("=II", _ETHTOOL_GFEATURES, blocks) + bytes(blocks * 16))
    _ethtool(sock, interface, request)
    words = struct.unpack(f"={blocks * 4}I", request[8:])
    return sum(words[block * 4 + 2] << (32 * block) for block in range(blocks))


def _ethtool(sock: socket.socket, interface: str, request: array.array[int]) -> None:
    """One SIOCETHTOOL call, answered in place. Raises OSError when the driver declines."""
    import fcntl  # absent on Windows, where instruments can still be imported

    address, _length = request.buffer_info()
    fcntl.ioctl(sock.fileno(), _SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), address))
