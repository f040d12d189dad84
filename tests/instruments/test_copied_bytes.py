from __future__ import annotations

import os
import socket
import subprocess

import pytest

from zerocopy_lab.instruments.copied_bytes import counting_copied_bytes, why_no_copied_bytes
from zerocopy_lab.instruments.unavailable import Unavailable

SENT_BYTES = 3_000_000


@pytest.fixture
def counted() -> None:
    if reason := why_no_copied_bytes():
        pytest.skip(f"perf: {reason}")


def loopback() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = socket.create_connection(listener.getsockname())
        return listener.accept()[0], receiver


def pass_on(sender: socket.socket, receiver: socket.socket, flags: int) -> int:
    """Send and receive by turns, so that no thread is needed; returns the bytes received."""
    received_bytes, piece = 0, bytes(30_000)
    for _ in range(SENT_BYTES // len(piece)):
        sender.sendall(piece)
        expected = received_bytes + len(piece)
        while received_bytes < expected:
            received_bytes += receiver.recv_into(
                bytearray(expected - received_bytes), expected - received_bytes, flags
            )
    return received_bytes


@pytest.mark.usefixtures("counted")
def test_a_receiver_that_takes_the_bytes_has_them_all_copied() -> None:
    sender, receiver = loopback()
    with sender, receiver, counting_copied_bytes(os.getpid()) as copied:
        assert pass_on(sender, receiver, 0) == SENT_BYTES
    assert copied.copied_bytes == SENT_BYTES
    assert copied.copies > 0


@pytest.mark.usefixtures("counted")
def test_a_receiver_that_drops_them_has_none_copied() -> None:
    sender, receiver = loopback()
    with sender, receiver, counting_copied_bytes(os.getpid()) as copied:
        assert pass_on(sender, receiver, socket.MSG_TRUNC) == SENT_BYTES
    assert (copied.copied_bytes, copied.copies) == (0, 0)


def test_without_perf_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    why_no_copied_bytes.cache_clear()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert why_no_copied_bytes() == "there is no perf on PATH"


@pytest.mark.usefixtures("counted")
def test_lost_events_are_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real_run = subprocess.run

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        done = real_run(*arguments, **options)  # type: ignore[call-overload]
        done.stdout += "PERF_RECORD_LOST lost 7\n"
        return done

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Unavailable, match="lost events"), counting_copied_bytes(os.getpid()):
        pass
