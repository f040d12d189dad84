"""From a timestamp to the first record that is at least as young: exact, inside compressed batches
too.

    largest timestamps of the segments -> time index -> offset index -> headers -> one batch

Only the batch that has the answer is opened, and only if the question falls into it: that is the
one read path on which a broker decompresses. Kafka: `LogSegment.findOffsetByTimestamp`,
`FileRecords.searchForTimestamp`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.records.batch import NO_TIMESTAMP
from zerocopy_lab.records.record import read_records


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
    return first_since(segments, newest_ms, start_offset) if newest_ms >= 0 else None


def _largest_in(segment: Segment, start_offset: int) -> int:
    if segment.base_offset >= start_offset:
        return segment.largest_timestamp_ms()
    newest_ms = NO_TIMESTAMP  # DeleteRecords may have taken the record that the indexes speak of
    file = segment.reader()
    for position, header in scan_headers(file, 0, segment.size_bytes):
        if header.base_offset >= start_offset:
            newest_ms = max(newest_ms, header.max_timestamp_ms)
        elif header.last_offset >= start_offset:
            records = read_records(memoryview(os.pread(file.fd, header.total_bytes, position)))
            left = (record.timestamp_ms for record in records if record.offset >= start_offset)
            newest_ms = max(newest_ms, max(left, default=NO_TIMESTAMP))
    return newest_ms


def _first_in(segment: Segment, timestamp_ms: int, start_offset: int) -> OffsetAndTimestamp | None:
    indexes, file = segment.indexes(), segment.reader()
    start = indexes.offsets.position_before(indexes.times.offset_before(timestamp_ms))
    for position, header in scan_headers(file, start, segment.size_bytes):
        if header.max_timestamp_ms < timestamp_ms or header.last_offset < start_offset:
            continue
        batch = memoryview(os.pread(file.fd, header.total_bytes, position))
        for record in read_records(batch):
            if record.timestamp_ms >= timestamp_ms and record.offset >= start_offset:
                return OffsetAndTimestamp(record.offset, record.timestamp_ms)
    return None
