"""What every transfer strategy must keep, as checks to run over any of them, a student's own
included.

    for finding in check_conformance(MyStrategy):
        print(finding)

A check is a function of one `Trial` (strategy, kind of socket, directory) that raises
NotConforming. It looks at bytes, counts and errors; its one clock is a limit on standing still, so
that a strategy that hangs is reported. `more_than_2_gib` takes seconds and is run only when asked
for.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.errors import FileShrank
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.transfer.connections import Family
from zerocopy_lab.transfer.examiner import (
    PATIENCE_S,
    NotConforming,
    Trial,
    carry,
    carry_on,
    in_a_child,
    receive,
    require,
    require_same,
    send_once,
    send_until_full,
    some_bytes,
)
from zerocopy_lab.transfer.strategy import MOST_BYTES_PER_CALL, Transfer

PAGE_BYTES = 4096
FILE_BYTES = 600_001
MORE_THAN_THE_SOCKET_HOLDS = 3 << 20


def exact_bytes(trial: Trial) -> None:
    """Offsets inside a page, lengths 0, 1, odd and large, several chunk sizes; no byte beyond."""
    content = some_bytes(FILE_BYTES)
    opened = trial.file_of(content)
    positions = (0, 1, PAGE_BYTES - 1, PAGE_BYTES, 123_457)
    lengths = (0, 1, 3, PAGE_BYTES - 1, PAGE_BYTES, 2 * PAGE_BYTES + 1, FILE_BYTES - 123_457)
    for chunk_bytes in (None, 1000, PAGE_BYTES, 65_537):
        transfer = trial.strategy(chunk_bytes)
        with trial.pair() as pair:
            for piece in (FileSlice(opened, p, n) for p in positions for n in lengths):
                expected = content[piece.position : piece.position + piece.length]
                what = f"{piece}, chunk_bytes={chunk_bytes}"
                require_same(carry(transfer, pair, piece), expected, what)
            transfer.close()
            pair.sender.close()
            require(receive(pair.receiver, 1) == b"", "bytes beyond the slices were sent")


def one_byte_chunks(trial: Trial) -> None:
    """chunk_bytes=1, the smallest there is."""
    content = some_bytes(999)
    transfer = trial.strategy(1)
    with trial.pair() as pair:
        piece = FileSlice(trial.file_of(content), 1, 997)
        require_same(carry(transfer, pair, piece), content[1:998], "997 bytes one by one")
        transfer.close()


def many_slices(trial: Trial) -> None:
    """Nothing of one slice leaks into the next, of the same file or another."""
    contents = [some_bytes(FILE_BYTES, seed) for seed in (1, 2)]
    files = [trial.file_of(content) for content in contents]
    transfer = trial.strategy(10_000)
    with trial.pair() as pair:
        for position, length in ((0, 50_001), (0, 12_000), (50_001, 9_999), (12_000, 100_000)):
            for opened, content in zip(files, contents, strict=True):
                received = carry(transfer, pair, FileSlice(opened, position, length))
                require_same(received, content[position : position + length], f"{opened}")
        transfer.close()


def shared_file(trial: Trial) -> None:
    """Many connections share one open file: its own offset must stay where it is."""
    opened = trial.file_of(some_bytes(FILE_BYTES))
    os.lseek(opened.fd, 77, os.SEEK_SET)
    transfer = trial.strategy()
    with trial.pair() as pair:
        carry(transfer, pair, FileSlice(opened, 5, 300_000))
        transfer.close()
    offset = os.lseek(opened.fd, 0, os.SEEK_CUR)
    require(offset == 77, f"the offset that all users of the file share moved from 77 to {offset}")


def stalled_receiver(trial: Trial) -> None:
    """Nobody receives: BlockingIOError each time it is tried; later every byte comes, once."""
    content = some_bytes(MORE_THAN_THE_SOCKET_HOLDS)
    piece = FileSlice(trial.file_of(content), 1, len(content) - 1)
    transfer = trial.strategy()
    with trial.pair(buffer_bytes=16_384) as pair:
        pair.sender.setblocking(False)
        sent_bytes = 0
        for _ in range(4):
            sent_bytes = send_until_full(transfer, pair.sender, piece, sent_bytes)
        require(sent_bytes < piece.length, f"a full socket took {sent_bytes} bytes")
        received = carry_on(transfer, pair, piece, sent_bytes, take_bytes=50_000)
        require_same(received, content[1:], "after a stall")
        transfer.close()


def one_byte_at_a_time(trial: Trial) -> None:
    """A receiver that takes single bytes."""
    content = some_bytes(40_011)
    transfer = trial.strategy()
    with trial.pair(buffer_bytes=4096) as pair:
        piece = FileSlice(trial.file_of(content), 11, 40_000)
        received = carry(transfer, pair, piece, take_bytes=1)
        require_same(received, content[11:], "received byte by byte")
        transfer.close()


def reset_receiver(trial: Trial) -> None:
    """The receiver resets in the middle: an error of the socket, not 0, not silence."""
    piece = FileSlice(trial.file_of(some_bytes(MORE_THAN_THE_SOCKET_HOLDS)), 0, 3 << 20)
    transfer = trial.strategy()
    with trial.pair(buffer_bytes=16_384) as pair:
        pair.sender.setblocking(False)
        sent_bytes = send_until_full(transfer, pair.sender, piece, 0)
        at_once = struct.pack(
            "ii", 1, 0
        )  # unread and unsent bytes are dropped: a reset, not an end
        pair.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        pair.receiver.close()
        try:
            while select.select([], [pair.sender], [], PATIENCE_S)[1]:
                sent_bytes = send_until_full(transfer, pair.sender, piece, sent_bytes)
                require(sent_bytes < piece.length, "all was sent to a receiver that had reset")
        except FileShrank as wrong:
            raise NotConforming(f"a reset was reported as {wrong!r}") from wrong
        except OSError:
            transfer.close()
            return
    raise NotConforming(f"no error for {PATIENCE_S} s after the receiver's reset")


def shrinking_file(trial: Trial) -> None:
    """The file is cut while it is being sent: FileShrank, unless all of it was taken before."""
    for left_bytes in (0, 1, PAGE_BYTES, 500_000, MORE_THAN_THE_SOCKET_HOLDS - 1):
        for blocking in (False, True):
            _cut_while_sending(trial, left_bytes, blocking)


def _cut_while_sending(trial: Trial, left_bytes: int, blocking: bool) -> None:
    content = some_bytes(MORE_THAN_THE_SOCKET_HOLDS)
    piece = FileSlice(trial.file_of(content), 0, len(content))
    transfer = trial.strategy()
    with trial.pair(buffer_bytes=16_384) as pair, ThreadPoolExecutor(1) as thread:
        pair.sender.setblocking(blocking)
        sending = thread.submit(_send_all, transfer, pair.sender, piece)
        received = bytearray(receive(pair.receiver, 1))  # so it has begun
        os.ftruncate(piece.file.fd, left_bytes)
        while more := receive(pair.receiver, 1 << 20):
            received += more
        if sending.exception() is None:  # a strategy may have read all of it before the cut
            require_same(bytes(received), content, f"sent from a file cut to {left_bytes} bytes")
        elif not isinstance(sending.exception(), FileShrank):
            raise NotConforming(f"a cut to {left_bytes} raised {sending.exception()!r}")
        transfer.close()


def _send_all(transfer: Transfer, sender: socket.socket, piece: FileSlice) -> None:
    """Send everything, waiting where the socket does not block; end the stream in any case."""
    sent_bytes = 0
    try:
        while sent_bytes < piece.length:
            try:
                sent_bytes += send_once(transfer, sender, piece, sent_bytes)
            except BlockingIOError:
                require(bool(select.select([], [sender], [], PATIENCE_S)[1]), "not writable again")
    finally:
        with suppress(OSError):
            sender.shutdown(socket.SHUT_WR)


def signals_in_the_middle(trial: Trial) -> None:
    """A signal every 2 ms during a blocking send; the receiver takes a little after each."""
    content = some_bytes(MORE_THAN_THE_SOCKET_HOLDS)
    piece = FileSlice(trial.file_of(content), 0, len(content))
    ticks_read, ticks_write = os.pipe()
    received = bytearray()

    with trial.pair(buffer_bytes=16_384) as pair, ThreadPoolExecutor(1) as thread:

        def take_a_little_after_each_tick() -> None:
            while os.read(ticks_read, 1) and (taken := receive(pair.receiver, 100_000)):
                received.extend(taken)

        signal.signal(signal.SIGALRM, lambda *_: os.write(ticks_write, b"t") and None)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        taking = thread.submit(take_a_little_after_each_tick)
        _send_all(trial.strategy(), pair.sender, piece)
        taking.result()
        signal.setitimer(signal.ITIMER_REAL, 0)
    require_same(bytes(received), content, "sent under a rain of signals")


def nothing_left_open(trial: Trial) -> None:
    """close() in the middle of a slice gives every descriptor back; twice is harmless."""
    opened = trial.file_of(some_bytes(MORE_THAN_THE_SOCKET_HOLDS))
    with trial.pair(buffer_bytes=16_384) as pair:
        pair.sender.setblocking(False)
        before = len(os.listdir("/dev/fd"))
        transfer = trial.strategy()
        send_until_full(transfer, pair.sender, FileSlice(opened, 0, 3 << 20), 0)
        transfer.close()
        transfer.close()
        after = len(os.listdir("/dev/fd"))
    require(before == after, f"{after - before} descriptors are still open after close()")


def file_let_go(trial: Trial) -> None:
    """A slice that has been sent is forgotten: a deleted segment must leave the disk."""
    transfer = trial.strategy()
    with trial.pair() as pair:
        opened = trial.file_of(some_bytes(FILE_BYTES))
        file = os.fstat(opened.fd)
        carry(transfer, pair, FileSlice(opened, 0, FILE_BYTES))
        del opened
        still_open = [
            number for number in os.listdir("/dev/fd") if _is_descriptor_of(int(number), file)
        ]
        require(not still_open, f"descriptors {still_open} of a file that has been sent are open")
        transfer.close()


def _is_descriptor_of(number: int, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(number), file)
    except OSError:  # the one that listed the descriptors
        return False


def more_than_2_gib(trial: Trial) -> None:
    """One slice longer than any single call can move, of a sparse file; the receiver drops it."""
    mark = some_bytes(1000)
    piece = FileSlice(trial.file_of(b""), 3, MOST_BYTES_PER_CALL + 10_000)
    os.pwrite(piece.file.fd, mark, piece.position + piece.length - len(mark))
    transfer = trial.strategy()
    with trial.pair() as pair, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(_send_all, transfer, pair.sender, piece)
        # Linux drops TCP bytes uncopied when asked with MSG_TRUNC; all others are received.
        drops = sys.platform == "linux" and trial.family == "tcp" and not trial.strategy.needs_tls
        flags = socket.MSG_TRUNC if drops else 0
        bin_, left_bytes = bytearray(1 << 20), piece.length - len(mark)
        while left_bytes:
            left_bytes -= pair.receiver.recv_into(bin_, min(left_bytes, len(bin_)), flags)
        rest = b""
        while more := receive(pair.receiver, 1 << 20):
            rest += more
        sending.result()
        transfer.close()
    require_same(rest, mark, f"the last bytes of {piece.length}")


Check = Callable[[Trial], None]

CHECKS: tuple[Check, ...] = (
    exact_bytes,
    one_byte_chunks,
    many_slices,
    shared_file,
    stalled_receiver,
    one_byte_at_a_time,
    reset_receiver,
    shrinking_file,
    signals_in_the_middle,
    nothing_left_open,
    file_let_go,
)


class Finding(NamedTuple):
    """What one check found; `problem` is None where the promise was kept."""

    check: str
    family: Family
    problem: str | None


def families_of(strategy: type[Transfer]) -> tuple[Family, ...]:
    """The kinds of socket that the strategy is made for."""
    return ("tcp",) if strategy.tcp_only else ("tcp", "unix")


def check_conformance(
    strategy: type[Transfer],
    directory: Path | None = None,
    checks: Iterable[Check] = CHECKS,
) -> list[Finding]:
    """Run every check on every kind of socket, with files in `directory` (None: a temporary one).

    Raises ValueError when this machine cannot run the strategy at all.
    """
    if reason := strategy.unavailable():
        raise ValueError(f"{strategy.name} is not available here: {reason}")
    with tempfile.TemporaryDirectory(dir=directory) as files:
        return [
            Finding(check.__name__, family, in_a_child(check, Trial(strategy, family, Path(files))))
            for family in families_of(strategy)
            for check in checks
        ]
