"""Receivers in processes of their own: what they take, what they refuse, that they leave."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import get_args

import psutil
import pytest

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.measuring.receivers import Kind, RunningReceiver, receiver_unavailable
from zerocopy_lab.transfer import make
from zerocopy_lab.transfer.connections import Family, connected_pair

PAYLOAD_BYTES = 5_000_001
RECORD_BYTES = 16_384


def receiver_or_skip(
    kind: Kind, family: Family = "tcp", *, cpu: int | None = None, tls: bool = False
) -> RunningReceiver:
    if reason := receiver_unavailable(kind, family):
        pytest.skip(reason)
    return RunningReceiver(kind, family, cpu=cpu, tls=tls)


@pytest.mark.parametrize(
    ("kind", "family"),
    [(k, f) for k in get_args(Kind) for f in get_args(Family) if (k, f) != ("dropping", "unix")],
)
def test_takes_every_byte(kind: Kind, family: Family) -> None:
    with receiver_or_skip(kind, family) as receiver:
        receiver.sock.sendall(bytes(PAYLOAD_BYTES))
        received = receiver.finish()
        assert received.received_bytes == PAYLOAD_BYTES
        assert received.cpu_s == received.user_s + received.system_s >= 0
        assert psutil.pid_exists(receiver.pid)  # its meters can still be read
    assert not psutil.pid_exists(receiver.pid)


def test_a_unix_socket_has_no_dropping_receiver() -> None:
    with pytest.raises(ValueError, match="copies whatever it is asked to drop"):
        RunningReceiver("dropping", "unix")


@pytest.mark.skipif(sys.platform != "linux", reason="MSG_TRUNC drops on Linux only")
def test_why_a_unix_socket_has_none() -> None:
    """It ignores MSG_TRUNC: the bytes are copied to us although we asked to drop them."""
    with connected_pair("unix") as pair:
        pair.sender.sendall(b"payload")
        into = bytearray(7)
        assert pair.receiver.recv_into(into, 7, socket.MSG_TRUNC) == 7
        assert into == b"payload"


@pytest.mark.skipif(sys.platform != "linux", reason="MSG_TRUNC drops on Linux only")
def test_tcp_drops() -> None:
    with connected_pair("tcp") as pair:
        pair.sender.sendall(b"payload")
        into = bytearray(7)
        assert pair.receiver.recv_into(into, 7, socket.MSG_TRUNC) == 7
        assert into == bytes(7)


def test_a_touching_receiver_decrypts(tmp_path: Path) -> None:
    path = tmp_path / "payload"
    path.write_bytes(bytes(PAYLOAD_BYTES))
    piece = FileSlice(OpenFile.open(path), 0, PAYLOAD_BYTES)
    with receiver_or_skip("touching", tls=True) as receiver:
        transfer, sent_bytes = make("encrypt_then_send"), 0
        while sent_bytes < PAYLOAD_BYTES:
            sent_bytes += transfer.send(receiver.sock, piece, sent_bytes)
        assert receiver.finish().received_bytes == PAYLOAD_BYTES


@pytest.mark.parametrize("kind", ["dropping", "splicing"])
def test_the_others_take_ciphertext(kind: Kind) -> None:
    with receiver_or_skip(kind, tls=True) as receiver:
        for _ in range(100):
            receiver.sock.sendall(bytes(RECORD_BYTES))
        # TLS 1.2 with AES-GCM adds 5 bytes of header, 8 of nonce and 16 of tag to each record.
        assert receiver.finish().received_bytes == 100 * (RECORD_BYTES + 29)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no pinning on this system")
def test_is_pinned_when_asked() -> None:
    cpu = max(os.sched_getaffinity(0))
    with receiver_or_skip("touching", cpu=cpu) as receiver:
        assert os.sched_getaffinity(receiver.pid) == {cpu}


def test_says_when_its_process_has_failed(capfd: pytest.CaptureFixture[str]) -> None:
    with receiver_or_skip("touching") as receiver:
        psutil.Process(receiver.pid).kill()
        with pytest.raises(RuntimeError, match=f"process {receiver.pid} failed"):
            receiver.finish()


def test_leaves_when_its_user_fails() -> None:
    with pytest.raises(ZeroDivisionError), receiver_or_skip("touching") as receiver:
        receiver.sock.sendall(bytes(1 // 0))
    assert not psutil.pid_exists(receiver.pid)
