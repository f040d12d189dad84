"""One partition's log: segments in a row, the last of which is active.

    append: check -> duplicate? -> roll? -> offsets patched into the header -> one pwrite(2)
    read:   offset -> segment -> position -> FileSlice: a file, a position, a length; unread

    offsets: log start ................................ high watermark = log end
             [ segment 0 ][ segment 4711 ][ active segment 9000 ... ]

The records of a batch stay shut in both directions, and every batch is written once and sent from
where it was written.

Locks, in the order in which they are taken:

| lock | what it orders |
|---|---|
| `LogDirectories._lock` | topics, directories; also taken by who holds a log's when a disk fails |
| `PartitionLog._lock` | appends, rolls, deletions of one partition |
| `Segment._lock` | an append's index entries, and who loads or rebuilds the indexes |
| `PartitionLog._flush_lock` | flushes; the others are held only if an append flushes |
| `OpenFiles._lock` | who holds descriptors |

Reads take none: the segments are a tuple that is replaced as a whole, and `log_end_offset` is set
after the bytes are written.

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

import time
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from zerocopy_lab.errors import OffsetOutOfRange
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.log.batch_rules import Trust, admit
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.local_log import LocalLog, LogOnDisk
from zerocopy_lab.log.producer_state import WrittenBatch
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.segment_files import Found
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.records.batch import (
    NO_PRODUCER_ID,
    NO_TIMESTAMP,
    BatchHeader,
    assign_offsets,
)
from zerocopy_lab.records.restamping import stamp_append_time

_base_offset = attrgetter("base_offset")


class Appended(NamedTuple):
    """Where a batch went: what a producer is told."""

    base_offset: int
    last_offset: int
    append_time_ms: int  # -1 unless the broker stamped it (LogAppendTime)
    log_start_offset: int


def wall_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class PartitionLog(LocalLog):
    """The log of one partition. Made by `loading.load_partition`."""

    def __init__(
        self,
        key: TopicPartition,
        topic_id: UUID,
        settings: TopicSettings,
        found: LogOnDisk,
        *,
        on_failure: Callable[[OSError], None],
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """`on_failure` hears of every error of the disk that does not pass by itself."""
        super().__init__(key, settings, found, on_failure)
        self.topic_id = topic_id
        self._newest_epoch = found.epochs.latest
        self._clock_ms = clock_ms
        self.last_flush_ms = clock_ms()

    def __repr__(self) -> str:
        return (
            f"PartitionLog({self.name}, "
            f"offsets {self.log_start_offset} to {self.log_end_offset}, "
            f"{len(self.segments)} segments)"
        )

    # Writing

    def append(self, batch: memoryview, trust: Trust | None = None) -> Appended:
        """Put one batch, as its producer sent it, behind the last one. The view must be writable:
        offsets are patched in. `trust` says whether its records are looked at.

        Raises what `batch_rules.admit` raises (not a good batch), OutOfOrderSequenceNumber,
        InvalidProducerEpoch, KafkaStorageError (disk full: try again; or the directory is
        offline). After an error the log is as before.
        """
        batch, header = admit(batch, self.settings, self.name, self._clock_ms(), trust)
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

    def _write(self, batch: memoryview, header: BatchHeader) -> Appended:
        settings = self.settings
        base_offset = self.log_end_offset
        last_offset = base_offset + header.last_offset_delta
        timestamp_ms = header.max_timestamp_ms
        if settings.message_timestamp_type == "LogAppendTime":
            timestamp_ms = self._clock_ms()
            stamp_append_time(batch, timestamp_ms)
        if self.leader_epoch != self._newest_epoch:
            self._epochs.begin(self.leader_epoch, base_offset)
            self._newest_epoch = self.leader_epoch
        assign_offsets(batch, base_offset, self.leader_epoch)
        segment = self.segments[-1]
        if segment.size_bytes and segment.is_full_for(
            settings, len(batch), last_offset, timestamp_ms, self._clock_ms
        ):
            segment = self.roll()
        # Nobody sees a batch, and no retry is taken for its duplicate, before it is on disk.
        flushes = last_offset + 1 - self.recovery_point >= settings.flush_messages
        flush = partial(self.flush_up_to, last_offset + 1) if flushes else None
        segment.append(batch, base_offset, last_offset, timestamp_ms, flush)
        if header.producer_id != NO_PRODUCER_ID:
            self._producers.add(header, last_offset, timestamp_ms)
        self.log_end_offset = self.high_watermark = last_offset + 1
        return self._appended(base_offset, last_offset, timestamp_ms)

    def _answered_again(self, batch: WrittenBatch) -> Appended:
        # Recovery may have found it in the page cache only, and the answer promises what
        # flush.messages does.
        if self.log_end_offset - self.recovery_point >= self.settings.flush_messages:
            self.flush()
        return self._appended(batch.base_offset, batch.last_offset, batch.timestamp_ms)

    def _appended(self, base_offset: int, last_offset: int, timestamp_ms: int) -> Appended:
        stamped = self.settings.message_timestamp_type == "LogAppendTime"
        append_time_ms = timestamp_ms if stamped else NO_TIMESTAMP
        return Appended(base_offset, last_offset, append_time_ms, self.log_start_offset)

    def roll(self) -> Segment:
        """Close the active segment and begin a new one at the log end. Raises OSError; the old one
        then stays active.

        The old segment is forced to disk later, by housekeeping: a producer must not wait for a
        gigabyte.
        """
        with self._lock:
            old = self.segments[-1]
            if old.size_bytes == 0:
                return old
            end = self.log_end_offset
            old.seal()
            # With the new segment's base offset for a name.
            self._snapshots.save(self._producers, end, self.segments)
            new = Segment.create(
                self.directory,
                end,
                self.settings.index_interval_bytes,
                old.open_files,
                self._clock_ms(),
            )
            self.segments = (*self.segments, new)
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
        if self._availability.why_not is not None:
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
                f"offset {offset} of {self.name}; "
                f"it has {self.log_start_offset} to {self.log_end_offset}"
            )
        segments = self.segments
        number = len(segments) - 1
        if offset < segments[number].base_offset:
            number = max(bisect_right(segments, offset, key=_base_offset) - 1, 0)
        while number < len(segments):  # twice only where compaction took the rest of a segment
            segment = segments[number]
            found = segment.locate(offset)
            if found is not None:
                return segment, found, segment.reader()
            number += 1
        return None

    # To disk

    def flush(self) -> None:
        """Force everything appended so far to disk. Raises KafkaStorageError."""
        with self.storage_errors("flush"):
            self.flush_up_to(self.log_end_offset)

    def flush_up_to(self, end: int) -> None:
        """Force everything before offset `end` to disk: the end of the log, or of a segment. Raises
        OSError, and why the log is offline.
        """
        with self._lock:
            self._availability.check()
            segments = self.segments
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
            if with_active:
                segments[-1].flush()
                self.last_flush_ms = self._clock_ms()
            self.recovery_point = max(self.recovery_point, end)

    def save_for_recovery(self) -> None:
        """Index entries and producers up to here, so that recovery need not look at what was
        flushed. Raises OSError.

        Not forced to disk: both are checked when they are read, and can be done without.
        """
        with self.staying():
            self.segments[-1].save_indexes()
            self._snapshots.save(self._producers, self.log_end_offset, self.segments)

    def close(self) -> None:
        """Force everything to disk: log, indexes, producer state. Raises OSError."""
        with self._lock:
            if self.recovery_point < self.log_end_offset:
                self.flush_up_to(self.log_end_offset)
            self._snapshots.save(self._producers, self.log_end_offset, self.segments)
            for segment in self.segments:
                segment.close()
