"""Kernel TLS was asked for, and the kernel does not take the cipher: our own encryption instead."""

from __future__ import annotations

import logging
import socket
import threading
from pathlib import Path

import pytest

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.network import tls
from zerocopy_lab.network.tls import KernelTlsOrOurs
from zerocopy_lab.transfer.connections import pair_for
from zerocopy_lab.transfer.encrypt_then_send import EncryptThenSend


def send_all(transfer: KernelTlsOrOurs, sock: socket.socket, piece: FileSlice) -> None:
    sent_bytes = 0
    while sent_bytes < piece.length:
        sent_bytes += transfer.send(sock, piece, sent_bytes)


def test_the_bytes_arrive_and_the_cipher_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "kernel_encrypts", lambda _: False)
    monkeypatch.setattr(KernelTlsOrOurs, "_ciphers_said", set())
    payload = bytes(range(256)) * 1000
    path = tmp_path / "payload"
    path.write_bytes(payload)
    piece = FileSlice(OpenFile.open(path), 100, 200_000)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pair_for(EncryptThenSend, "tcp") as pair:
                transfer = KernelTlsOrOurs()
                sending = threading.Thread(target=send_all, args=(transfer, pair.sender, piece))
                sending.start()
                received = bytearray()
                while len(received) < piece.length:
                    received += pair.receiver.recv(1 << 16)
                sending.join(10)
                transfer.close()
            assert received == payload[100:200_100]
    assert caplog.text.count("encrypt_then_send for these connections") == 1


def test_where_the_kernel_encrypts_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "kernel_encrypts", lambda _: True)
    with pair_for(EncryptThenSend, "tcp") as pair:
        assert KernelTlsOrOurs()._choose(pair.sender) == "sendfile_over_kernel_tls"
