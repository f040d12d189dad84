"""Promises about trouble: receivers that stall, dawdle or reset, files that shrink, signals.

Checks for `conformance`; each takes a `Trial` and raises NotConforming.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

from zerocopy_lab.conformance.examiner import (
    PATIENCE_S,
    NotConforming,
    Trial,
    carry,
    carry_on,
    receive,
    require,
    require_same,
    send_all,
    send_until_full,
    some_bytes,
)
from zerocopy_lab.errors import FileShrank
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.transfer.connections import is_ready

PAGE_BYTES = 4096
MORE_THAN_THE_SOCKET_HOLDS = 3 << 20


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
            while is_ready(PATIENCE_S, write=[pair.sender]):
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
        sending = thread.submit(send_all, transfer, pair.sender, piece)
        received = bytearray(receive(pair.receiver, 1))  # so it has begun
        os.ftruncate(piece.file.fd, left_bytes)
        while more := receive(pair.receiver, 1 << 20):
            received += more
        if sending.exception() is None:  # a strategy may have read all of it before the cut
            require_same(bytes(received), content, f"sent from a file cut to {left_bytes} bytes")
        elif not isinstance(sending.exception(), FileShrank):
            raise NotConforming(f"a cut to {left_bytes} raised {sending.exception()!r}")
        transfer.close()


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
        send_all(trial.strategy(), pair.sender, piece)
        taking.result()
        signal.setitimer(signal.ITIMER_REAL, 0)
    require_same(bytes(received), content, "sent under a rain of signals")
