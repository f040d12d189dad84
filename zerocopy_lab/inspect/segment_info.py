"""A segment as plain values, for pictures, labs and requests that ask about the log."""

from __future__ import annotations

from typing import NamedTuple

from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.partition_log import PartitionLog, wall_clock_ms
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.upkeep.retention import Judgement, judge
from zerocopy_lab.records.batch import DELETE_HORIZON_FLAG


class SegmentInfo(NamedTuple):
    """What there is to know about a segment without reading its records."""

    base_offset: int
    next_offset: int  # where the next segment begins, or the log ends
    size_bytes: int
    index_entries: int
    time_index_entries: int
    first_ms: int  # the first batch's base timestamp, -1 without one
    largest_ms: int  # the largest timestamp, -1 without one
    active: bool
    deletable: bool
    why: str  # it may go, or must stay


def segments_of(log: PartitionLog, now_ms: int | None = None) -> list[SegmentInfo]:
    """Every segment, with what retention would say of it at `now_ms` (default: now). Raises
    KafkaStorageError, CorruptMessage.
    """
    now_ms = wall_clock_ms() if now_ms is None else now_ms
    with log.storage_errors("look at"), log.staying():
        verdicts = judge(log.segments, log.settings, log.log_start_offset, now_ms)
        return [_describe(verdict, log.end_of(verdict.segment)) for verdict in verdicts]


def index_entries_of(log: PartitionLog, base_offset: int) -> list[tuple[int, int]]:
    """(offset, position in bytes) of every entry in the index of the segment with this base
    offset.
    """
    indexes = _segment_at(log, base_offset).indexes()
    return [(base_offset + offset, position) for offset, position in indexes.offsets]


def time_index_entries_of(log: PartitionLog, base_offset: int) -> list[tuple[int, int]]:
    """(timestamp in ms, offset) of every entry in the time index of the segment with this base
    offset.
    """
    indexes = _segment_at(log, base_offset).indexes()
    return [(timestamp_ms, base_offset + offset) for timestamp_ms, offset in indexes.times]


def _segment_at(log: PartitionLog, base_offset: int) -> Segment:
    for segment in log.segments:
        if segment.base_offset == base_offset:
            return segment
    raise ValueError(f"no segment in {log.directory} begins at offset {base_offset}")


def _describe(verdict: Judgement, next_offset: int) -> SegmentInfo:
    """The segment that retention has judged. Raises OSError, CorruptMessage."""
    segment = verdict.segment
    indexes = segment.indexes()
    return SegmentInfo(
        base_offset=segment.base_offset,
        next_offset=next_offset,
        size_bytes=segment.size_bytes,
        index_entries=len(indexes.offsets),
        time_index_entries=len(indexes.times),
        first_ms=_first_ms(segment),
        largest_ms=indexes.max_timestamp_ms,
        active=verdict.active,
        deletable=verdict.deletable,
        why=verdict.why,
    )


def _first_ms(segment: Segment) -> int:
    for _, header in scan_headers(segment.reader(), 0, segment.size_bytes):
        has_horizon = header.attributes & DELETE_HORIZON_FLAG  # then the field says something else
        return header.max_timestamp_ms if has_horizon else header.base_timestamp_ms
    return -1
