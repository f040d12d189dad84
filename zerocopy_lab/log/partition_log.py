"""One partition's log: segments in a row, the last of which is active.

    append: check -> duplicate? -> roll? -> offsets patched into the header -> one pwrite(2)
    read:   offset -> segment -> position -> FileSlice: a file, a position, a length; unread

    offsets: log start ................................ high watermark = log end
             [ segment 0 ][ segment 4711 ][ active segment 9000 ... ]

The records of a batch stay shut in both directions, and every batch is written once and sent from
where it was written.

One lock per partition orders appends, rolls and deletions. Reads take none: the row of segments is
a tuple that is replaced as a whole, and `log_end_offset` is set after the bytes are written.

With one broker there are no followers: what is written is committed, the high watermark is the log
end, and acks=all promises no more than acks=1. What can still be lost:

| acks | the producer is answered | `kill -9` takes | a power cut takes |
|---|---|---|---|
| 0 | never | what was on its way | what was on its way or not flushed |
| 1, all | once the batch is in the page cache | nothing | what was not flushed |
| 1, all, with flush.messages=1 | once the batch is on disk | nothing | nothing |

The page cache belongs to the kernel, so a broker that dies takes nothing along. "Flushed" is what
lies before the recovery point: the operating system decides when (default), or every flush.messages
records, or flush.ms; segments that are no longer active follow at the next housekeeping round.
Kafka: `UnifiedLog`, `LocalLog`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import pairwise, takewhile
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from zerocopy_lab.errors import KafkaError, OffsetOutOfRange
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.inspect.segment_info import SegmentInfo, describe
from zerocopy_lab.log.admission import admit
from zerocopy_lab.log.atomic_file import passes, sync_directory
from zerocopy_lab.log.availability import Availability
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.leader_epochs import LeaderEpochs
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.log.producer_snapshots import ProducerSnapshots
from zerocopy_lab.log.producer_state import ProducerStates, WrittenBatch
from zerocopy_lab.log.rolling import must_roll
from zerocopy_lab.log.segment import Found, Segment
from zerocopy_lab.log.segment_row import SegmentRow
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.time_lookup import OffsetAndTimestamp, first_since, largest
from zerocopy_lab.log.upkeep.retention import judge
from zerocopy_lab.records.batch import (
    NO_PRODUCER_ID,
    NO_TIMESTAMP,
    BatchHeader,
    assign_offsets,
    stamp_append_time,
)

_LOGGER = logging.getLogger(__name__)
EXPIRY_INTERVAL_MS = 600_000  # Kafka's producer.id.expiration.check.interval.ms
_PATIENCE_S = 1.0


class Appended(NamedTuple):
    """Where a batch went: what a producer is told."""

    base_offset: int
    last_offset: int
    append_time_ms: int  # -1 unless the broker stamped it (LogAppendTime)
    log_start_offset: int


def wall_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class PartitionLog:
    """The log of one partition. Made by `loading.load_partition`."""

    def __init__(
        self,
        directory: Path,
        key: TopicPartition,
        topic_id: UUID,
        settings: TopicSettings,
        segments: list[Segment],
        *,
        epochs: LeaderEpochs,
        leader_epoch: int,
        producers: ProducerStates,
        log_start_offset: int,
        log_end_offset: int,
        recovery_point: int,
        snapshot_offset: int,
        cleaned_offset: int,
        open_files: OpenFiles,
        on_failure: Callable[[OSError], None],
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.directory = directory
        self.topic, self.partition = key
        self.topic_id = topic_id
        self.settings = settings
        self.log_start_offset = log_start_offset
        self.log_end_offset = log_end_offset
        self.high_watermark = log_end_offset
        self.recovery_point = recovery_point  # everything before it is on disk
        self.leader_epoch = leader_epoch
        self._availability = Availability(f"{key.topic}-{key.partition}", directory, on_failure)
        self._row = SegmentRow(segments)
        self._epochs = epochs
        self._producers = producers
        self._open_files = open_files
        self._clock_ms = clock_ms
        self._lock = threading.RLock()
        self._flush_lock = threading.Lock()
        self._last_flush_ms = self._last_expiry_ms = clock_ms()
        self.cleaned_offset = cleaned_offset  # compaction has been through everything before it
        self._snapshots = ProducerSnapshots(directory, snapshot_offset)
        segments[-1].created_ms = clock_ms()  # as far as this process knows
        for segment, later in pairwise(segments):
            segment.is_flushed = later.base_offset <= recovery_point

    def __repr__(self) -> str:
        return (
            f"PartitionLog({self.topic}-{self.partition}, "
            f"offsets {self.log_start_offset} to {self.log_end_offset}, "
            f"{len(self._row.segments)} segments)"
        )

    @property
    def segments_start_offset(self) -> int:
        """Base offset of the first segment: less than the log start offset when records were
        deleted within it.
        """
        return self._row.segments[0].base_offset

    @property
    def size_bytes(self) -> int:
        """Bytes in all segments."""
        return sum(segment.size_bytes for segment in self._row.segments)

    # Writing

    def append(self, batch: memoryview) -> Appended:
        """Put one batch, as its producer sent it, behind the last one. The view must be writable:
        offsets are patched in.

        Raises CorruptMessage, InvalidRecord, UnsupportedForMessageFormat (not a good batch),
        MessageTooLarge, RecordListTooLarge (more than a segment), OutOfOrderSequenceNumber,
        InvalidProducerEpoch, KafkaStorageError (disk full: try again; or the directory is
        offline). After an error the log is as before.
        """
        batch, header = admit(batch, self.settings, f"{self.topic}-{self.partition}")
        with self._lock:
            if self._availability.why_not is not None:  # no call where every producer waits
                self._availability.check()
            if header.producer_id != NO_PRODUCER_ID:
                duplicate = self._producers.duplicate_of(header)
                if duplicate is not None:
                    return self._answered_again(duplicate)
            try:
                return self._write(batch, header)
            except OSError as error:
                self._availability.failed(error, "append to")

    def _answered_again(self, batch: WrittenBatch) -> Appended:
        # Recovery may have found it in the page cache only, and the answer promises what
        # flush.messages does.
        if self.log_end_offset - self.recovery_point >= self.settings.flush_messages:
            self.flush()
        return self._appended(batch.base_offset, batch.last_offset, batch.timestamp_ms)

    def _write(self, batch: memoryview, header: BatchHeader) -> Appended:
        base_offset = self.log_end_offset
        last_offset = base_offset + header.last_offset_delta
        timestamp_ms = header.max_timestamp_ms
        if self.settings.message_timestamp_type == "LogAppendTime":
            timestamp_ms = self._clock_ms()
            stamp_append_time(batch, timestamp_ms)
        if self.leader_epoch != self._epochs.latest:
            self._epochs.begin(self.leader_epoch, base_offset)
        assign_offsets(batch, base_offset, self.leader_epoch)
        segment = self._row.active
        if segment.size_bytes and must_roll(
            segment, self.settings, len(batch), last_offset, timestamp_ms, self._clock_ms
        ):
            segment = self.roll()
        flushes = last_offset + 1 - self.recovery_point >= self.settings.flush_messages
        # Nobody sees a batch, and no retry is taken for its duplicate, before it is on disk.
        flush = partial(self._flush_to_disk, last_offset + 1) if flushes else None
        segment.append(batch, base_offset, last_offset, timestamp_ms, flush)
        if header.producer_id != NO_PRODUCER_ID:
            self._producers.add(header, last_offset, timestamp_ms)
        self.log_end_offset = self.high_watermark = last_offset + 1
        return self._appended(base_offset, last_offset, timestamp_ms)

    def _appended(self, base_offset: int, last_offset: int, timestamp_ms: int) -> Appended:
        stamped = self.settings.message_timestamp_type == "LogAppendTime"
        append_time_ms = timestamp_ms if stamped else NO_TIMESTAMP
        return Appended(base_offset, last_offset, append_time_ms, self.log_start_offset)

    def roll(self) -> Segment:
        """Close the active segment and begin a new one at the log end. Raises OSError; the old one
        then stays active.

        The old segment is forced to disk later, by `look_after`: a producer must not wait for a
        gigabyte.
        """
        with self._lock:
            old = self._row.active
            if old.size_bytes == 0:
                return old
            end = self.log_end_offset
            old.finish_indexes()
            self._save_snapshot(end)  # with the new segment's base offset for a name
            new = Segment.create(
                self.directory, end, self.settings.index_interval_bytes, self._open_files
            )
            new.created_ms = self._clock_ms()
            self._row.add(new)
            return new

    # Reading

    def read(self, offset: int, max_bytes: int, *, at_least_one: bool = True) -> FileSlice | None:
        """The bytes from the batch that contains `offset` on, up to `max_bytes`, within one
        segment.

        At least that whole batch, however large, unless `at_least_one` is false; the end may cut a
        later batch in two, which consumers expect. None at the log end. Raises OffsetOutOfRange,
        KafkaStorageError, CorruptMessage.
        """
        if self._availability.why_not is not None:
            self._availability.check()
        try:
            try:
                place = self._find(offset)
            except FileNotFoundError:
                # A segment was deleted or replaced just now. Under the lock none is.
                with self._lock:
                    place = self._find(offset)
        except OSError as error:
            self._availability.failed(error, "read from")
        if place is None:
            return None
        # If the topic was deleted meanwhile, the file that was opened may be another topic's that
        # has got the same name.
        self._availability.check()
        segment, (position, total_bytes), file = place
        length = min(max_bytes, segment.size_bytes - position)
        if length < total_bytes:
            if at_least_one:
                length = total_bytes
            elif length <= 0:
                return None
        return FileSlice(file, position, length)

    def _find(self, offset: int) -> tuple[Segment, Found, OpenFile] | None:
        """Where the batch with this offset is, or the next one if compaction took it. None at the
        end.
        """
        if not self.log_start_offset <= offset < self.log_end_offset:
            if offset == self.log_end_offset:
                return None
            raise OffsetOutOfRange(
                f"offset {offset} of {self.topic}-{self.partition}; "
                f"it has {self.log_start_offset} to {self.log_end_offset}"
            )
        return self._row.find(offset)

    # Flushing

    def flush(self) -> None:
        """Force everything appended so far to disk. Raises KafkaStorageError."""
        with self.storage_errors("flush"):
            self._flush_to_disk(self.log_end_offset)

    def look_after(self, now_ms: int) -> None:
        """A round of housekeeping: flush, delete, remove. Raises KafkaStorageError."""
        if self._row.is_empty:
            return  # most of ten thousand partitions
        with self.storage_errors("look after"):
            with self._lock:
                self._availability.check()
                self._row.remove_condemned(now_ms)
            self._retain(now_ms)  # before anything that needs room on the disk: this makes room
            self._flush_what_is_due(now_ms)
        if now_ms - self._last_expiry_ms >= EXPIRY_INTERVAL_MS:
            self._last_expiry_ms = now_ms
            with self._lock:
                self._producers.expire(now_ms)

    def _flush_what_is_due(self, now_ms: int) -> None:
        """By `flush.ms`; and always the segments that are no longer active."""
        due = now_ms - self._last_flush_ms >= self.settings.flush_ms
        if due and self.recovery_point < self.log_end_offset:
            self._flush_to_disk(self.log_end_offset)
            self._save_for_recovery()
        elif self.recovery_point < self._row.active.base_offset:
            self._flush_to_disk(self._row.active.base_offset)

    def _flush_to_disk(self, end: int) -> None:
        """Force everything before offset `end` to disk: the end of the log, or of a segment."""
        with self._lock:
            self._availability.check()
            segments = self._row.segments
            with_active = end > segments[-1].base_offset
        # Outside the partition's lock, unless an append holds it: producers need not wait for
        # fsync(2).
        with self._flush_lock:
            self._availability.check()
            for segment in segments[:-1]:
                if not segment.is_flushed:
                    segment.flush()
                    self._availability.check()  # that may have taken so long that nobody waited
                    segment.flush_indexes()
                    sync_directory(self.directory)  # the names of its indexes and its snapshot
                    segment.is_flushed = True
            if with_active:
                segments[-1].flush()
                self._last_flush_ms = self._clock_ms()
            self.recovery_point = max(self.recovery_point, end)

    def _save_for_recovery(self) -> None:
        """Index entries and producers up to here, so that recovery need not look at what was
        flushed.

        Not forced to disk: both are checked when they are read, and can be done without.
        """
        with self._lock:
            self._availability.check()
            self._row.active.save_indexes()
            self._save_snapshot(self.log_end_offset)

    def _save_snapshot(self, offset: int) -> None:
        base_offsets = (segment.base_offset for segment in self._row.segments)
        self._snapshots.save(self._producers, offset, base_offsets)

    # Deleting

    def delete_records_before(self, offset: int) -> int:
        """Move the log start offset up (-1: to the high watermark); the new one is returned.

        Whole segments before it go at the next housekeeping round. Raises OffsetOutOfRange,
        KafkaStorageError.
        """
        with self._lock:
            self._availability.check()
            wanted = self.high_watermark if offset == -1 else offset
            if not 0 <= wanted <= self.high_watermark:
                raise OffsetOutOfRange(
                    f"records of {self.topic}-{self.partition} before {wanted} cannot be deleted: "
                    f"its high watermark is {self.high_watermark}"
                )
            self.log_start_offset = max(self.log_start_offset, wanted)
            return self.log_start_offset

    def _retain(self, now_ms: int) -> None:
        """Delete the segments that retention lets go."""
        with self._lock:
            self._availability.check()
            verdicts = judge(self._row.segments, self.settings, self.log_start_offset, now_ms)
            old = list(takewhile(attrgetter("deletable"), verdicts))
            if not old:
                return
            for verdict in old:
                _LOGGER.info("%s goes: %s", verdict.segment.path, verdict.why)
            if len(old) == len(self._row.segments):
                try:
                    self.roll()
                except OSError as error:
                    if not passes(error) or len(old) == 1:
                        raise
                    old.pop()  # no room for a new segment: the active one stays until there is
            self._drop([verdict.segment for verdict in old], now_ms)

    def _drop(self, old: list[Segment], now_ms: int) -> None:
        segments = self._row.segments
        self.log_start_offset = max(self.log_start_offset, segments[len(old)].base_offset)
        self._row.drop_oldest(len(old), now_ms + self.settings.file_delete_delay_ms)
        for segment in old:
            self._snapshots.drop(segment.base_offset)
        self._epochs.cut(self.log_start_offset, self.log_end_offset)

    # Being compacted (compaction.py)

    def inactive_segments(self) -> tuple[Segment, ...]:
        """All but the active one, oldest first."""
        return self._row.segments[:-1]

    def end_of(self, segment: Segment) -> int:
        """Where the next segment begins, or the log ends."""
        return self._row.ends(self.log_end_offset)[self._row.segments.index(segment)]

    def is_last_of_producer(self, header: BatchHeader) -> bool:
        """Whether this is the batch by which its producer's sequence number is known."""
        with self._lock:
            producer = self._producers.producers.get(header.producer_id)
            return producer is not None and producer.batches[-1].last_offset == header.last_offset

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Within it nobody writes or deletes the partition. Raises why it is offline."""
        with self._lock:
            self._availability.check()
            yield

    def replace_segments(self, old: list[Segment], new: Segment, now_ms: int) -> None:
        """Put a compacted segment in the place of those it was made from. Raises OSError."""
        with self.staying():
            self._row.replace(old, new, now_ms + self.settings.file_delete_delay_ms)

    # Looking up

    def offset_for_timestamp(self, timestamp_ms: int) -> OffsetAndTimestamp | None:
        """The first record whose timestamp is at least this; None when all are older.

        Raises KafkaStorageError, CorruptMessage.
        """
        with self.storage_errors("look up a time in"):
            return first_since(self._row.segments, timestamp_ms, self.log_start_offset)

    def offset_of_max_timestamp(self) -> OffsetAndTimestamp | None:
        """The first record with the largest timestamp of all; None without one. Raises as above."""
        with self.storage_errors("look up a time in"):
            return largest(self._row.segments, self.log_start_offset)

    def headers(self) -> Iterator[BatchHeader]:
        """The header of every batch, oldest first. Raises KafkaStorageError, CorruptMessage."""
        for segment in self._row.segments:
            with self.storage_errors("look through"):
                yield from segment.headers()

    def producer_ids(self) -> list[int]:
        """The idempotent producers that are remembered."""
        return list(self._producers.producers)  # one step, so it needs no lock

    def offset_for_leader_epoch(self, epoch: int) -> tuple[int, int] | None:
        """(largest epoch up to the asked one, the offset where it ended); None if all are later
        (KIP-320).
        """
        return self._epochs.end_offset(epoch, self.log_end_offset)

    # Showing

    def segments(self, now_ms: int | None = None) -> list[SegmentInfo]:
        """Every segment as plain values, with what retention would say of it at `now_ms` (default:
        now).
        """
        now_ms = self._clock_ms() if now_ms is None else now_ms
        with self.storage_errors("look at"), self._lock:
            verdicts = judge(self._row.segments, self.settings, self.log_start_offset, now_ms)
            ends = self._row.ends(self.log_end_offset)
            return [describe(verdict, end) for verdict, end in zip(verdicts, ends, strict=True)]

    def index_entries(self, base_offset: int) -> list[tuple[int, int]]:
        """(offset, position in bytes) of every entry in the index of the segment with this base
        offset.
        """
        indexes = self._row.at(base_offset).indexes()
        return [(base_offset + offset, position) for offset, position in indexes.offsets]

    def time_index_entries(self, base_offset: int) -> list[tuple[int, int]]:
        """(timestamp in ms, offset) of every entry in the time index of the segment with this base
        offset.
        """
        indexes = self._row.at(base_offset).indexes()
        return [(timestamp_ms, base_offset + offset) for timestamp_ms, offset in indexes.times]

    # Going down

    def storage_errors(self, action: str) -> AbstractContextManager[None]:
        """Within it, an OSError becomes what a client may hear: KafkaStorageError."""
        return self._availability.storage_errors(action)

    def go_offline(self, why: KafkaError) -> None:
        """From now on everybody gets this error. Readers in flight finish."""
        self._availability.why_not = why  # without the lock (availability.py)
        for segment in self._row.segments:
            segment.let_go()

    def move_aside(self, path: Path, why: KafkaError) -> None:
        """The partition is deleted: it goes offline, and its directory gets another name.

        Waits for whoever is writing. What it wrote later, by the old name, could be among the files
        of a new topic of that name. Raises OSError.
        """
        # Not for ever: whoever holds a lock may be waiting for a broken disk, or for our caller.
        held = [
            lock for lock in (self._lock, self._flush_lock) if lock.acquire(timeout=_PATIENCE_S)
        ]
        try:
            self.go_offline(why)
            self.directory.rename(path)
        finally:
            for lock in held:
                lock.release()

    def close(self) -> None:
        """Force everything to disk: log, indexes, producer state. Raises OSError."""
        with self._lock:
            if self.recovery_point < self.log_end_offset:
                self._flush_to_disk(self.log_end_offset)
            self._save_snapshot(self.log_end_offset)
            for segment in self._row.segments:
                segment.close()
