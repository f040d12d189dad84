"""The outbox and the server with every strategy, plain and under TLS: none makes a difference."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.network.conftest import serving
from zerocopy_lab.errors import FileShrank
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.network.outbox import TURN_BYTES, Outbox
from zerocopy_lab.network.server import ListenerSettings, NetworkServer
from zerocopy_lab.network.tls import TlsSocket
from zerocopy_lab.protocol.framing import Client, Now, Piece, Pieces, Reply, framed
from zerocopy_lab.transfer import Transfer, make, strategies
from zerocopy_lab.transfer.anonymous_tls import anonymous_contexts
from zerocopy_lab.transfer.connections import Pair, connected_pair, is_ready
from zerocopy_lab.transfer.send_with_msg_zerocopy import SendWithMsgZerocopy

MIB = 1 << 20
FILE_BYTES = 3 * MIB + 17
PATIENCE_S = 10.0
SERVER_TLS, CLIENT_TLS = anonymous_contexts()
SERVER_TLS.sslsocket_class = TlsSocket


def available(name: str) -> str:
    if reason := strategies()[name].unavailable():
        pytest.skip(reason)
    return name


@pytest.fixture(params=strategies())
def name(request: pytest.FixtureRequest) -> str:
    return available(request.param)


@pytest.fixture
def payload() -> bytes:
    return random.Random(7).randbytes(FILE_BYTES)


@pytest.fixture
def file(tmp_path: Path, payload: bytes) -> OpenFile:
    path = tmp_path / "00000000000000000000.log"
    path.write_bytes(payload)
    return OpenFile.open(path)


def on_the_wire(pieces: Pieces, payload: bytes) -> bytes:
    """What the pieces mean, by reading the file, as the outbox never does."""
    return b"".join(
        payload[piece.position : piece.position + piece.length]
        if isinstance(piece, FileSlice)
        else piece
        for piece in pieces
    )


@contextlib.contextmanager
def connected(name: str, buffer_bytes: int | None = None) -> Iterator[Pair]:
    """A connection as the strategy needs it; its sender does not block."""
    plain = connected_pair("tcp", buffer_bytes)
    pair = under_tls(plain) if strategies()[name].needs_tls else plain
    with pair:
        pair.sender.setblocking(False)
        pair.receiver.settimeout(PATIENCE_S)
        yield pair


def under_tls(plain: Pair) -> Pair:
    with ThreadPoolExecutor(1) as thread:
        accepting = thread.submit(SERVER_TLS.wrap_socket, plain.sender, server_side=True)
        receiver = CLIENT_TLS.wrap_socket(plain.receiver)
        return Pair(accepting.result(), receiver)


def drain_all(outbox: Outbox, sender: socket.socket) -> None:
    """Drain as an event loop does, and end the stream, also when that fails."""
    try:
        while not outbox.drain():
            assert is_ready(PATIENCE_S, write=[sender]), "stands still"
    finally:
        sender.shutdown(socket.SHUT_WR)


def drain_into(outbox: Outbox, pair: Pair, take_bytes: int) -> bytes:
    """What a receiver gets that takes so many bytes at a time."""
    with ThreadPoolExecutor(1) as thread:
        receiving = thread.submit(receive_until_end, pair.receiver, take_bytes)
        drain_all(outbox, pair.sender)
        return receiving.result()


# -- the outbox alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("take_bytes", [1000, 100_000])
def test_bytes_and_slices_in_their_order(
    name: str, file: OpenFile, payload: bytes, tmp_path: Path, take_bytes: int
) -> None:
    """Two responses of several slices; the second joins while the first is half sent."""
    first: list[Piece] = [b"head", FileSlice(file, 4095, 70_000), b"", b"middle"]
    first += [FileSlice(file, 74_095, 0), FileSlice(file, 74_095, 200_001), b"tail"]
    second: list[Piece] = [b"h" * 50_000, FileSlice(file, 1, 300_000), FileSlice(file, 0, 1)]
    with connected(name, buffer_bytes=16_384) as pair, closing(make(name)) as transfer:
        outbox = Outbox(pair.sender, transfer)
        outbox.put(first)
        assert not outbox.drain()
        outbox.put(second)
        assert drain_into(outbox, pair, take_bytes) == on_the_wire(first + second, payload)
    assert not outbox
    assert outbox.would_blocks > 0
    assert outbox.file_bytes == 70_000 + 200_001 + 300_000 + 1


def test_a_turn_ends_although_the_socket_would_take_more(name: str, tmp_path: Path) -> None:
    """Others get their turn; one call may carry it beyond, by no more than that call."""
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 4 * TURN_BYTES)
    piece = FileSlice(OpenFile.open(path), 0, 4 * TURN_BYTES)
    with (
        connected(name) as pair,
        closing(make(name, 64 * 1024)) as transfer,
        ThreadPoolExecutor(1) as thread,
    ):
        pair.sender.setblocking(True)  # such a socket always takes more
        receiving = thread.submit(receive_until_end, pair.receiver, MIB)
        outbox = Outbox(pair.sender, transfer)
        outbox.put([piece])
        try:
            for turn in range(1, 4):
                assert not outbox.drain()
                assert outbox.file_bytes == turn * TURN_BYTES
            assert outbox.drain()
        finally:
            pair.sender.shutdown(socket.SHUT_WR)
        assert receiving.result() == bytes(4 * TURN_BYTES)


def test_a_client_that_never_reads_costs_no_memory(name: str, tmp_path: Path) -> None:
    """A thousand responses of 1 GiB wait: a few hundred bytes each, whatever the strategy."""
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 1 << 30)
    with connected(name, buffer_bytes=16_384) as pair, closing(make(name)) as transfer:
        file, outbox = OpenFile.open(path), Outbox(pair.sender, transfer)
        outbox.put([FileSlice(file, 0, 1 << 30)])
        outbox.drain()
        tracemalloc.start()
        try:
            for _ in range(1000):
                outbox.put([b"head", FileSlice(file, 0, 1 << 30)])
                assert not outbox.drain()
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 1000 * 500


def test_a_reset_is_raised(name: str, file: OpenFile) -> None:
    with connected(name, buffer_bytes=16_384) as pair, closing(make(name)) as transfer:
        outbox = Outbox(pair.sender, transfer)
        outbox.put([b"head", FileSlice(file, 0, FILE_BYTES)])
        assert not outbox.drain()
        reset(pair.receiver)
        with pytest.raises(OSError) as raised:  # noqa: PT011 - TLS has a class of its own for it
            drain_all(outbox, pair.sender)
        assert not isinstance(raised.value, FileShrank)
        assert outbox


def test_a_file_that_shrank_is_raised(name: str, file: OpenFile) -> None:
    with connected(name) as pair, closing(make(name)) as transfer:
        outbox = Outbox(pair.sender, transfer)
        outbox.put([b"head", FileSlice(file, 0, FILE_BYTES), b"never sent"])
        os.truncate(file.path, 100)
        with pytest.raises(FileShrank, match=r"00000000000000000000\.log"):
            drain_into(outbox, pair, 100_000)
        assert outbox


# -- the whole network -----------------------------------------------------------------------------


class Running(NamedTuple):
    server: NetworkServer
    protocol: str
    transfers: list[Transfer]

    def connect(self) -> socket.socket:
        sock = socket.socket()
        # Small and set before connecting, so that a response fills it many times over.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        sock.settimeout(PATIENCE_S)
        sock.connect(self.server.addresses[self.protocol])
        return CLIENT_TLS.wrap_socket(sock) if self.protocol == "SSL" else sock


@pytest.fixture
def running(name: str, file: OpenFile) -> Iterator[Running]:
    """Answers (position, length) with that slice between two words."""
    with sending(name, file) as found:
        yield found


@contextlib.contextmanager
def sending(name: str, file: OpenFile) -> Iterator[Running]:
    transfers: list[Transfer] = []

    def new_transfer() -> Transfer:
        transfers.append(make(name))
        return transfers[-1]

    def handle(frame: memoryview, client: Client) -> Reply:
        position, length = struct.unpack(">qq", frame)
        return Now([b"begin", FileSlice(file, position, length), b"end"])

    tls = strategies()[name].needs_tls
    door = ListenerSettings("SSL", "127.0.0.1", 0, new_transfer, SERVER_TLS)
    changes: dict[str, Any] = {"transfer": new_transfer}
    if tls:
        changes = {"transfer": partial(make, "read_then_send"), "more_listeners": (door,)}
    with serving(handle, send_buffer_bytes=16_384, **changes) as server:
        yield Running(server, "SSL" if tls else "PLAINTEXT", transfers)


def request(position: int, length: int) -> bytes:
    return framed(struct.pack(">qq", position, length))


def receive_exactly(sock: socket.socket, length: int, take_bytes: int = MIB) -> bytes:
    received = bytearray()
    while len(received) < length:
        came = sock.recv(min(take_bytes, length - len(received)))
        assert came, f"hung up after {len(received)} of {length} bytes"
        received += came
    return bytes(received)


def answer_to(sock: socket.socket, payload: bytes, position: int, length: int) -> None:
    """Ask and check every byte."""
    sock.sendall(request(position, length))
    expected = b"begin" + payload[position : position + length] + b"end"
    assert receive_exactly(sock, len(expected)) == expected


def test_slow_and_fast_clients_side_by_side(running: Running, payload: bytes) -> None:
    with running.connect() as slow, running.connect() as fast:
        slow.sendall(request(1, 300_000))
        received = bytearray()
        for position in range(0, 2 * MIB, 99_991):
            received += receive_exactly(slow, 1000, take_bytes=100)
            answer_to(fast, payload, position, 123_457)
        received += receive_exactly(slow, len(b"begin") + 300_000 + len(b"end") - len(received))
        assert received == b"begin" + payload[1:300_001] + b"end"


def test_many_requests_at_once_are_answered_in_order(running: Running, payload: bytes) -> None:
    """All are sent before the first answer is read."""
    wanted = [(position, 40_000 + position) for position in range(0, 40_000, 3_999)]
    with running.connect() as client:
        client.sendall(b"".join(request(*each) for each in wanted))
        for position, length in wanted:
            expected = b"begin" + payload[position : position + length] + b"end"
            assert receive_exactly(client, len(expected)) == expected


def test_resets_leave_nothing_behind(running: Running, payload: bytes) -> None:
    """Clients that reset in the middle of an answer cost others nothing, and no descriptor."""
    with running.connect() as steady:
        answer_to(steady, payload, 0, 1000)
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            client = running.connect()
            client.sendall(request(0, FILE_BYTES))
            receive_exactly(client, 50_000)
            reset(client)
            answer_to(steady, payload, 5, 200_000)
        wait_until(lambda: len(running.server.connections()) == 1)
        wait_until(lambda: len(os.listdir("/dev/fd")) <= before)


def test_a_file_that_shrinks_ends_one_connection(
    running: Running, payload: bytes, file: OpenFile, caplog: pytest.LogCaptureFixture
) -> None:
    with running.connect() as unlucky, running.connect() as lucky:
        unlucky.sendall(request(0, FILE_BYTES))
        receive_exactly(unlucky, 1000)
        os.truncate(file.path, 1000)
        with caplog.at_level(logging.WARNING):
            assert received_until_hung_up(unlucky) < FILE_BYTES - 1000
        assert [record for record in caplog.records if file.path.name in record.getMessage()]
        answer_to(lucky, payload, 0, 1000)


def test_reports_of_zerocopy_are_taken_while_idle(file: OpenFile, payload: bytes) -> None:
    """Left in the error queue they would wake the event loop for ever."""
    name = available("send_with_msg_zerocopy")
    with sending(name, file) as running, running.connect() as client:
        answer_to(client, payload, 3, 400_000)
        (transfer,) = running.transfers
        assert isinstance(transfer, SendWithMsgZerocopy)
        assert transfer.sends > 0
        wait_until(lambda: transfer.reported_sends == transfer.sends)
        answer_to(client, payload, 7, 400_000)


# -- tools -----------------------------------------------------------------------------------------


def reset(sock: socket.socket) -> None:
    """Hang up so that what is under way is dropped and the other end gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive_until_end(sock: socket.socket, take_bytes: int) -> bytes:
    received = bytearray()
    while came := sock.recv(take_bytes):
        received += came
    return bytes(received)


def received_until_hung_up(sock: socket.socket) -> int:
    received_bytes = 0
    with contextlib.suppress(ConnectionResetError):
        while came := sock.recv(MIB):
            received_bytes += len(came)
    return received_bytes


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again and again; fail when it does not come to hold."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.005)
