"""Parts `loop` (lab 04) and `transfer` (lab 05): the way from a file to a socket, as a function.

    transfer(sock, piece, sent_bytes) -> moved bytes
    loop(sock, piece, sent_bytes, chunk_bytes) -> moved bytes

Both take a connected socket, a `FileSlice` (`piece.file.fd`, `piece.position`, `piece.length`) and
how much of it has gone, and move some of the rest: see `Transfer.send`, whose promises they have to
keep, all of them. A transfer must leave no copy (the alias test, with sizes and positions drawn
anew: who copies from some size on is found at that size), a loop makes one on purpose and moves at
most `chunk_bytes` in a turn.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part
from zerocopy_lab.conformance.transfer_strategies import first_problem
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.measuring.alias_test import PROBE_BYTES, alias_test
from zerocopy_lab.transfer.connections import connected_pair
from zerocopy_lab.transfer.strategy import Transfer

Send = Callable[[socket.socket, FileSlice, int], int]
SendInChunks = Callable[[socket.socket, FileSlice, int, int], int]

_EXAM_LIMIT_S = 120.0
_CHECK_LIMIT_S = 15.0
_LOOP_CHUNK_BYTES = 4096
_PROBES = 14
_LARGEST_PROBE = 22  # as a power of two


_TO_THINK_OF = {
    "exact_bytes": "Where does what is left begin (piece.position + sent_bytes), and how much is "
    "it (piece.length - sent_bytes)?",
    "one_byte_at_a_time": "Here the socket takes less than it is offered. Return what the call "
    "says that it took: `send` tells, `sendall` does not.",
    "stalled_receiver": "Here the receiver pauses and the socket is full at last. One call a turn, "
    "and its result returned at once: for the rest you are called again.",
    "reset_receiver": "Here the receiver hangs up. The socket's error belongs to whoever called.",
    "shrinking_file": "Here the file ends before the slice does. What came is b'' then, or 0 bytes "
    "moved: return 0.",
}
"""What a learner may not have thought of, by the promise that was broken."""


def transfer_of(send: Send, strategy_name: str = "transfer") -> type[Transfer]:
    """A transfer strategy whose `send` is this function."""

    class Learners(Transfer):
        name = strategy_name

        def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
            return _checked(send(sock, piece, sent_bytes), piece.length - sent_bytes, self, piece)

    return Learners


def loop_of(loop: SendInChunks, strategy_name: str = "loop") -> type[Transfer]:
    """A transfer strategy whose turns are calls of this function."""

    class LearnersLoop(Transfer):
        name = strategy_name
        default_chunk_bytes = _LOOP_CHUNK_BYTES

        def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
            most = min(self.chunk_bytes, piece.length - sent_bytes)
            moved = loop(sock, piece, sent_bytes, self.chunk_bytes)
            return _checked(moved, most, self, piece)

    return LearnersLoop


def _checked(moved: Any, most_bytes: int, strategy: Transfer, piece: FileSlice) -> int:
    """What was returned, if it can be: whole, not negative, not more than was asked for."""
    if type(moved) is not int or not 0 <= moved <= most_bytes:
        raise TypeError(
            f"{strategy.name} returned {moved!r} where at most {most_bytes} bytes could be moved. "
            "How many did the call move? (With nothing left to move, 0.)"
        )
    if moved == 0 and most_bytes:  # a file that ends early, or a function that does nothing
        if os.fstat(piece.file.fd).st_size < piece.position + piece.length:
            return strategy.nothing_came(piece, 0)
        raise TypeError(
            f"{strategy.name} moved nothing, with {most_bytes} bytes left to move. A full socket "
            "raises BlockingIOError: let it, for 0 says that nothing is left."
        )
    return moved


def transfer(sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
    """Ours, for one cell: one sendfile(2)."""
    left_bytes = piece.length - sent_bytes
    if left_bytes == 0:
        return 0
    position = piece.position + sent_bytes
    return os.sendfile(sock.fileno(), piece.file.fd, position, left_bytes)


def loop(sock: socket.socket, piece: FileSlice, sent_bytes: int, chunk_bytes: int) -> int:
    """Ours, for one cell: one pread(2) and one send(2)."""
    count = min(chunk_bytes, piece.length - sent_bytes)
    chunk = os.pread(piece.file.fd, count, piece.position + sent_bytes)
    return sock.send(chunk) if chunk else 0


def _transfer_exam(send: Send, draw: random.Random) -> str:
    _begun(lambda sock, piece: send(sock, piece, 0))
    strategy = transfer_of(send)
    for number in range(_PROBES):  # a size from each range, so that no range goes untried
        low, high = (_LARGEST_PROBE * each / _PROBES for each in (number, number + 1))
        _leaves_no_copy(strategy, int(2 ** draw.uniform(low, high)), draw)
    _keeps_promises(strategy)
    return (
        "every promise of a transfer kept, and nobody copied: not in small pieces, not in large "
        "ones, not in the middle of a file."
    )


def _loop_exam(loop: SendInChunks, draw: random.Random) -> str:
    _begun(lambda sock, piece: loop(sock, piece, 0, _LOOP_CHUNK_BYTES))
    strategy = loop_of(loop)
    _keeps_promises(strategy)
    verdict = alias_test(strategy, probe_bytes=draw.randrange(1, PROBE_BYTES), before_bytes=17)
    if verdict.verdict != "copied":
        raise NotConforming("The right bytes, but nobody copied: this is to be the loop that does.")
    return "every promise of a transfer kept, a chunk at a time, each of them copied."


def _begun(call: Callable[[socket.socket, FileSlice], object]) -> None:
    """NotBegun for a function that answers None."""
    with tempfile.NamedTemporaryFile() as file, connected_pair("tcp") as pair:
        file.write(b"a few bytes")
        file.flush()
        if call(pair.sender, FileSlice(OpenFile.open(Path(file.name)), 0, 11)) is None:
            raise NotBegun


def _keeps_promises(strategy: type[Transfer]) -> None:
    if found := first_problem(strategy, _CHECK_LIMIT_S):
        told = f"{found.check} on a {found.family} socket: {found.problem}"
        raise NotConforming(f"{told}\n{_TO_THINK_OF.get(found.check, '')}".rstrip())


def _leaves_no_copy(strategy: type[Transfer], size_bytes: int, draw: random.Random) -> None:
    """The alias test with a size and a position that nobody knew beforehand."""
    before_bytes = draw.choice((0, draw.randrange(1 << 20)))
    verdict = alias_test(strategy, probe_bytes=size_bytes, before_bytes=before_bytes)
    where = f"in a piece of {size_bytes:,} bytes from position {before_bytes:,}"
    if "neither" in verdict.pages:
        raise NotConforming(
            f"Wrong bytes, {where}: neither what stood there nor what was written over it. Which "
            "position of the file do you name?"
        )
    if verdict.verdict != "alias":
        raise NotConforming(
            f"The right bytes, but copied, {where}: {verdict.detail}. Reading them makes them "
            "yours; which system call names the file and the socket at once?"
        )


TRANSFER = Part(
    "transfer",
    "05",
    "the way from file to socket, without a copy",
    "transfer(sock, piece, sent_bytes) -> moved bytes",
    transfer,
    _transfer_exam,
    _EXAM_LIMIT_S,
)

LOOP = Part(
    "loop",
    "04",
    "the way from file to socket through a buffer",
    "loop(sock, piece, sent_bytes, chunk_bytes) -> moved bytes",
    loop,
    _loop_exam,
    _EXAM_LIMIT_S,
)
