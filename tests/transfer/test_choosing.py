"""Choosing a strategy by name, what a machine may lack, and what is refused rather than guessed."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from zerocopy_lab.conformance.examiner import receive
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.transfer import MOST_BYTES_PER_CALL, make, strategies
from zerocopy_lab.transfer.connections import connected_pair, set_steady_congestion_control
from zerocopy_lab.transfer.encrypt_then_send import EncryptThenSend
from zerocopy_lab.transfer.sendfile_over_kernel_tls import SendfileOverKernelTls, kernel_encrypts

ROOT = Path(__file__).resolve().parents[2]


def test_every_strategy_by_its_name() -> None:
    names = list(strategies())
    assert names[0] == "read_then_send"
    assert (
        names.index("mmap_then_send") < names.index("sendfile") < names.index("encrypt_then_send")
    )
    for name, strategy in strategies().items():
        assert strategy.name == name
        if strategy.unavailable() is None:
            assert isinstance(make(name), strategy)


def test_an_unknown_name_brings_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'teleport'; choose one of read_then_send, .*sendfile"):
        make("teleport")


@pytest.mark.parametrize("chunk_bytes", [0, -1, MOST_BYTES_PER_CALL + 1])
def test_a_chunk_that_no_call_can_move(chunk_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"chunk_bytes is {chunk_bytes}; one call can move 1 to"):
        make("sendfile", chunk_bytes)


def test_the_largest_chunk_is_what_linux_moves_in_one_call() -> None:
    assert make("sendfile").chunk_bytes == MOST_BYTES_PER_CALL == 2**31 - 4096


MACOS = """
from zerocopy_lab.transfer import strategies
from zerocopy_lab.transfer.connections import connected_pair, set_steady_congestion_control
from zerocopy_lab.measuring import alias_test
from zerocopy_lab.measuring import receivers
for name, strategy in strategies().items():
    print(name, strategy.unavailable(), sep=": ")
with connected_pair("tcp") as pair:
    print(set_steady_congestion_control(pair.sender))
print(receivers.receiver_unavailable("dropping", "tcp"))
print(receivers.receiver_unavailable("splicing", "tcp"))
"""


def test_a_mac_has_what_it_has_and_says_why_not_the_rest() -> None:
    told = subprocess.run(
        [sys.executable, "-c", MACOS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "a_mac")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.splitlines() == [
        "read_then_send: None",
        "mmap_then_send: None",
        "sendfile: None",
        "splice_through_pipe: darwin has no splice(2)",
        "send_with_msg_zerocopy: darwin has no MSG_ZEROCOPY",
        "encrypt_then_send: None",
        "sendfile_over_kernel_tls: no kernel TLS on darwin known to this kit",
        "unknown",
        "darwin does not drop with MSG_TRUNC what has arrived over TCP",
        "darwin has no splice(2)",
    ]


def test_no_plaintext_where_tls_was_asked_for(tmp_path: Path) -> None:
    """Neither TLS strategy sends a byte on a connection that nobody encrypts."""
    path = tmp_path / "payload"
    path.write_bytes(b"secret")
    piece = FileSlice(OpenFile.open(path), 0, 6)
    for strategy in (EncryptThenSend, SendfileOverKernelTls):
        with connected_pair("tcp") as pair:
            assert not kernel_encrypts(pair.sender)
            with pytest.raises(TypeError):
                strategy().send(pair.sender, piece, 0)
            pair.sender.close()
            assert receive(pair.receiver, 100) == b""


def test_kernel_tls_is_asked_for_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Python that could, the kernel decides."""
    monkeypatch.setattr(ssl, "OP_ENABLE_KTLS", 8, raising=False)
    reason = SendfileOverKernelTls.unavailable()
    with connected_pair("tcp") as pair:
        refusal = refusal_of_kernel_tls(pair.sender)
    assert (reason is None) == (refusal is None)
    assert refusal is None or refusal in str(reason)


def refusal_of_kernel_tls(sock: socket.socket) -> str | None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
    except OSError as refused:
        return os.strerror(refused.errno or 0)
    return None


@pytest.mark.skipif(not hasattr(socket, "TCP_CONGESTION"), reason="the system does not tell")
def test_measured_sockets_are_not_paced() -> None:
    with connected_pair("tcp") as pair:
        pair.sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        name = set_steady_congestion_control(pair.sender)
        told = pair.sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        assert told.rstrip(b"\0").decode() == name
        assert name in ("cubic", "reno")


def test_a_unix_socket_has_no_congestion() -> None:
    with connected_pair("unix") as pair:
        assert set_steady_congestion_control(pair.sender) == "none"


def test_a_plain_broker_refuses_strategies_for_tls() -> None:
    command = [sys.executable, "-m", "zerocopy_lab", "serve", "--port", "0"]
    command += ["--transfer", "encrypt_then_send"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "encrypt_then_send sends over TLS" in ended.stderr
