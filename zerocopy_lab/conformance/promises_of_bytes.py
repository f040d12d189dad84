"""Promises about bytes: exactly those of the slice, whatever its position, length and chunk size.

Checks for `conformance`; each takes a `Trial` and raises NotConforming.
"""

from __future__ import annotations

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

from zerocopy_lab.conformance.examiner import (
    Trial,
    carry,
    receive,
    require,
    require_same,
    send_all,
    send_until_full,
    some_bytes,
)
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.transfer.strategy import MOST_BYTES_PER_CALL

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


def more_than_2_gib(trial: Trial) -> None:
    """One slice longer than any single call can move, of a sparse file; the receiver drops it."""
    mark = some_bytes(1000)
    piece = FileSlice(trial.file_of(b""), 3, MOST_BYTES_PER_CALL + 10_000)
    os.pwrite(piece.file.fd, mark, piece.position + piece.length - len(mark))
    transfer = trial.strategy()
    with trial.pair() as pair, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send_all, transfer, pair.sender, piece)
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
