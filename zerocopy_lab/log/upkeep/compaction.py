"""Compaction: of every key only the last record stays. A log becomes a table, and offsets stay
what they were.

    offsets  0:a=1  1:b=1  2:a=2 | 3:b=- 4:c=1  5:a=3 | 6:d=1      (b=-: a tombstone, b is deleted)
             -- clean -----------  -- dirty ---------   -- active: never touched
    1. read the dirty part: last offset of each key = {b: 3, c: 4, a: 5}
    2. copy, from the start, every record that is the last of its key:  3:b=-  4:c=1  5:a=3
    3. put the new segment in the place of the old ones

A batch that keeps all its records is copied as it is; one that loses some is built anew and goes
on claiming its whole range of offsets; a producer's last batch stays as an empty one if need be,
so that its sequence numbers are still known.

A tombstone must stay until every consumer has had the time to see it: the first pass that meets it
notes in its batch when that is (now + delete.retention.ms, the *delete horizon*, KIP-534), a later
pass removes it.

The swap survives a crash at every step; what the next start finds decides (`finish_swaps`):

| step | files | after a crash here |
|---|---|---|
| write, fsync | N.log.cleaned | thrown away |
| rename | N.log.swap | finished: the old segments it covers go, it takes their place |
| rename the old ones | N.log.deleted ... | finished |
| rename | N.log | done |

Kafka: `LogCleaner`, `Cleaner`, `OffsetMap`. Left out: throttling, several cleaner threads, and
transactions: batches that belong to one are copied as they are.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from zerocopy_lab.file_slice import OpenFile
from zerocopy_lab.log.atomic_file import force, sync_directory
from zerocopy_lab.log.batch_scan import scan_batches, scan_headers
from zerocopy_lab.log.file_names import (
    CLEANED_SUFFIX,
    LOG_SUFFIX,
    SEGMENT_SUFFIXES,
    SWAP_SUFFIX,
    parse_segment_file,
    segment_file,
)
from zerocopy_lab.log.index_files import save_indexes
from zerocopy_lab.log.indexes import SegmentIndexes
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.settings import MAX_INT32
from zerocopy_lab.records.batch import (
    DELETE_HORIZON_FLAG,
    NO_TIMESTAMP,
    BatchHeader,
    read_header,
)
from zerocopy_lab.records.record import Record, read_records, rebuild_batch

_LOGGER = logging.getLogger(__name__)
MOST_KEYS = (
    250_000  # in memory at once, some 40 MB; a dirty part with more is compacted in several passes
)

LastOffsets = dict[bytes, int]  # key -> offset of its last record


def dirty_ratio(log: PartitionLog, now_ms: int) -> float:
    """How much of what could be compacted has not been, 0 to 1. Compaction is due when it exceeds
    the setting.
    """
    segments = cleanable(log, now_ms)
    total_bytes = sum(segment.size_bytes for segment in segments)
    dirty_bytes = sum(
        segment.size_bytes for segment in segments if log.end_of(segment) > log.cleaned_offset
    )
    return dirty_bytes / total_bytes if total_bytes else 0.0


def is_overdue(log: PartitionLog, now_ms: int) -> bool:
    """Whether a record waits for its compaction longer than max.compaction.lag.ms."""
    oldest_ms = now_ms - log.settings.max_compaction_lag_ms
    if oldest_ms < 0:
        return False
    for segment in cleanable(log, now_ms):
        if log.end_of(segment) > log.cleaned_offset:
            first_ms = segment.first_timestamp_ms()
            return (segment.last_change_ms() if first_ms == NO_TIMESTAMP else first_ms) < oldest_ms
    return False


def cleanable(log: PartitionLog, now_ms: int) -> list[Segment]:
    """The segments that may be compacted: on disk, not active, older than min.compaction.lag.ms."""
    lag_ms = log.settings.min_compaction_lag_ms
    chosen = []
    for segment in log.segments[:-1]:
        too_young = lag_ms > 0 and segment.last_change_ms() > now_ms - lag_ms
        if not segment.is_flushed or too_young:
            break
        chosen.append(segment)
    return chosen


def compact(log: PartitionLog, now_ms: int, most_keys: int = MOST_KEYS) -> int:
    """Compact a log once; returns the bytes that were saved.

    `log.cleaned_offset` says afterwards how far it got. Raises KafkaStorageError, CorruptMessage
    (a record that cannot be read).
    """
    with log.storage_errors("compact"):
        segments = cleanable(log, now_ms)
        last_offsets, end = _last_offsets(log, segments, most_keys)
        saved_bytes = 0
        for group in _groups([s for s in segments if s.base_offset < end], log):
            cleaning = _Cleaning(log, last_offsets, end, now_ms)
            new = cleaning.rewrite(group)
            saved_bytes += sum(segment.size_bytes for segment in group) - new.size_bytes
            _swap(log, group, new, now_ms)
        log.mark_cleaned(end)
        return saved_bytes


def _last_offsets(
    log: PartitionLog, segments: Sequence[Segment], most_keys: int
) -> tuple[LastOffsets, int]:
    """(the last offset of every key in the dirty part, the offset behind that part)."""
    last_offsets: LastOffsets = {}
    end = cleaned_offset = log.cleaned_offset
    for segment in segments:
        for _, header, batch in scan_batches(segment.reader(), 0, segment.size_bytes):
            if header.last_offset < cleaned_offset or _belongs_to_transaction(header):
                continue
            if len(last_offsets) + header.records_count > most_keys and end > cleaned_offset:
                return last_offsets, end
            for record in read_records(batch):
                if record.key is not None:
                    last_offsets[record.key] = record.offset
            end = header.last_offset + 1
    return last_offsets, max(end, log.end_of(segments[-1])) if segments else end


def _belongs_to_transaction(header: BatchHeader) -> bool:
    return header.is_transactional or header.is_control


def _groups(segments: Sequence[Segment], log: PartitionLog) -> Iterator[list[Segment]]:
    """Neighbours that fit into one segment are merged, else compaction would leave ever more tiny
    files.
    """
    group: list[Segment] = []
    group_bytes = 0
    for segment in segments:
        too_large = group_bytes + segment.size_bytes > log.settings.segment_bytes
        too_long = bool(group) and log.end_of(segment) - 1 - group[0].base_offset > MAX_INT32
        if group and (too_large or too_long):
            yield group
            group, group_bytes = [], 0
        group.append(segment)
        group_bytes += segment.size_bytes
    if group:
        yield group


class _Cleaning:
    """Writes the `.cleaned` files of one group of segments."""

    def __init__(self, log: PartitionLog, last_offsets: LastOffsets, end: int, now_ms: int) -> None:
        self.log = log
        self.last_offsets = last_offsets
        self.end = end
        self.now_ms = now_ms

    def rewrite(self, group: Sequence[Segment]) -> Segment:
        """A new segment, not yet in its place, with what stays of the group. Raises OSError,
        CorruptMessage.
        """
        first = group[0]
        interval_bytes = first.index_interval_bytes
        indexes, size_bytes = SegmentIndexes(), 0
        path = _with_suffix(first, LOG_SUFFIX, CLEANED_SUFFIX)
        with open(path, "wb") as file:
            for segment in group:
                for _, header, batch in scan_batches(segment.reader(), 0, segment.size_bytes):
                    kept, kept_header = self._keep(header, batch)
                    if kept_header is not None:
                        indexes.add_stored(
                            kept_header, size_bytes, first.base_offset, interval_bytes
                        )
                        size_bytes += file.write(kept)
            file.flush()
            force(file.fileno(), path)
        indexes.finish()
        save_indexes(indexes, first.directory, first.base_offset, CLEANED_SUFFIX, sync=True)
        new = Segment(
            first.directory,
            first.base_offset,
            size_bytes,
            interval_bytes,
            first.open_files,
            indexes=indexes,
        )
        new.mark_flushed()
        return new

    def _keep(
        self, header: BatchHeader, batch: memoryview
    ) -> tuple[memoryview | bytes, BatchHeader | None]:
        """What stays of a batch; (b"", None) for nothing."""
        if _belongs_to_transaction(header) or header.base_offset >= self.end:
            return batch, header
        horizon_ms = header.base_timestamp_ms if header.attributes & DELETE_HORIZON_FLAG else None
        records = list(read_records(batch))
        kept = [record for record in records if self._stays(record, horizon_ms)]
        meets_tombstone = horizon_ms is None and any(record.value is None for record in kept)
        if len(kept) == len(records) and kept and not meets_tombstone:
            return batch, header
        if not kept and not self.log.is_last_of_producer(header):
            return b"", None
        if meets_tombstone:
            header = header._replace(
                attributes=header.attributes | DELETE_HORIZON_FLAG,
                base_timestamp_ms=self.now_ms + self.log.settings.delete_retention_ms,
            )
        rebuilt = rebuild_batch(header, kept, header.codec)
        return rebuilt, read_header(memoryview(rebuilt))

    def _stays(self, record: Record, horizon_ms: int | None) -> bool:
        if record.offset >= self.end:
            return True
        if record.key is None:  # from before the topic was compacted: nothing can replace it
            return False
        if self.last_offsets.get(record.key, -1) > record.offset:
            return False
        return record.value is not None or horizon_ms is None or self.now_ms <= horizon_ms


def _swap(log: PartitionLog, old: list[Segment], new: Segment, now_ms: int) -> None:
    """Put the new segment in the place of the old ones; see the table above.

    Not in a directory that is another topic's by now: the next start would finish the swap there.
    """
    with log.staying():
        for suffix in reversed(SEGMENT_SUFFIXES):  # the log last: with it the swap is decided
            _with_suffix(new, suffix, CLEANED_SUFFIX).rename(_with_suffix(new, suffix, SWAP_SUFFIX))
        sync_directory(new.directory)
        log.replace_segments(old, new, now_ms)
    sync_directory(new.directory)


def _with_suffix(segment: Segment, suffix: str, more: str) -> Path:
    return segment.directory / (segment_file(segment.base_offset, suffix) + more)


def finish_swaps(directory: Path) -> None:
    """At the start: finish what a crash has interrupted. Raises CorruptMessage, OSError."""
    names = sorted(os.listdir(directory))
    swapped = [name.removesuffix(SWAP_SUFFIX) for name in names if name.endswith(SWAP_SUFFIX)]
    for name in [name for name in swapped if name.endswith(LOG_SUFFIX)]:
        parsed = parse_segment_file(name)
        if parsed is None:
            continue  # no name that compaction would give
        base_offset, end = parsed[0], _end_of_swap(directory / (name + SWAP_SUFFIX))
        _LOGGER.info(
            "%s: finishing the compaction of offsets %d to %d", directory, base_offset, end
        )
        for covered in filter(None, map(parse_segment_file, names)):
            if covered[1] in SEGMENT_SUFFIXES and (
                covered[0] == base_offset or base_offset < covered[0] < end
            ):
                (directory / segment_file(*covered)).unlink()
        for suffix in reversed(SEGMENT_SUFFIXES):
            if segment_file(base_offset, suffix) in swapped:
                path = directory / segment_file(base_offset, suffix)
                path.with_name(path.name + SWAP_SUFFIX).rename(path)
        sync_directory(directory)


def _end_of_swap(path: Path) -> int:
    file = OpenFile.open(path)
    end = 0
    for _, header in scan_headers(file, 0, os.fstat(file.fd).st_size):
        end = header.last_offset + 1
    return end
