"""Batches, logs, and ways to end a broker's life, for the tests of the log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from zerocopy_lab.log import PartitionLog, TopicSettings
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.batch import BatchHeader, check_stored_batch, iterate_headers
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch, read_records

TOPIC = "flights"
NOW_MS = 1_700_000_000_000


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def batch(
    *values: bytes | None,
    keys: tuple[bytes, ...] = (),
    timestamps_ms: tuple[int, ...] = (),
    codec: Codec = Codec.NONE,
    producer_id: int = -1,
    producer_epoch: int = 0,
    sequence: int = 0,
) -> memoryview:
    """A batch as a producer sends it; values default to one record."""
    records = [
        Record(
            offset,
            timestamps_ms[offset] if timestamps_ms else NOW_MS,
            keys[offset] if keys else None,
            value,
        )
        for offset, value in enumerate(values or (b"value",))
    ]
    has_producer = producer_id >= 0
    built = build_batch(
        records,
        codec=codec,
        producer_id=producer_id,
        producer_epoch=producer_epoch if has_producer else -1,
        base_sequence=sequence if has_producer else -1,
    )
    return memoryview(bytearray(built))


def open_logs(*directories: Path, clock: Clock | None = None, **overrides: str) -> LogDirectories:
    """Log directories whose topics have these settings by default: segment_bytes="1000"."""
    settings = {name.replace("_", "."): value for name, value in overrides.items()}
    return LogDirectories.open(
        directories, TopicSettings.from_kafka(settings), clock_ms=clock or Clock()
    )


def open_log(*directories: Path, clock: Clock | None = None, **overrides: str) -> PartitionLog:
    """The log of partition 0 of a topic, which is made if need be."""
    return log_in(open_logs(*directories, clock=clock, **overrides))


def log_in(logs: LogDirectories) -> PartitionLog:
    """The log of partition 0 of the tests' topic, which is made if need be."""
    if TOPIC not in logs.topics():
        logs.create_topic(TOPIC, 1)
    return logs.find(TOPIC, 0)


def kill(logs: LogDirectories) -> None:
    """What `kill -9` leaves: the files as they are, and no locks."""
    for directory in logs._directories.online.values():
        directory.release()
    logs._directories.online.clear()


def read_batches(
    log: PartitionLog, offset: int | None = None, max_bytes: int = 1 << 20
) -> Iterator[tuple[BatchHeader, bytes]]:
    """Every batch from an offset on, fetched as a consumer does, each with its CRC checked."""
    offset = log.log_start_offset if offset is None else offset
    while (piece := log.read(offset, max_bytes)) is not None:
        fetched = memoryview(os.pread(piece.file.fd, piece.length, piece.position))
        assert len(fetched) == piece.length, "a slice promises bytes that are there"
        before = offset
        for position, header in iterate_headers(fetched, may_be_cut=True):
            one = fetched[position : position + header.total_bytes]
            check_stored_batch(one)
            if header.last_offset >= offset:
                yield header, bytes(one)
                offset = header.last_offset + 1
        assert offset > before, "at least one whole batch"


def read_all(
    log: PartitionLog, offset: int | None = None, max_bytes: int = 1 << 20
) -> list[Record]:
    """Every record from an offset on."""
    start = log.log_start_offset if offset is None else offset
    return [
        record
        for _, fetched in read_batches(log, offset, max_bytes)
        for record in read_records(memoryview(fetched))
        if record.offset >= start
    ]
