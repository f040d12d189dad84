"""Fetching without looking: requests made in advance, responses dropped as they come, and logs put
out of memory.

The receiver takes each response with MSG_TRUNC, which throws the bytes away without a copy
(recv(2)): the best stand-in for a network card, so that what is measured is the sender. Responses
are not parsed while the clock runs; offsets were found out in a first pass, which also brings all
pages into memory.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from pathlib import Path

from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.instruments.eviction import NotEvicted, evict
from zerocopy_lab.protocol.framing import LENGTH
from zerocopy_lab.records.batch import iterate_headers

_REQUESTS_AHEAD = 4
_LET_GO_TIMEOUT_S = 5.0
_WAKE_UP_BYTES = 256 << 10
_UNTOUCHED = bytearray(1 << 20)  # nothing is ever written here: its length says how much to drop


def segments_of(data_dir: Path, topic: str) -> list[Path]:
    """The files that hold partition 0's records, oldest first."""
    return sorted((data_dir / f"{topic}-0").glob("*.log"))


def evict_log(data_dir: Path, topic: str) -> None:
    """Puts the pages of all segments out of memory. Raises NotEvicted, Unavailable."""
    for segment in segments_of(data_dir, topic):
        evict_when_let_go(segment)


def bring_into_memory(data_dir: Path, topic: str) -> None:
    """Reads all segments, so that their pages are there."""
    for segment in segments_of(data_dir, topic):
        segment.read_bytes()


def evict_when_let_go(path: Path, timeout_s: float = _LET_GO_TIMEOUT_S) -> None:
    """Evicts a file, waiting for sockets to let go of its pages. Raises NotEvicted, Unavailable.

    What sendfile has sent stays referenced until the receiver has acknowledged it, and a page that
    somebody refers to cannot be evicted.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            evict(path)
            return
        except NotEvicted:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # nobody tells when the last reference is gone


def frames_over(
    wire: Wire, topic: str, response_bytes: int, *, most: int | None = None
) -> list[bytes]:
    """Requests that together fetch partition 0 once, each as much as `response_bytes` allow; no
    more than `most` of them.
    """
    frames: list[bytes] = []
    offset, high_watermark = 0, 1
    while offset < high_watermark and (most is None or len(frames) < most):
        frames.append(fetch_frame(wire, topic, 0, offset, max_bytes=response_bytes))
        fetched = fetch(wire, topic, 0, offset, max_bytes=response_bytes)
        offset = _last_whole_offset(fetched.records) + 1
        high_watermark = fetched.high_watermark
    return frames


def _last_whole_offset(records: bytes) -> int:
    """The last offset of the last batch that is there as a whole. ValueError if none is."""
    last_offset = None
    with contextlib.suppress(CorruptMessage):  # a response may end in the middle of a batch
        for _, header in iterate_headers(memoryview(records)):
            last_offset = header.last_offset
    if last_offset is None:
        raise ValueError(f"{len(records)} bytes of records hold no whole batch")
    return last_offset


def drop_responses(sock: socket.socket, frames: list[bytes], *, total_bytes: int) -> int:
    """Asks for the frames, over and over, until `total_bytes` have come; how many came.

    A few requests are always on their way, as consumers do it: so neither end waits for the other
    to be scheduled, which on a busy machine would be most of the time.
    """
    dropped_bytes = 0
    requests = itertools.cycle(frames)
    for frame in itertools.islice(requests, _REQUESTS_AHEAD):
        sock.sendall(frame)
    while dropped_bytes < total_bytes:
        sock.sendall(next(requests))
        dropped_bytes += receive_and_drop(sock)
    dropped_bytes += sum(receive_and_drop(sock) for _ in range(_REQUESTS_AHEAD))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)  # as it was: for who receives less
    return dropped_bytes


def receive_and_drop(sock: socket.socket) -> int:
    """Takes one response without copying it; its length in bytes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, LENGTH.size)
    (length,) = LENGTH.unpack(sock.recv(LENGTH.size, socket.MSG_WAITALL))
    left = int(length)
    while left:
        # Wake up for a good piece at a time, not for every packet.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(left, _WAKE_UP_BYTES))
        came = sock.recv_into(_UNTOUCHED, min(left, len(_UNTOUCHED)), socket.MSG_TRUNC)
        if came == 0:
            raise ConnectionError(f"the broker hung up with {left} bytes of a response missing")
        left -= came
    return int(length)
