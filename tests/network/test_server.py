"""The network with a handler of our own: no topics, no logs, only frames, answers and sockets."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.network.conftest import serving
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.network.inbox import SMALL_BYTES
from zerocopy_lab.network.quotas import Limits
from zerocopy_lab.network.server import NetworkServer
from zerocopy_lab.protocol.framing import Client, Nothing, Now, Reply, framed
from zerocopy_lab.protocol.later import Later

LIMIT_BYTES = 1 << 20


class Handler:
    """Answers by the first byte of a frame; remembers what came."""

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.frames: list[bytes] = []
        self.later: list[Later] = []
        self.abandoned = threading.Event()
        self.arrived = threading.Condition()

    def __call__(self, frame: memoryview, client: Client) -> Reply:
        with self.arrived:
            self.frames.append(bytes(frame))
            self.arrived.notify_all()
        match frame[:1].tobytes():
            case b"e":  # echo
                return Now([framed(bytes(frame))])
            case b"f":  # file: position and length follow
                position, length = struct.unpack(">qq", frame[1:17])
                return Now([struct.pack(">i", length), FileSlice(self.file, position, length)])
            case b"l":  # later
                later = Later(on_abandon=self.abandoned.set)
                self.later.append(later)
                return later
            case b"n":  # no answer
                return Nothing()
            case b"c":
                raise CloseConnection("asked to")
            case _:
                raise ZeroDivisionError("a bug of this handler")

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.frames) >= count, timeout=10)


class Running:
    def __init__(self, server: NetworkServer, handler: Handler) -> None:
        self.server, self.handler = server, handler

    def connect(self) -> socket.socket:
        sock = socket.create_connection((self.server.host, self.server.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def receive(sock: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        came = sock.recv(min(1 << 20, length - len(received)))
        assert came, f"hung up after {len(received)} of {length} bytes"
        received += came
    return bytes(received)


def ask(sock: socket.socket, payload: bytes) -> bytes:
    sock.sendall(framed(payload))
    return receive(sock, struct.unpack(">i", receive(sock, 4))[0])


def assert_hung_up(sock: socket.socket) -> None:
    """The end of the stream, or a reset when the other side had unread bytes."""
    with contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    path = tmp_path / "payload"
    path.write_bytes(array("q", range(1 << 20)).tobytes())
    handler = Handler(OpenFile.open(path))
    limits = Limits(socket_request_max_bytes=LIMIT_BYTES)
    with serving(handler, threads=request.param, limits=limits) as server:
        yield Running(server, handler)


@pytest.mark.parametrize(
    "length",
    [1, 2, 100, SMALL_BYTES - 4, SMALL_BYTES - 3, SMALL_BYTES, SMALL_BYTES * 3 + 1, LIMIT_BYTES],
)
def test_frames_of_every_length_come_back(running: Running, length: int) -> None:
    payload = b"e" + bytes(n % 251 for n in range(length - 1))
    with running.connect() as sock:
        assert ask(sock, payload) == payload
        assert ask(sock, b"e again") == b"e again"


def test_frames_that_arrive_byte_by_byte_and_frames_that_arrive_together(running: Running) -> None:
    with running.connect() as sock:
        for byte in framed(b"e slowly"):
            sock.sendall(bytes([byte]))
        assert receive(sock, 12) == framed(b"e slowly")
        together = [b"e%d" % n + b"." * (n * 37 % 9000) for n in range(200)]
        sender = threading.Thread(target=lambda: sock.sendall(b"".join(map(framed, together))))
        sender.start()
        for payload in together:
            assert receive(sock, len(payload) + 4) == framed(payload)
        sender.join()


def test_a_slice_arrives_whole_whatever_the_receiver_does(running: Running) -> None:
    """8 MiB into a socket that takes little: many would-blocks, one right answer."""
    length = (8 << 20) - 13
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.settimeout(10)
    with sock:
        sock.connect((running.server.host, running.server.port))
        sock.sendall(framed(b"f" + struct.pack(">qq", 13, length)))
        assert receive(sock, 4) == struct.pack(">i", length)
        expected = running.handler.file.path.read_bytes()[13:]
        assert receive(sock, length) == expected[:length]
        (connection,) = running.server.connections()
        assert connection.outbox.would_blocks > 0
        assert connection.outbox.file_bytes == length


def test_a_client_that_never_reads_holds_nobody_up(running: Running) -> None:
    with running.connect() as greedy, running.connect() as other:
        for _ in range(100):
            greedy.sendall(framed(b"f" + struct.pack(">qq", 0, 8 << 20)))
        for number in range(50):
            assert ask(other, b"e%d" % number) == b"e%d" % number
        # One answer is on its way to the greedy one; its other requests wait unread.
        assert sum(frame[:1] == b"f" for frame in running.handler.frames) == 1


def test_an_answer_that_comes_later_keeps_its_place(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(framed(b"l") + framed(b"e next"))
        running.handler.wait_for(1)
        running.handler.later[0].complete(Now([framed(b"late")]))
        assert receive(sock, 8) == framed(b"late")
        assert receive(sock, 10) == framed(b"e next")
        assert running.handler.frames == [b"l", b"e next"]


def test_a_client_that_sends_on_while_it_waits(running: Running) -> None:
    """More than the inbox holds: the rest stays in the socket until the answer is there."""
    more = [b"e" + b"x" * 1000 for _ in range(300)]
    with running.connect() as sock:
        sock.sendall(framed(b"l"))
        sender = threading.Thread(target=lambda: sock.sendall(b"".join(map(framed, more))))
        sender.start()
        running.handler.wait_for(1)
        running.handler.later[0].complete(Now([framed(b"late")]))
        assert receive(sock, 8) == framed(b"late")
        for payload in more:
            assert receive(sock, len(payload) + 4) == framed(payload)
        sender.join()


def test_who_hangs_up_while_waiting_is_forgotten(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(framed(b"l"))
        running.handler.wait_for(1)
    assert running.handler.abandoned.wait(10)
    assert running.handler.later[0].complete(Now([b"too late"])) is False


def test_no_answer_is_an_answer(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(framed(b"n"))
        assert ask(sock, b"e") == b"e"


@pytest.mark.parametrize(
    ("raw", "log_line"),
    [
        (framed(b"c"), "asked to"),
        (b"\xff\xff\xff\xff", "negative length"),
        (struct.pack(">i", LIMIT_BYTES + 1), "over socket.request.max.bytes"),
        (framed(b"?"), "an error of this broker"),
    ],
)
def test_who_must_go_goes_and_the_others_stay(
    running: Running, raw: bytes, log_line: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running.connect() as bad, running.connect() as good:
        assert ask(good, b"e before") == b"e before"
        bad.sendall(raw)
        assert_hung_up(bad)
        assert ask(good, b"e after") == b"e after"
    assert len([r for r in caplog.records if log_line in r.getMessage()]) == 1


def test_a_file_that_shrank_ends_one_connection(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with running.connect() as unlucky, running.connect() as other:
        running.handler.file.path.open("r+b").truncate(1000)
        unlucky.sendall(framed(b"f" + struct.pack(">qq", 0, 2000)))
        assert receive(unlucky, 1004)
        assert_hung_up(unlucky)
        assert ask(other, b"e") == b"e"
    assert "FileShrank" in caplog.text


def test_connections_leave_nothing_behind(running: Running) -> None:
    for _ in range(20):
        with running.connect() as sock:
            assert ask(sock, b"e") == b"e"
    with running.connect() as last:
        assert ask(last, b"e") == b"e"
        _eventually(lambda: len(running.server.connections()) == 1)


def _eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    done = threading.Event()
    for _ in range(1000):
        if condition():
            return
        done.wait(0.01)
    pytest.fail("it did not happen within 10 s")
