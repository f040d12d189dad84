"""The examiner examined: strategies with one flaw each, and the check that must find it."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from zerocopy_lab.conformance import examiner, promises_in_trouble, promises_of_bytes
from zerocopy_lab.conformance import transfer_strategies as conformance
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.transfer import Transfer


class Honest(Transfer):
    """The example of the interface's documentation, for the flawed ones to inherit from."""

    name = "pread_then_send"

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        chunk = self.chunk(piece, sent_bytes)
        return sock.send(chunk) if chunk else self.nothing_came(piece, sent_bytes)

    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        count = min(65_536, self.chunk_bytes, piece.length - sent_bytes)
        return os.pread(piece.file.fd, count, piece.position + sent_bytes)


class BeyondTheSlice(Honest):
    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        return os.pread(piece.file.fd, 65_536, piece.position + sent_bytes)


class FromTheStartOfThePage(Honest):
    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        page = (piece.position + sent_bytes) // 4096 * 4096
        return os.pread(piece.file.fd, min(65_536, piece.length - sent_bytes), page)


class MovesTheFilesOwnOffset(Honest):
    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        os.lseek(piece.file.fd, piece.position + sent_bytes, os.SEEK_SET)
        return os.read(piece.file.fd, min(65_536, piece.length - sent_bytes))


class ForgetsWhatTheSocketLeft(Honest):
    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        chunk = self.chunk(piece, sent_bytes)
        sock.send(chunk)
        return len(chunk)


class KeepsAcrossSlices(Honest):
    kept: tuple[int, bytes] = (-1, b"")

    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        here = piece.position + sent_bytes
        if self.kept[0] != here and sent_bytes < piece.length:  # right position: of which file?
            self.kept = here, super().chunk(piece, sent_bytes)
        return self.kept[1][: piece.length - sent_bytes]


class SaysZeroWhenFull(Honest):
    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        try:
            return super().send(sock, piece, sent_bytes)
        except BlockingIOError:
            return 0


class SwallowsTheReset(Honest):
    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        try:
            return super().send(sock, piece, sent_bytes)
        except ConnectionError:
            return piece.length - sent_bytes


class FillsUpWithZeros(Honest):
    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        count = min(65_536, piece.length - sent_bytes)
        return super().chunk(piece, sent_bytes).ljust(count, b"\0")


class TouchesItsMapping(Transfer):
    name = "touches_its_mapping"

    mapping: mmap.mmap | None = None

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        if self.mapping is None:
            self.mapping = mmap.mmap(piece.file.fd, 0, prot=mmap.PROT_READ)
        at = piece.position + sent_bytes
        return sock.send(self.mapping[at : at + min(65_536, piece.length - sent_bytes)])


class LeaksDescriptors(Honest):
    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        os.dup(piece.file.fd)
        return super().chunk(piece, sent_bytes)


class RemembersTheFile(Honest):
    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        self.last_piece = piece
        return super().chunk(piece, sent_bytes)


class DiesOfASignal(Honest):
    def chunk(self, piece: FileSlice, sent_bytes: int) -> bytes:
        if signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
            raise InterruptedError
        return super().chunk(piece, sent_bytes)


class NeverComesBack(Honest):
    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        while True:
            time.sleep(1)


FLAWS = [
    (BeyondTheSlice, promises_of_bytes.exact_bytes, "bytes left to send"),
    (FromTheStartOfThePage, promises_of_bytes.exact_bytes, "is the first wrong"),
    (MovesTheFilesOwnOffset, promises_of_bytes.shared_file, "moved from 77"),
    (ForgetsWhatTheSocketLeft, promises_in_trouble.one_byte_at_a_time, "stands still"),
    (ForgetsWhatTheSocketLeft, promises_in_trouble.stalled_receiver, "stands still"),
    (ForgetsWhatTheSocketLeft, promises_in_trouble.signals_in_the_middle, "sent under a rain"),
    (KeepsAcrossSlices, promises_of_bytes.many_slices, "is the first wrong"),
    (SaysZeroWhenFull, promises_in_trouble.stalled_receiver, "returned 0"),
    (SwallowsTheReset, promises_in_trouble.reset_receiver, "receiver that had reset"),
    (FillsUpWithZeros, promises_in_trouble.shrinking_file, "from a file cut to"),
    (TouchesItsMapping, promises_in_trouble.shrinking_file, "died of SIGBUS"),
    (LeaksDescriptors, promises_of_bytes.nothing_left_open, "still open"),
    (RemembersTheFile, promises_of_bytes.file_let_go, "has been sent are open"),
    (DiesOfASignal, promises_in_trouble.signals_in_the_middle, "InterruptedError"),
]


@pytest.mark.parametrize(
    ("flawed", "check", "words"), FLAWS, ids=lambda given: getattr(given, "__name__", "")
)
def test_finds_the_flaw(
    flawed: type[Transfer],
    check: conformance.Check,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examiner, "PATIENCE_S", 1.0)
    problem = examiner.what_is_wrong(check, examiner.Trial(flawed, "tcp", tmp_path))
    assert words in str(problem)


def test_comes_back_from_one_that_does_not(tmp_path: Path) -> None:
    trial = examiner.Trial(NeverComesBack, "tcp", tmp_path)
    problem = examiner.what_is_wrong(promises_of_bytes.one_byte_chunks, trial, 1.0)
    assert problem == "it did not come back within 1 s"


def test_finds_no_flaw_in_an_honest_strategy() -> None:
    findings = conformance.check_conformance(Honest)
    assert {finding.family for finding in findings} == {"tcp", "unix"}
    assert len(findings) == 2 * len(conformance.CHECKS)
    assert [finding for finding in findings if finding.problem] == []


def test_refuses_what_the_machine_has_not() -> None:
    class Elsewhere(Honest):
        @classmethod
        def unavailable(cls) -> str | None:
            return "only on the moon"

    with pytest.raises(ValueError, match="only on the moon"):
        conformance.check_conformance(Elsewhere)
