"""A fetch of what is not in memory: who waits for the disk."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.broker.caller import Caller
from tests.out_of_memory import put_out_of_memory
from zerocopy_lab.broker import cold_reads
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.wire import Frames
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.log.cold_pages import is_cold, warm_up
from zerocopy_lab.log.partition_log import wall_clock_ms
from zerocopy_lab.protocol.framing import Answer, Client, Now, Reply
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch

BATCHES = 40
TRIES = 20


@contextlib.contextmanager
def broker_with(directory: Path, threads: int) -> Iterator[Broker]:
    with Broker(BrokerSettings(log_dirs=(directory,), cold_read_threads=threads)) as broker:
        yield broker


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A log of 4 MB that a broker has left behind: its next one knows no batch by heart."""
    with broker_with(tmp_path, 0) as broker:
        broker.logs.create_topic("t", 1)
        log = broker.logs.find("t", 0)
        for _ in range(BATCHES):
            batch = build_batch([Record(0, wall_clock_ms(), None, os.urandom(100_000))])
            log.append(memoryview(bytearray(batch)))
    return tmp_path


def put_log_out_of_memory(directory: Path) -> None:
    """And its index."""
    put_out_of_memory(*(directory / "t-0").glob("0*"))


def asked(broker: Broker, offset: int, max_bytes: int = 300_000) -> Reply:
    frame = fetch_frame(Frames("test"), "t", 0, offset, max_bytes=max_bytes)
    return broker.handle(memoryview(bytearray(frame))[4:], Client(1, "127.0.0.1", 4711))


def asked_while_cold(broker: Broker, directory: Path, offset: int) -> Later:
    """The reply that waits for the disk; skips on a file system that cannot be asked.

    The question "is it there, without waiting?" makes the kernel begin to read (filemap_get_pages
    in mm/filemap.c does so with IOCB_NOWAIT, too), and a quick disk may be done before the answer.
    """
    for _ in range(TRIES):
        put_log_out_of_memory(directory)
        reply = asked(broker, offset)
        if isinstance(reply, Later):
            return reply
    pytest.skip("this file system cannot be asked without waiting")


def answer_of(reply: Reply) -> Now:
    """The answer, now or later."""
    if isinstance(reply, Later):
        answers: SimpleQueue[Answer] = SimpleQueue()
        reply.on_complete(answers.put)
        reply = answers.get(timeout=10)
    assert isinstance(reply, Now)
    return reply


def slice_of(answer: Now) -> FileSlice:
    (piece,) = (piece for piece in answer.pieces if isinstance(piece, FileSlice))
    return piece


@pytest.mark.parametrize("is_known", [False, True], ids=["searched for", "known by heart"])
def test_a_cold_fetch_is_answered_when_its_pages_are_there(
    directory: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    monkeypatch.setattr(cold_reads, "_FRESH_S", 0.0)  # they go as soon as they have come
    with broker_with(directory, 1) as broker:
        expected = slice_of(answer_of(asked(broker, 7)))
        if not is_known:
            for segment in broker.logs.find("t", 0).segments:
                segment.rest()
        reply = asked_while_cold(broker, directory, 7)
        found = slice_of(answer_of(reply))
        assert found[1:] == expected[1:]
        assert not is_cold(found)
        assert isinstance(asked(broker, 7), Now)


def test_meanwhile_others_are_answered(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes as long as it likes."""
    disk_is_done = threading.Event()

    def slowly(piece: FileSlice) -> None:
        assert disk_is_done.wait(10)
        warm_up(piece)

    monkeypatch.setattr(cold_reads, "warm_up", slowly)
    monkeypatch.setattr(cold_reads, "is_cold", lambda piece: piece.position == 0)
    with broker_with(directory, 1) as broker:
        late = asked(broker, 0)
        assert isinstance(late, Later)
        assert isinstance(asked(broker, BATCHES - 1), Now)
        assert not late.done
        disk_is_done.set()
        assert slice_of(answer_of(late)).position == 0


def test_who_goes_on_need_not_look_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in memory a moment ago still is; what was not is asked again."""
    looks: list[FileSlice] = []
    is_cold_now, now_s = False, 100.0

    def look(piece: FileSlice) -> bool:
        looks.append(piece)
        return is_cold_now

    monkeypatch.setattr(cold_reads, "is_cold", look)
    monkeypatch.setattr(cold_reads, "monotonic", lambda: now_s)
    with broker_with(directory, 1) as broker:

        def looked_at(offset: int) -> bool:
            looks.clear()
            reply = asked(broker, offset, max_bytes=100_000)
            assert isinstance(reply, Later if is_cold_now else Now)
            answer_of(reply)
            return bool(looks)

        assert [looked_at(each) for each in (1, 2, 9, 1)] == [True, False, False, False]
        assert looked_at(0), "it begins before what was looked at"
        assert [looked_at(each) for each in (10, 11, 1)] == [True, False, False], "another mebibyte"
        now_s += 0.01
        is_cold_now = True
        assert [looked_at(each) for each in (1, 1, 2)] == [True] * 3
        is_cold_now = False
        assert [looked_at(each) for each in (1, 2)] == [True, False]


def test_a_disk_that_fails_is_left_to_who_sends(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends that connection, and says why."""

    def fails(piece: FileSlice) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(cold_reads, "warm_up", fails)
    monkeypatch.setattr(cold_reads, "is_cold", lambda piece: True)
    with broker_with(directory, 1) as broker:
        assert slice_of(answer_of(asked(broker, 7))).position > 0


def test_without_threads_the_caller_waits(directory: Path) -> None:
    put_log_out_of_memory(directory)
    with broker_with(directory, 0) as broker:
        assert isinstance(asked(broker, 7), Now)


def test_a_fetch_that_waits_for_an_append_is_answered_by_it(directory: Path) -> None:
    with broker_with(directory, 1) as broker:
        caller = Caller(broker)
        types = caller.types(ApiKey.fetch, 11)
        wanted = types.FetchPartition(
            partition=0,
            current_leader_epoch=-1,
            fetch_offset=BATCHES,
            log_start_offset=-1,
            partition_max_bytes=1000,
        )
        answers = caller.start(
            ApiKey.fetch,
            11,
            replica_id=-1,
            max_wait=timedelta(seconds=10),
            min_bytes=1,
            max_bytes=1000,
            isolation_level=0,
            session_id=0,
            session_epoch=-1,
            topics=(types.FetchTopic(topic="t", partitions=(wanted,)),),
            forgotten_topics_data=(),
            rack_id="",
        )
        assert not answers
        batch = build_batch([Record(0, wall_clock_ms(), None, b"new")])
        broker.logs.find("t", 0).append(memoryview(bytearray(batch)))
        broker.waiting.appended(("t", 0))
        (partition,) = caller.wait_for(answers).responses[0].partitions
        assert (partition.error_code, partition.high_watermark) == (0, BATCHES + 1)
