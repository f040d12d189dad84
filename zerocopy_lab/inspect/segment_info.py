"""A segment as plain values, for pictures, labs and requests that ask about the log."""

from __future__ import annotations

from typing import NamedTuple

from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.upkeep.retention import Verdict
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


def describe(verdict: Verdict, next_offset: int) -> SegmentInfo:
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
