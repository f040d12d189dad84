"""The tools of the transfer strategies' checks: connections, files, careful sending.

Every check runs in a forked child of its own (`child`). A strategy that maps a file that shrinks
may die of SIGBUS, one that loops may never come back: that must not happen to the notebook that
asks.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.conformance.child import in_a_child
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.transfer.connections import Family, Pair, is_ready, pair_for
from zerocopy_lab.transfer.strategy import Transfer

PATIENCE_S = 10.0
"""How long a connection may stand still before the strategy is said to hang."""

CHECK_LIMIT_S = 100.0
_MEMORY_BYTES = 16 << 30  # address space: a strategy may map a large file


class NotConforming(Exception):
    """A part broke a promise of its kind; the message says which, with figures."""


class Trial(NamedTuple):
    """One strategy on one kind of socket, with a directory (and so a file system) for its files."""

    strategy: type[Transfer]
    family: Family
    directory: Path

    def pair(self, buffer_bytes: int | None = None) -> Pair:
        """A connection such as the strategy needs."""
        return pair_for(self.strategy, self.family, buffer_bytes)

    def file_of(self, content: bytes) -> OpenFile:
        """A new file with this content. Its name is gone already: nothing is left to clean up."""
        fd, path = tempfile.mkstemp(dir=self.directory)
        os.unlink(path)
        assert os.pwrite(fd, content, 0) == len(content)
        return OpenFile(fd, Path(path))


def what_is_wrong(
    check: Callable[[Trial], None], trial: Trial, limit_s: float = CHECK_LIMIT_S
) -> str | None:
    """Run the check in a forked child: None, or what is wrong, in words."""
    told = in_a_child(lambda: _finding(check, trial), limit_s, _MEMORY_BYTES)
    if told.problem is not None:
        return "\n".join([told.problem, *told.trace])
    return None if told.value is None else str(told.value)


def _finding(check: Callable[[Trial], None], trial: Trial) -> str | None:
    try:
        check(trial)
    except NotConforming as broken:
        return str(broken)
    return None


def require(kept: bool, problem: str) -> None:
    """Raise NotConforming unless `kept`."""
    if not kept:
        raise NotConforming(problem)


def require_same(received: bytes, expected: bytes, what: str) -> None:
    """Equal, or say where the first difference is."""
    require(len(received) == len(expected), f"{what}: {len(received)} bytes, not {len(expected)}")
    if received != expected:
        wrong = next(at for at, byte in enumerate(received) if byte != expected[at])
        raise NotConforming(f"{what}: of {len(expected)} bytes, number {wrong} is the first wrong")


def some_bytes(count: int, seed: int = 5) -> bytes:
    """Bytes without a pattern, so that a piece in the wrong place shows."""
    return random.Random(seed).randbytes(count)


def send_once(transfer: Transfer, sender: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
    """One call of `send`, with its result checked."""
    left_bytes = piece.length - sent_bytes
    moved_bytes = transfer.send(sender, piece, sent_bytes)
    require(
        1 <= moved_bytes <= left_bytes or moved_bytes == left_bytes == 0,
        f"send() returned {moved_bytes} with {left_bytes} bytes left to send",
    )
    return moved_bytes


def send_all(transfer: Transfer, sender: socket.socket, piece: FileSlice) -> None:
    """Send everything, waiting where the socket does not block; end the stream in any case."""
    sent_bytes = 0
    try:
        while sent_bytes < piece.length:
            try:
                sent_bytes += send_once(transfer, sender, piece, sent_bytes)
            except BlockingIOError:
                require(is_ready(PATIENCE_S, write=[sender]), "not writable again")
    finally:
        with suppress(OSError):
            sender.shutdown(socket.SHUT_WR)


def send_until_full(
    transfer: Transfer, sender: socket.socket, piece: FileSlice, sent_bytes: int
) -> int:
    """Send on, to the end of the piece or the first BlockingIOError; returns all sent so far."""
    while sent_bytes < piece.length:
        try:
            sent_bytes += send_once(transfer, sender, piece, sent_bytes)
        except BlockingIOError:
            break
    return sent_bytes


def receive(receiver: socket.socket, most_bytes: int) -> bytes:
    """What has arrived, waiting for the first byte; b"" at the end of the stream."""
    receiver.settimeout(PATIENCE_S)
    try:
        return receiver.recv(most_bytes)
    except TimeoutError:
        raise NotConforming(f"nothing arrived for {PATIENCE_S} s, yet not all was sent") from None


def carry(transfer: Transfer, pair: Pair, piece: FileSlice, take_bytes: int = 1 << 20) -> bytes:
    """The whole piece through a sender that does not block, received only when that is full."""
    pair.sender.setblocking(False)
    received = carry_on(transfer, pair, piece, 0, take_bytes)
    send_once(transfer, pair.sender, piece, piece.length)
    return received


def carry_on(
    transfer: Transfer, pair: Pair, piece: FileSlice, sent_bytes: int, take_bytes: int
) -> bytes:
    """Send what is left and receive all of the piece, also what was sent before."""
    received = bytearray()
    while len(received) < piece.length:
        before_bytes = sent_bytes
        sent_bytes = send_until_full(transfer, pair.sender, piece, sent_bytes)
        taken = _take_now(pair.receiver, take_bytes)
        received += taken
        if not taken and sent_bytes == before_bytes:
            senders = [pair.sender] if sent_bytes < piece.length else []
            ready = is_ready(PATIENCE_S, read=[pair.receiver], write=senders)
            require(ready, f"stands still after {sent_bytes} of {piece}")
    return bytes(received)


def _take_now(receiver: socket.socket, most_bytes: int) -> bytes:
    receiver.setblocking(False)
    try:
        taken = receiver.recv(most_bytes)
    except (BlockingIOError, ssl.SSLWantReadError):  # with TLS: not yet a whole record
        return b""
    require(taken != b"", "the stream ended before its time")
    return taken
