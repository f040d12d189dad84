"""Appending and reading: offsets, errors, rolling, producers, timestamps."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.log.making import (
    NOW_MS,
    TOPIC,
    Clock,
    batch,
    kill,
    log_in,
    open_log,
    open_logs,
    read_all,
    read_batches,
)
from zerocopy_lab.errors import (
    CorruptMessage,
    InvalidProducerEpoch,
    InvalidRecord,
    KafkaError,
    MessageTooLarge,
    OffsetOutOfRange,
    OutOfOrderSequenceNumber,
    RecordListTooLarge,
)
from zerocopy_lab.inspect.segment_info import index_entries_of, segments_of, time_index_entries_of
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import read_records


def test_the_bytes_in_the_file_are_the_producers_but_for_twelve(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch(b"first"))
    sent = bytes(batch(b"a", b"b", codec=Codec.LZ4))
    stored = memoryview(bytearray(sent))
    assert log.append(stored) == (1, 2, -1, 0)
    piece = log.read(1, 1 << 20)
    assert piece is not None
    found = os.pread(piece.file.fd, piece.length, piece.position)
    assert found == struct.pack(">q", 1) + sent[8:12] + struct.pack(">i", 0) + sent[16:]


def test_a_read_gives_the_whole_batch_or_what_fits(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for _ in range(3):
        log.append(batch(b"x" * 100, b"y" * 100))
    one = log.size_bytes // 3
    lengths = {}
    for max_bytes in (0, 1, one - 1, one, one + 1, 2 * one, 9 * one):
        piece = log.read(3, max_bytes)
        assert piece is not None
        assert piece.position == one
        lengths[max_bytes] = piece.length
    assert list(lengths.values()) == [one, one, one, one, one + 1, 2 * one, 2 * one]
    assert log.read(3, 0, at_least_one=False) is None
    part = log.read(3, 10, at_least_one=False)
    assert part is not None
    assert (part.position, part.length) == (one, 10)
    assert log.read(6, 1000) is None
    for offset in (-1, 7):
        with pytest.raises(OffsetOutOfRange, match="it has 0 to 6"):
            log.read(offset, 1000)


def test_a_read_stays_within_its_segment(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes="500")
    for _ in range(9):
        log.append(batch(b"x" * 100))
    for segment in segments_of(log):
        piece = log.read(segment.base_offset, 1 << 20)
        assert piece is not None
        assert (piece.position, piece.length) == (0, segment.size_bytes)
        assert piece.file.path.name == f"{segment.base_offset:020d}.log"


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda b: b[:60], InvalidRecord),
        (lambda b: b[:-1], InvalidRecord),
        (lambda b: b + b"x", InvalidRecord),
        (lambda b: b[:70] + b"?" + b[71:], CorruptMessage),
    ],
)
def test_a_bad_batch_leaves_no_trace(
    tmp_path: Path, damage: Callable[[bytes], bytes], error: type[KafkaError]
) -> None:
    log = open_log(tmp_path)
    log.append(batch(b"good"))
    size_bytes = log.size_bytes
    with pytest.raises(error):
        log.append(memoryview(bytearray(damage(bytes(batch(b"value of some length"))))))
    assert (log.log_end_offset, log.size_bytes) == (1, size_bytes)
    assert log.append(batch(b"good")).base_offset == 1


def test_too_large_for_the_topic_or_for_a_segment(tmp_path: Path) -> None:
    log = open_log(tmp_path, max_message_bytes="500", segment_bytes="300")
    with pytest.raises(MessageTooLarge, match=r"max\.message\.bytes is 500"):
        log.append(batch(b"x" * 500))
    with pytest.raises(RecordListTooLarge, match="segment of 300"):
        log.append(batch(b"x" * 300))
    log.append(batch(b"x" * 200))
    with pytest.raises(RecordListTooLarge):  # also when there are records already
        log.append(batch(b"x" * 300))
    assert log.log_end_offset == 1
    assert len(segments_of(log)) == 1


def test_rolling_by_time_goes_by_the_records_clock(tmp_path: Path) -> None:
    clock = Clock()
    log = open_log(tmp_path, clock=clock, segment_ms="1000")
    for late_ms in (0, 1000, 1001, 1500, 2002):
        log.append(batch(timestamps_ms=(NOW_MS + late_ms,)))
    assert [segment.base_offset for segment in segments_of(log)] == [0, 2, 4]


def test_rolling_by_time_without_timestamps_goes_by_the_brokers_clock(tmp_path: Path) -> None:
    clock = Clock()
    log = open_log(tmp_path, clock=clock, segment_ms="1000", segment_bytes="100")
    for late_ms in (0, 500, 1600):
        clock.now_ms = NOW_MS + late_ms
        log.append(batch(timestamps_ms=(-1,)))
    log.settings = log.settings.from_kafka({"segment.ms": "1000"})
    log.append(batch(timestamps_ms=(-1,)))
    clock.now_ms += 1001
    log.append(batch(timestamps_ms=(-1,)))
    assert [segment.base_offset for segment in segments_of(log)] == [0, 1, 2, 4]


@pytest.mark.parametrize("stamp", [NOW_MS, -1])
def test_a_restart_alone_does_not_roll(tmp_path: Path, stamp: int) -> None:
    for end in (LogDirectories.close, kill):
        logs = open_logs(tmp_path, segment_ms="1000")
        log_in(logs).append(batch(timestamps_ms=(stamp,)))
        end(logs)
    log = open_log(tmp_path, segment_ms="1000")
    log.append(batch(timestamps_ms=(stamp,)))
    assert [segment.base_offset for segment in segments_of(log)] == [0]
    if stamp > 0:
        log.append(batch(timestamps_ms=(stamp + 1001,)))
        assert [segment.base_offset for segment in segments_of(log)] == [0, 3]


def test_rolling_when_an_index_is_full(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_index_bytes="36", index_interval_bytes="0")
    for number in range(9):
        log.append(batch(timestamps_ms=(NOW_MS + number,)))
    assert all(segment.time_index_entries <= 3 for segment in segments_of(log))
    assert len(segments_of(log)) > 2


def test_index_entries_follow_kafkas_rule(tmp_path: Path) -> None:
    log = open_log(tmp_path, index_interval_bytes="150")
    for number in range(8):
        log.append(batch(b"x" * 32, timestamps_ms=(NOW_MS + 100 - number,)))
    assert log.size_bytes == 8 * 100
    # Before batch 2 there are 200 bytes, more than 150; before batch 4 another 200; ...
    assert index_entries_of(log, 0) == [(2, 200), (4, 400), (6, 600)]
    assert time_index_entries_of(log, 0) == [(NOW_MS + 100, 0)]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.integers(0, 500))
def test_every_offset_is_found(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], interval: int
) -> None:
    logs = open_logs(
        tmp_path_factory.mktemp("log"), segment_bytes="1500", index_interval_bytes=str(interval)
    )
    log = log_in(logs)
    for size in sizes:
        log.append(batch(bytes(size), bytes(size % 7)))
    by_heart = [log.read(offset, 1) for offset in range(log.log_end_offset)]
    logs.open_files.close_idle()
    logs.open_files.close_idle()  # nothing is known by heart any more
    looked_up = [log.read(offset, 1) for offset in range(log.log_end_offset)]
    for known, found in zip(by_heart, looked_up, strict=True):
        assert known is not None
        assert found is not None
        assert known[1:] == found[1:]
        assert known.file.path == found.file.path
    kill(logs)


def test_log_append_time(tmp_path: Path) -> None:
    clock = Clock()
    log = open_log(tmp_path, clock=clock, message_timestamp_type="LogAppendTime")
    clock.now_ms += 5
    assert log.append(batch(b"a", b"b", timestamps_ms=(1, 2))).append_time_ms == NOW_MS + 5
    assert [record.timestamp_ms for record in read_all(log)] == [NOW_MS + 5] * 2


@pytest.mark.parametrize("sent", Codec)
@pytest.mark.parametrize("kept", ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_compression_type(tmp_path: Path, sent: Codec, kept: str) -> None:
    log = open_log(tmp_path, compression_type=kept)
    values = [b"some words " * 10, b"", b"more words " * 10]
    log.append(batch(*values, codec=sent, producer_id=3, sequence=0))
    log.append(batch(*values, codec=sent, producer_id=3, sequence=3))
    expected = {"producer": sent, "uncompressed": Codec.NONE}.get(kept) or Codec.__members__.get(
        kept.upper(), Codec.NONE
    )
    assert [header.codec for header, _ in read_batches(log)] == [expected] * 2
    assert [record.value for record in read_all(log)] == values * 2


# Idempotent producers


def numbered(sequence: int, count: int = 1, *, epoch: int = 0, producer_id: int = 7) -> memoryview:
    values = [b"%d" % (sequence + i) for i in range(count)]
    return batch(*values, producer_id=producer_id, producer_epoch=epoch, sequence=sequence)


def test_a_repeated_batch_gets_its_first_offsets(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    first = [log.append(numbered(sequence, 2)) for sequence in (0, 2, 4, 6, 8, 10)]
    assert [log.append(numbered(sequence, 2)) for sequence in (2, 4, 6, 8, 10)] == first[1:]
    with pytest.raises(OutOfOrderSequenceNumber):  # the sixth before is forgotten
        log.append(numbered(0, 2))
    with pytest.raises(OutOfOrderSequenceNumber):  # not the same batch
        log.append(numbered(10, 1))
    assert log.log_end_offset == 12


def test_sequences_and_epochs(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(numbered(0))
    with pytest.raises(OutOfOrderSequenceNumber, match="sent sequence 2, 1 was to come"):
        log.append(numbered(2))
    with pytest.raises(OutOfOrderSequenceNumber, match="begins epoch 1"):
        log.append(numbered(1, epoch=1))
    log.append(numbered(0, epoch=1))
    with pytest.raises(InvalidProducerEpoch):
        log.append(numbered(1))
    log.append(numbered(0, producer_id=8))  # another producer counts for itself
    log.append(numbered(5, producer_id=9))  # its earlier records may have been deleted
    assert log.log_end_offset == 4


def test_sequences_begin_again_after_the_largest(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(numbered(2**31 - 2, 2))
    with pytest.raises(OutOfOrderSequenceNumber):
        log.append(numbered(1))
    log.append(numbered(0))
    log.append(numbered(1))


@pytest.mark.parametrize("end", ["close", "kill", "close without snapshots", "roll and kill"])
def test_producers_are_remembered_across_a_restart(tmp_path: Path, end: str) -> None:
    logs = open_logs(tmp_path)
    log = log_in(logs)
    first = [log.append(numbered(sequence)) for sequence in range(8)]
    if end == "roll and kill":
        log.roll()
    if end.startswith("close"):
        logs.close()
    else:
        kill(logs)
    if end == "close without snapshots":
        for path in (tmp_path / f"{TOPIC}-0").glob("*.snapshot"):
            path.unlink()
    log = open_logs(tmp_path).find(TOPIC, 0)
    # All five that may have been in flight when the broker went down.
    assert [log.append(numbered(sequence)) for sequence in range(3, 8)] == first[3:]
    with pytest.raises(OutOfOrderSequenceNumber):
        log.append(numbered(9))
    assert log.append(numbered(8)).base_offset == 8


def test_a_damaged_snapshot_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    log = log_in(logs)
    for sequence in range(3):
        log.append(numbered(sequence))
        log.roll()
    logs.close()
    for offset in (2, 3):
        path = tmp_path / f"{TOPIC}-0" / f"{offset:020d}.snapshot"
        path.write_bytes(path.read_bytes()[:-1])
    log = open_logs(tmp_path).find(TOPIC, 0)
    assert log.append(numbered(2)).base_offset == 2
    assert log.append(numbered(3)).base_offset == 3


def test_a_producer_is_forgotten_after_a_day_whatever_its_records_say(tmp_path: Path) -> None:
    logs = open_logs(tmp_path, retention_ms="-1")
    log = log_in(logs)
    old = batch(b"0", producer_id=7, sequence=0, timestamps_ms=(1,))  # replayed from long ago
    log.append(old)
    day_ms = 86_400_000
    for late_ms in (600_000, day_ms, day_ms + 599_999):
        logs.housekeeping(NOW_MS + late_ms)
        with pytest.raises(OutOfOrderSequenceNumber):
            log.append(numbered(5))
    logs.housekeeping(NOW_MS + day_ms + 1_200_000)
    assert log.append(numbered(5)).base_offset == 1


# Several threads


def test_many_writers_and_readers_at_once(tmp_path: Path) -> None:
    logs = open_logs(
        tmp_path, segment_bytes="3000", retention_bytes="20000", file_delete_delay_ms="0"
    )
    log = log_in(logs)
    failures: list[BaseException] = []
    writing = threading.Event()
    writing.set()

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return threading.Thread(target=run)

    def write(producer_id: int) -> None:
        for sequence in range(300):
            log.append(numbered(sequence, producer_id=producer_id))

    def read() -> None:
        offset = 0
        while writing.is_set() or offset < log.log_end_offset:
            try:
                piece = log.read(offset, 2000)
            except OffsetOutOfRange:
                offset = log.log_start_offset
                continue
            if piece is None:
                continue
            fetched = memoryview(os.pread(piece.file.fd, piece.length, piece.position))
            for record in read_records(fetched, may_be_cut=True):
                assert record.offset <= offset or record.offset == offset + 1 or offset == 0
                offset = record.offset + 1

    def look_after() -> None:
        while writing.is_set():
            logs.housekeeping(NOW_MS)

    writers = [guarded(partial(write, producer_id)) for producer_id in range(3)]
    others = [guarded(read), guarded(read), guarded(look_after)]
    for thread in writers + others:
        thread.start()
    for thread in writers:
        thread.join()
    writing.clear()
    for thread in others:
        thread.join()
    assert failures == []
    assert log.log_end_offset == 900
    assert logs.offline == {}
    seen = [(h.producer_id, h.base_sequence) for h, _ in read_batches(log)]
    assert sorted(seen) == sorted(set(seen))
