"""From a timestamp to the first record that is at least as young: exact, inside compressed batches
too.

    largest timestamps of the segments -> time index -> offset index -> headers -> one batch

Only the batch that has the answer is opened, and only if the question falls into it: that is the
one read path on which a broker decompresses. Kafka: `LogSegment.findOffsetByTimestamp`,
`FileRecords.searchForTimestamp`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.records.batch import NO_TIMESTAMP
from zerocopy_lab.records.record import Record, read_records


class OffsetAndTimestamp(NamedTuple):
    """A record's offset and timestamp."""

    offset: int
    timestamp_ms: int


def first_since(
    segments: Sequence[Segment], timestamp_ms: int, start_offset: int
) -> OffsetAndTimestamp | None:
    """The first record from `start_offset` on whose timestamp is at least `timestamp_ms`, None
    without one.

    Raises OSError, CorruptMessage.
    """
    for segment in segments:
        if segment.size_bytes and segment.largest_timestamp_ms() >= timestamp_ms:
            found = _first_in(segment, timestamp_ms, start_offset)
            if found is not None:
                return found
    return None


def largest(segments: Sequence[Segment], start_offset: int) -> OffsetAndTimestamp | None:
    """The first record from `start_offset` on with the largest timestamp, None without one. Raises
    as `first_since`.
    """
    newest_ms = max(_largest_in(segment, start_offset) for segment in segments)
    if newest_ms < 0:
        return None
    found = first_since(segments, newest_ms, start_offset)
    return found or _largest_of_records(segments, start_offset)


def _largest_of_records(
    segments: Sequence[Segment], start_offset: int
) -> OffsetAndTimestamp | None:
    """The same when a header promised more than its records have (`batch_rules`): batches are
    opened, those that promise most first.
    """
    promises = [
        (-header.max_timestamp_ms, header.base_offset, segment, position, header.total_bytes)
        for segment in segments
        for position, header in scan_headers(segment.reader(), 0, segment.size_bytes)
        if header.last_offset >= start_offset
    ]
    best: OffsetAndTimestamp | None = None
    for promised, _, segment, position, total_bytes in sorted(promises, key=itemgetter(0, 1)):
        if best is not None and -promised <= best.timestamp_ms:
            break
        for record in _records(segment, position, total_bytes):
            if record.offset >= start_offset and (
                best is None or record.timestamp_ms > best.timestamp_ms
            ):
                best = OffsetAndTimestamp(record.offset, record.timestamp_ms)
    return best


def _records(segment: Segment, position: int, total_bytes: int) -> Iterator[Record]:
    # A producer may have numbered them in any order (`batch_rules`).
    batch = memoryview(os.pread(segment.reader().fd, total_bytes, position))
    return read_records(batch, in_order=False)


def _largest_in(segment: Segment, start_offset: int) -> int:
    if segment.base_offset >= start_offset:
        return segment.largest_timestamp_ms()
    newest_ms = NO_TIMESTAMP  # DeleteRecords may have taken the record that the indexes speak of
    file = segment.reader()
    for position, header in scan_headers(file, 0, segment.size_bytes):
        if header.base_offset >= start_offset:
            newest_ms = max(newest_ms, header.max_timestamp_ms)
        elif header.last_offset >= start_offset:
            records = _records(segment, position, header.total_bytes)
            left = (record.timestamp_ms for record in records if record.offset >= start_offset)
            newest_ms = max(newest_ms, max(left, default=NO_TIMESTAMP))
    return newest_ms


def _first_in(segment: Segment, timestamp_ms: int, start_offset: int) -> OffsetAndTimestamp | None:
    indexes, file = segment.indexes(), segment.reader()
    start = indexes.offsets.position_before(indexes.times.offset_before(timestamp_ms))
    for position, header in scan_headers(file, start, segment.size_bytes):
        if header.max_timestamp_ms < timestamp_ms or header.last_offset < start_offset:
            continue
        for record in _records(segment, position, header.total_bytes):
            if record.timestamp_ms >= timestamp_ms and record.offset >= start_offset:
                return OffsetAndTimestamp(record.offset, record.timestamp_ms)
    return None
