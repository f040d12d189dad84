"""The alias test answers as theory does, wherever it runs, and says when it has no answer."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import get_args

import pytest

from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.conformance.examiner import Trial, require, what_is_wrong
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.measuring import alias_test as module
from zerocopy_lab.measuring.alias_test import (
    PROBE_BYTES,
    AliasVerdict,
    alias_test,
    alias_test_of_broker,
)
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.transfer import Transfer, strategies
from zerocopy_lab.transfer.connections import Family
from zerocopy_lab.transfer.read_then_send import ReadThenSend
from zerocopy_lab.transfer.sendfile import Sendfile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the theory is Linux's")

THEORY = {
    "read_then_send": "copied",
    "mmap_then_send": "copied",
    "sendfile": "alias",
    "splice_through_pipe": "alias",
    "send_with_msg_zerocopy": "copied",  # on loopback: the kernel copies rather than lend pages
    "encrypt_then_send": "copied",
    "sendfile_over_kernel_tls": "copied",  # into ciphertext, by the kernel
}

# The disk (ext4, overlay, ...) and memory (tmpfs).
FILE_SYSTEMS = [path for path in (tempfile.gettempdir(), "/dev/shm") if os.path.isdir(path)]
NOBODY = 65_534
USERS = ["root", "nobody"] if os.geteuid() == 0 else ["ordinary"]


@pytest.fixture
def directory(file_system: str) -> Iterator[Path]:
    """Open to every user, unlike pytest's own, and on the file system in question."""
    path = Path(tempfile.mkdtemp(dir=file_system))
    try:
        path.chmod(0o777)
        yield path
    finally:
        shutil.rmtree(path)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("file_system", FILE_SYSTEMS)
@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("name", strategies())
def test_answers_as_theory(name: str, family: Family, directory: Path, user: str) -> None:
    strategy = strategies()[name]
    if family == "unix" and strategy.tcp_only:
        with pytest.raises(ValueError, match="cannot be tested on a unix socket"):
            alias_test(strategy, family, directory)
        return
    if reason := strategy.unavailable():
        pytest.skip(reason)

    def as_the_user(trial: Trial) -> None:
        if user == "nobody":
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        verdict = alias_test(trial.strategy, trial.family, trial.directory)
        require(verdict.verdict == THEORY[name], f"{verdict}")

    assert what_is_wrong(as_the_user, Trial(strategy, family, directory)) is None


def test_the_verdict_shows_its_evidence() -> None:
    verdict = alias_test("sendfile", "unix")
    assert verdict == AliasVerdict("sendfile", "unix", "alias", verdict.detail, ("new", "new"))
    assert verdict.detail.startswith("8192 bytes were in the socket when the file was overwritten")


def test_the_kernels_own_report_agrees() -> None:
    if reason := strategies()["send_with_msg_zerocopy"].unavailable():
        pytest.skip(reason)
    detail = alias_test("send_with_msg_zerocopy").detail
    assert detail.endswith("the kernel reported 1 of 1 sends as done, 1 of them as COPIED")


class SecondPageByCopy(Transfer):
    """Half and half, as no honest strategy is."""

    name = "second_page_by_copy"

    def __init__(self, chunk_bytes: int | None = None) -> None:
        super().__init__(4096)
        self.ways = {0: Sendfile(4096), 4096: ReadThenSend(4096)}

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        return self.ways[sent_bytes].send(sock, piece, sent_bytes)


def test_half_and_half_is_inconclusive() -> None:
    verdict = alias_test(SecondPageByCopy)
    assert (verdict.verdict, verdict.pages) == ("inconclusive", ("new", "old"))


class Scrambles(Transfer):
    name = "scrambles"

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        chunk = os.pread(piece.file.fd, piece.length - sent_bytes, sent_bytes)
        return sock.send(bytes(byte ^ 0x55 for byte in chunk))


class TakesNothing(Transfer):
    name = "takes_nothing"

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        raise BlockingIOError


@pytest.mark.parametrize(
    ("strategy", "pages"), [(Scrambles, ("neither", "neither")), (TakesNothing, ())]
)
def test_no_answer_is_no_verdict(strategy: type[Transfer], pages: tuple[str, ...]) -> None:
    verdict = alias_test(strategy)
    assert (verdict.verdict, verdict.pages) == ("inconclusive", pages)


def test_names_the_choices() -> None:
    with pytest.raises(ValueError, match="choose one of read_then_send, mmap_then_send, sendfile"):
        alias_test("teleport")


# -- a whole broker --------------------------------------------------------------------------------


@contextmanager
def broker_with_records(transfer: str) -> Iterator[tuple[RunningBroker, Wire, Path]]:
    """A broker in a process of its own, a connection to it, and a segment of 20 batches."""
    with RunningBroker(transfer=transfer) as broker, Wire(broker.host, broker.port) as wire:
        create_topic(wire, "probed")
        for count in range(1, 21):
            records = [Record(offset, 0, None, os.urandom(1000)) for offset in range(count)]
            error_code, _ = produce(wire, "probed", 0, build_batch(records))
            assert error_code == 0
        (segment,) = broker.data_dir.glob("probed-0/*.log")
        yield broker, wire, segment


def create_topic(wire: Wire, name: str) -> None:
    """By asking for its metadata, as clients do."""
    topic = messages.types_of(ApiKey.metadata, 4, "request").MetadataRequestTopic(name=name)
    wire.ask(ApiKey.metadata, 4, topics=(topic,), allow_auto_topic_creation=True)


@pytest.mark.parametrize("transfer", ["sendfile", "read_then_send", "splice_through_pipe"])
def test_a_brokers_fetch_response(transfer: str) -> None:
    with broker_with_records(transfer) as (broker, wire, segment):
        before = segment.read_bytes()
        frame = fetch_frame(wire, "probed", 0, 0)
        address = broker.host, broker.port
        verdict = alias_test_of_broker(*address, segment, lambda sock: sock.sendall(frame))
        assert verdict.verdict == THEORY[transfer]
        assert len(verdict.pages) * 4096 == PROBE_BYTES
        assert segment.read_bytes() == before  # the log is whole again
        assert fetch(wire, "probed", 0, 0).records == before


@pytest.mark.parametrize("transfer", ["sendfile", "read_then_send"])
def test_the_middle_and_the_end_of_a_segment(transfer: str) -> None:
    """Records that begin inside a page; and at the end fewer bytes than the probe."""
    with broker_with_records(transfer) as (broker, wire, segment):
        content = segment.read_bytes()
        for position, header in iterate_headers(memoryview(content)):
            frame = fetch_frame(wire, "probed", 0, header.base_offset)
            verdict = alias_test_of_broker(broker.host, broker.port, segment, frame, position)
            left_bytes = min(PROBE_BYTES, len(content) - position)
            assert verdict.verdict == THEORY[transfer], verdict
            assert len(verdict.pages) == -(-left_bytes // 4096)
            assert verdict.detail.startswith(f"{left_bytes} bytes were in the socket")
        assert segment.read_bytes() == content


def test_a_fetch_of_other_records_is_refused() -> None:
    with broker_with_records("sendfile") as (broker, wire, segment):
        before = segment.read_bytes()
        frame = fetch_frame(wire, "probed", 0, 15)
        with pytest.raises(ValueError, match="do not hold the batch header"):
            alias_test_of_broker(broker.host, broker.port, segment, frame)
        assert segment.read_bytes() == before


@contextmanager
def false_broker(answer: bytes, *, hangs_up: bool) -> Iterator[int]:
    """Something on a port that takes a request and says `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
                with suppress(ConnectionResetError):  # the client may leave without reading
                    while not hangs_up and connection.recv(65_536):
                        pass

        serving = thread.submit(serve)
        yield listener.getsockname()[1]
        serving.result()


@pytest.mark.parametrize(
    ("answer", "hangs_up", "error"),
    [
        (b"", True, ConnectionError),
        (b"\0\0\x10\0only this", True, ConnectionError),
        (b"", False, TimeoutError),
        (b"\0\0\x10\0only this", False, TimeoutError),
        (b"\0\0\0\4none", False, ValueError),
    ],
)
def test_a_broker_that_does_not_answer(
    answer: bytes,
    hangs_up: bool,
    error: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    segment = tmp_path / "segment.log"
    segment.write_bytes(bytes(10_000))
    with false_broker(answer, hangs_up=hangs_up) as port, pytest.raises(error):
        alias_test_of_broker("127.0.0.1", port, segment, b"a request")
    assert segment.read_bytes() == bytes(10_000)
