"""Lab 09, the way in: which calls copy, what is counted at a broker, and what spares the copy.

Whether a call copies is proved by changing its source after it has returned: a destination that
stays as it was has bytes of its own. `skb_copy_datagram_iovec` counts the copies out of sockets
(root only); nothing counts those into the page cache, so for these the proof has to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.copied_bytes import counting_copied_bytes
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.measuring.fetching import segments_of
from zerocopy_lab.measuring.receivers import Kind, RunningReceiver
from zerocopy_lab.measuring.recorded import recorded, recorded_words
from zerocopy_lab.pictures.theme import byte_count
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.transfer.connections import connected_pair

TOPIC: Final = "flights"
PROBE_BYTES: Final = 4096
RECEIVERS_AS: Final = "09 bytes copied out to receivers"
"""What the reference run calls them."""

_MIB: Final = 1 << 20
_TCP_ZEROCOPY_RECEIVE: Final = 35  # include/uapi/linux/tcp.h; Python's socket has no name for it
_RECEIVE: Final = struct.Struct("=QII")  # address, length, recv_skip_hint
_MAP_FAILED: Final = ctypes.c_void_p(-1).value

Copies = Mapping[str, bool | None]
"""Of each call: did it copy? None: this machine could not tell."""


# -- which calls copy ------------------------------------------------------------------------------


def calls_that_copy(directory: Path) -> Copies:
    """recv, pwrite, pread and send, each by changing what it took from after it has returned."""
    one, two, three = (os.urandom(PROBE_BYTES) for _ in range(3))
    with connected_pair("tcp") as pair, tempfile.TemporaryFile(dir=directory) as file:
        fd, buffer = file.fileno(), bytearray(one)

        os.pwrite(fd, buffer, 0)
        buffer[:] = two
        wrote = os.pread(fd, PROBE_BYTES, 0)

        os.preadv(fd, [buffer], 0)
        os.pwrite(fd, three, 0)
        read = bytes(buffer)

        buffer[:] = one
        pair.sender.sendall(buffer)
        buffer[:] = two
        sent = pair.receiver.recv(PROBE_BYTES, socket.MSG_WAITALL)
    return {
        "recv": _recv_copies(directory),
        "pwrite": wrote == one,
        "pread": read == one,
        "send": sent == one,
    }


def _recv_copies(directory: Path) -> bool | None:
    """The socket is given a page of a file, so that it can be changed while it waits there."""
    one, two, three = (os.urandom(PROBE_BYTES) for _ in range(3))
    buffer = bytearray(PROBE_BYTES)
    with connected_pair("tcp") as pair, tempfile.TemporaryFile(dir=directory) as file:
        os.pwrite(file.fileno(), one, 0)
        os.sendfile(pair.sender.fileno(), file.fileno(), 0, PROBE_BYTES)
        os.pwrite(file.fileno(), two, 0)
        pair.receiver.recv_into(buffer, PROBE_BYTES, socket.MSG_WAITALL)
        os.pwrite(file.fileno(), three, 0)
    # What came must be the second content, or the page was not shared before the call either.
    return {bytes(two): True, bytes(three): False}.get(bytes(buffer))


class Spliced(NamedTuple):
    """From a socket to a file without a buffer of the program's."""

    sendfile_says: str
    """The error of sendfile(file, socket), or "" where it worked."""
    into_the_pipe_copied: bool
    into_the_file_copied: bool


def splice_into_a_file(directory: Path) -> Spliced | Unmeasured:
    """Socket -> pipe -> file, a page's content changed before and after the second step."""
    if not hasattr(os, "splice"):
        return Unmeasured("this system has no splice(2)")
    one, two, three = (os.urandom(PROBE_BYTES) for _ in range(3))
    with contextlib.ExitStack() as stack:
        pair = stack.enter_context(connected_pair("tcp"))
        source, log = (
            stack.enter_context(tempfile.TemporaryFile(dir=directory)).fileno() for _ in range(2)
        )
        out, into = os.pipe()
        stack.callback(os.close, out)
        stack.callback(os.close, into)
        os.pwrite(source, one, 0)
        os.sendfile(pair.sender.fileno(), source, 0, PROBE_BYTES)
        says = _error_of_sendfile(log, pair.receiver.fileno())
        moved = os.splice(pair.receiver.fileno(), into, PROBE_BYTES)
        os.pwrite(source, two, 0)
        os.splice(out, log, moved, offset_dst=0)
        os.pwrite(source, three, 0)
        arrived = os.pread(log, moved, 0)
    return Spliced(says, arrived == one[:moved], arrived != three[:moved])


def _error_of_sendfile(file: int, sock: int) -> str:
    try:
        os.sendfile(file, sock, None, PROBE_BYTES)
    except OSError as error:
        return error.strerror or str(error)
    return ""


# -- what is counted -------------------------------------------------------------------------------


class Taken(NamedTuple):
    """What a process received, and how much of it was copied out of socket buffers to it."""

    received_bytes: int
    copied_bytes: int

    @property
    def times(self) -> float:
        """How often each byte was copied."""
        return self.copied_bytes / self.received_bytes


@or_unmeasured()
def taken_by_broker(broker: AnyBroker, lab: Lab) -> Taken | Unmeasured:
    """Events are produced; what the log grew by, and what was copied out to the broker for it."""
    flight_events.produce(broker.bootstrap, TOPIC, flight_events.repeated(1))
    before = _log_bytes(broker)
    with counting_copied_bytes(broker.pid) as copied:
        events = flight_events.repeated(40_000 if lab.fast else 200_000)
        flight_events.produce(broker.bootstrap, TOPIC, events)
    return Taken(_log_bytes(broker) - before, copied.copied_bytes)


def _log_bytes(broker: AnyBroker) -> int:
    """What is in the log; an active segment's file is no longer than that."""
    return sum(path.stat().st_size for path in segments_of(broker.data_dir, TOPIC))


def taken_by_receivers(total_bytes: int = 16 * _MIB) -> Mapping[str, Taken] | Unmeasured:
    """The three kinds of receivers, each of which is sent so many bytes over the loopback."""
    kinds: tuple[Kind, ...] = ("touching", "dropping", "splicing")
    try:
        return {kind: _taken_by(kind, total_bytes) for kind in kinds}
    except (Unavailable, ValueError) as reason:
        return Unmeasured(str(reason))


def _taken_by(kind: Kind, total_bytes: int) -> Taken:
    with RunningReceiver(kind, "tcp") as receiver:
        with counting_copied_bytes(receiver.pid) as copied:
            for _ in range(total_bytes // _MIB):
                receiver.sock.sendall(bytes(_MIB))
            received = receiver.finish()
        return Taken(received.received_bytes, copied.copied_bytes)


class Mapped(NamedTuple):
    """What TCP_ZEROCOPY_RECEIVE answered when bytes were waiting."""

    waiting_bytes: int
    mapped_bytes: int
    to_be_copied_bytes: int
    """The kernel's `recv_skip_hint`: take these with recv, they cannot be mapped."""


def map_what_arrived() -> Mapped | Unmeasured:
    """Asks for waiting bytes to be mapped instead of copied: Linux 4.18, tcp(7) does not tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    waiting_bytes = 16 * 4096
    with connected_pair("tcp") as pair:
        receiver = pair.receiver.fileno()
        pair.sender.sendall(bytes(waiting_bytes))
        pair.receiver.recv(waiting_bytes, socket.MSG_PEEK | socket.MSG_WAITALL)
        address = libc.mmap(None, waiting_bytes, 1, 1, receiver, 0)  # PROT_READ, MAP_SHARED
        if address == _MAP_FAILED:
            return Unmeasured(f"a socket cannot be mapped: {os.strerror(ctypes.get_errno())}")
        asked = ctypes.create_string_buffer(_RECEIVE.pack(address, waiting_bytes, 0), _RECEIVE.size)
        length = ctypes.c_uint(_RECEIVE.size)
        said = libc.getsockopt(
            receiver, socket.IPPROTO_TCP, _TCP_ZEROCOPY_RECEIVE, asked, ctypes.byref(length)
        )
        error = ctypes.get_errno()
        libc.munmap(address, waiting_bytes)
        if said:
            return Unmeasured(f"TCP_ZEROCOPY_RECEIVE: {os.strerror(error)}")
    _, mapped_bytes, hint_bytes = _RECEIVE.unpack(asked.raw)
    return Mapped(waiting_bytes, mapped_bytes, hint_bytes)


# -- in words --------------------------------------------------------------------------------------


def show_copies(copies: Copies, spliced: Spliced | Unmeasured) -> None:
    """A row for each call."""
    rows = [[call, *_FROM_TO[call], _COPIES[copied]] for call, copied in copies.items()]
    if not isinstance(spliced, Unmeasured):
        steps = (spliced.into_the_pipe_copied, spliced.into_the_file_copied)
        rows += [
            ["splice, first step", "socket", "pipe", _COPIES[steps[0]]],
            ["splice, second step", "pipe", "page cache", _COPIES[steps[1]]],
            ["sendfile", "socket", "page cache", spliced.sendfile_says or "worked"],
        ]
    show_table(["call", "from", "to", "does it copy?"], rows)


_FROM_TO: Final = {
    "recv": ("socket", "buffer"),
    "pwrite": ("buffer", "page cache"),
    "pread": ("page cache", "buffer"),
    "send": ("buffer", "socket"),
}
_COPIES: Final = {True: "copies", False: "passes a reference on", None: "not clear"}


def taken_in_words(taken: Taken | Unmeasured) -> str:
    """How much of how much; from the reference run where it could not be counted."""
    if isinstance(taken, Unmeasured):
        there = Taken(*recorded(RECEIVERS_AS)["the broker"])
        return f"not counted here: {taken} {recorded_words(taken_in_words(there))}"
    return (
        f"{byte_count(taken.copied_bytes)} copied for {byte_count(taken.received_bytes)}, "
        f"{taken.times:.2f} times each byte"
    )


def show_receivers(receivers: Mapping[str, Taken] | Unmeasured, mapped: Mapped | Unmeasured) -> str:
    """The receivers as a table; returns one sentence about TCP_ZEROCOPY_RECEIVE, to be printed."""
    does = {
        "touching": "recv into its memory",
        "dropping": "recv with MSG_TRUNC: throw away",
        "splicing": "splice to /dev/null",
    }
    note = ""
    if isinstance(receivers, Unmeasured):
        note = f"Not counted here: {receivers} {recorded_words('see the table.')} "
        receivers = {kind: Taken(*recorded(RECEIVERS_AS)[kind]) for kind in does}
    show_table(
        ["the receiver", "received", "copied out to it"],
        [
            [does[kind], byte_count(taken.received_bytes), byte_count(taken.copied_bytes)]
            for kind, taken in receivers.items()
        ],
    )
    if isinstance(mapped, Unmeasured):
        return f"{note}TCP_ZEROCOPY_RECEIVE was not tried: {mapped}."
    return (
        f"{note}TCP_ZEROCOPY_RECEIVE: of {mapped.waiting_bytes:,} waiting bytes it mapped "
        f"{mapped.mapped_bytes:,}; of {mapped.to_be_copied_bytes:,} it said: copy these."
    )
