"""When a segment is closed and the next one begun: before a batch that would make it too large,
too wide for its indexes, or too old.

Kafka: `LogSegment.shouldRoll`. Left out is `segment.jitter.ms`, which keeps many partitions from
rolling at once.
"""

from __future__ import annotations

from collections.abc import Callable

from zerocopy_lab.log.offset_index import ENTRY_BYTES
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.settings import MAX_INT32, TopicSettings
from zerocopy_lab.log.time_index import ENTRY as TIME_ENTRY
from zerocopy_lab.records.batch import NO_TIMESTAMP


def must_roll(
    segment: Segment,
    settings: TopicSettings,
    more_bytes: int,
    last_offset: int,
    timestamp_ms: int,
    clock_ms: Callable[[], int],
) -> bool:
    """Whether a batch of `more_bytes`, up to `last_offset` and `timestamp_ms`, needs a new segment.
    Raises OSError, CorruptMessage.
    """
    if segment.size_bytes + more_bytes > settings.segment_bytes:
        return True
    if last_offset - segment.base_offset > MAX_INT32:
        return True  # the index could not say it
    indexes = segment.indexes()
    fullest_bytes = max(len(indexes.offsets) * ENTRY_BYTES, len(indexes.times) * TIME_ENTRY.size)
    if fullest_bytes + TIME_ENTRY.size > settings.segment_index_bytes:
        return True
    return _age_ms(segment, timestamp_ms, clock_ms) > settings.roll_ms


def _age_ms(segment: Segment, timestamp_ms: int, clock_ms: Callable[[], int]) -> int:
    # By the records' own clock where there is one, as in Kafka: then a replayed day fills one
    # day's segment.
    first_ms = segment.first_timestamp_ms()
    if first_ms == NO_TIMESTAMP:
        return clock_ms() - segment.created_ms
    return timestamp_ms - first_ms
