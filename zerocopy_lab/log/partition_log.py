"""One partition's log: segments in a row, the last of which is active.

    append: check -> duplicate? -> roll? -> offsets patched into the 61-byte header -> one pwrite(2) at the end
    read:   offset -> segment -> position -> FileSlice: a file, a position, a length; no byte is read

    offsets: log start ................................ high watermark = log end
             [ segment 0 ][ segment 4711 ][ active segment 9000 ... ]

The records of a batch stay shut in both directions, and every batch is written once and sent from where it was written.

One lock per partition orders appends, rolls and deletions. Reads take none: the row of segments is a tuple that is
replaced as a whole, and `log_end_offset` is set after the bytes are written.

With one broker there are no followers: what is written is committed, the high watermark is the log end. What survives a
crash of the *process* is everything acknowledged (the page cache belongs to the kernel); what survives a power cut is
everything before the recovery point, see `flush_messages` and `flush_ms`. Kafka: `UnifiedLog`, `LocalLog`.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, NoReturn
from uuid import UUID

from zerocopy_lab.errors import (
    InvalidRecord,
    KafkaError,
    KafkaStorageError,
    MessageTooLarge,
    OffsetOutOfRange,
    RecordListTooLarge,
)
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.log.atomic_file import replace_file, sync_directory
from zerocopy_lab.log.file_names import SNAPSHOT_SUFFIX, TopicPartition, segment_file
from zerocopy_lab.log.leader_epochs import LeaderEpochs
from zerocopy_lab.log.offset_index import ENTRY_BYTES
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.log.producer_state import ProducerStates
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.settings import MAX_INT32, TopicSettings
from zerocopy_lab.log.time_index import ENTRY as TIME_ENTRY
from zerocopy_lab.records.batch import (
    NO_PRODUCER_ID,
    NO_TIMESTAMP,
    BatchHeader,
    assign_offsets,
    check_batch,
    stamp_append_time,
)
from zerocopy_lab.records.record import read_records

_LOGGER = logging.getLogger(__name__)
_base_offset = attrgetter("base_offset")
# A full disk, or a full quota: space may come back, so only the append is refused.
_FULL = {errno.ENOSPC, errno.EDQUOT}


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
        open_files: OpenFiles,
        on_failure: Callable[[OSError], None],
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        assert segments, f"{directory}: a log has at least its active segment"
        self.directory = directory
        self.topic, self.partition = key
        self.topic_id = topic_id
        self.settings = settings
        self.log_start_offset = log_start_offset
        self.log_end_offset = log_end_offset
        self.high_watermark = log_end_offset
        self.recovery_point = recovery_point  # everything before it is on disk
        self.leader_epoch = leader_epoch
        self._offline: KafkaError | None = None  # why nobody may use this log any more
        self._segments = tuple(segments)
        self._epochs = epochs
        self._producers = producers
        self._open_files = open_files
        self._on_failure = on_failure
        self._clock_ms = clock_ms
        self._lock = threading.RLock()
        self._flush_lock = threading.Lock()
        self._last_flush_ms = clock_ms()

    def __repr__(self) -> str:
        return (
            f"PartitionLog({self.topic}-{self.partition}, "
            f"offsets {self.log_start_offset}..{self.log_end_offset}, {len(self._segments)} segments)"
        )

    @property
    def segments_start_offset(self) -> int:
        """Base offset of the first segment: less than the log start offset when records were deleted within it."""
        return self._segments[0].base_offset

    @property
    def size_bytes(self) -> int:
        """Bytes in all segments."""
        return sum(segment.size_bytes for segment in self._segments)

    # Writing

    def append(self, batch: memoryview) -> Appended:
        """Put one batch, as its producer sent it, behind the last one. The view must be writable: offsets are patched in.

        Raises CorruptMessage, InvalidRecord, UnsupportedForMessageFormat (not a good batch), MessageTooLarge,
        RecordListTooLarge (more than a segment), OutOfOrderSequenceNumber, InvalidProducerEpoch, KafkaStorageError
        (disk full: try again; or the directory is offline). After an error the log is as before.
        """
        header = check_batch(batch)
        settings = self.settings
        if len(batch) > settings.max_message_bytes:
            raise MessageTooLarge(
                f"a batch of {len(batch)} bytes for {self.topic}-{self.partition}; "
                f"max.message.bytes is {settings.max_message_bytes}"
            )
        if settings.compacts:
            self._check_keys(batch)
        with self._lock:
            if self._offline is not None:
                self._refuse(self._offline)
            if header.producer_id != NO_PRODUCER_ID:
                duplicate = self._producers.duplicate_of(header)
                if duplicate is not None:
                    return self._appended(
                        duplicate.base_offset, duplicate.last_offset, duplicate.timestamp_ms
                    )
            try:
                return self._write(batch, header)
            except OSError as error:
                self._storage_failed(error, "append to")

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
        segment = self._segments[-1]
        if segment.size_bytes and self._must_roll(segment, len(batch), last_offset, timestamp_ms):
            segment = self.roll()
        elif len(batch) > self.settings.segment_bytes:
            raise RecordListTooLarge(
                f"a batch of {len(batch)} bytes does not fit a segment of {self.settings.segment_bytes}"
            )
        segment.append(batch, base_offset, last_offset, timestamp_ms)
        if header.producer_id != NO_PRODUCER_ID:
            self._producers.add(header, last_offset, timestamp_ms)
        self.log_end_offset = self.high_watermark = last_offset + 1
        if last_offset + 1 - self.recovery_point >= self.settings.flush_messages:
            self._flush_to_disk()
        return self._appended(base_offset, last_offset, timestamp_ms)

    def _appended(self, base_offset: int, last_offset: int, timestamp_ms: int) -> Appended:
        stamped = self.settings.message_timestamp_type == "LogAppendTime"
        append_time_ms = timestamp_ms if stamped else NO_TIMESTAMP
        return Appended(base_offset, last_offset, append_time_ms, self.log_start_offset)

    def _check_keys(self, batch: memoryview) -> None:
        for record in read_records(batch):
            if record.key is None:
                raise InvalidRecord(
                    f"{self.topic}-{self.partition} is compacted, so every record needs a key; "
                    f"the record at {record.offset} of the batch has none"
                )

    # Rolling

    def _must_roll(
        self, segment: Segment, more_bytes: int, last_offset: int, timestamp_ms: int
    ) -> bool:
        settings = self.settings
        if segment.size_bytes + more_bytes > settings.segment_bytes:
            return True
        if last_offset - segment.base_offset > MAX_INT32:
            return True  # the index could not say it
        indexes = segment.indexes()
        fullest_bytes = max(
            len(indexes.offsets) * ENTRY_BYTES, len(indexes.times) * TIME_ENTRY.size
        )
        if fullest_bytes + TIME_ENTRY.size > settings.segment_index_bytes:
            return True
        return self._age_ms(segment, timestamp_ms) > settings.segment_ms

    def _age_ms(self, segment: Segment, timestamp_ms: int) -> int:
        # By the records' own clock where there is one, as in Kafka: then a replayed day fills one day's segment.
        first_ms = segment.first_timestamp_ms
        if first_ms is None or first_ms == NO_TIMESTAMP:
            return self._clock_ms() - segment.created_ms
        return timestamp_ms - first_ms

    def roll(self) -> Segment:
        """Close the active segment and begin a new one at the log end. Raises OSError; the old one then stays active.

        The old segment is forced to disk later, by `flush_rolled`: a producer must not wait for a gigabyte.
        """
        with self._lock:
            old = self._segments[-1]
            if old.size_bytes == 0:
                return old
            end = self.log_end_offset
            old.indexes().finish()
            old.save_indexes()
            self._save_snapshot(end, sync=False)
            new = Segment.create(
                self.directory, end, self.settings.index_interval_bytes, self._open_files
            )
            new.created_ms = self._clock_ms()
            self._segments = (*self._segments, new)
            return new

    def _save_snapshot(self, offset: int, *, sync: bool) -> None:
        path = self.directory / segment_file(offset, SNAPSHOT_SUFFIX)
        replace_file(path, self._producers.to_snapshot(), sync=sync)

    # Reading

    def read(self, offset: int, max_bytes: int, *, at_least_one: bool = True) -> FileSlice | None:
        """The bytes from the batch that contains `offset` on, up to `max_bytes`, within one segment.

        At least that whole batch, however large, unless `at_least_one` is false; the end may cut a later batch in two,
        which consumers expect. None at the log end. Raises OffsetOutOfRange, KafkaStorageError, CorruptMessage.
        """
        if self._offline is not None:
            self._refuse(self._offline)
        if not self.log_start_offset <= offset < self.log_end_offset:
            if offset == self.log_end_offset:
                return None
            raise OffsetOutOfRange(
                f"offset {offset} of {self.topic}-{self.partition}; "
                f"it has {self.log_start_offset} to {self.log_end_offset}"
            )
        segments = self._segments
        number = len(segments) - 1
        if offset < segments[number].base_offset:
            number = max(bisect_right(segments, offset, key=_base_offset) - 1, 0)
        segment = segments[number]
        try:
            found = segment.locate(offset)
            while found is None:  # compaction took the rest of this segment
                number += 1
                if number == len(segments):
                    return None
                segment = segments[number]
                found = segment.locate(offset)
            file = segment.reader()
        except OSError as error:
            if segment not in self._segments:  # deleted or compacted meanwhile: look again
                return self.read(offset, max_bytes, at_least_one=at_least_one)
            self._storage_failed(error, "read from")
        length = min(max_bytes, segment.size_bytes - found.position)
        if length < found.total_bytes:
            if at_least_one:
                length = found.total_bytes
            elif length <= 0:
                return None
        return FileSlice(file, found.position, length)

    # Flushing

    def flush(self) -> None:
        """Force everything appended so far to disk. Raises KafkaStorageError."""
        try:
            self._flush_to_disk()
        except OSError as error:
            self._storage_failed(error, "flush")

    def _flush_to_disk(self) -> None:
        with self._lock:
            end = self.log_end_offset
            segments = self._segments
        # Not under the partition's lock, unless an append wants it so: producers and fsync(2) may overlap.
        with self._flush_lock:
            for segment in segments:
                if segment is segments[-1] or not segment.is_flushed:
                    self._flush_segment(segment, is_active=segment is segments[-1])
            self.recovery_point = max(self.recovery_point, end)
            self._last_flush_ms = self._clock_ms()

    def _flush_segment(self, segment: Segment, *, is_active: bool) -> None:
        segment.flush()
        if not is_active:
            segment.save_indexes(sync=True)
            sync_directory(self.directory)  # the names of its indexes and of its snapshot
            segment.is_flushed = True

    # Going down

    def _storage_failed(self, error: OSError, action: str) -> NoReturn:
        what = f"cannot {action} {self.topic}-{self.partition} in {self.directory}: {error}"
        if error.errno in _FULL:
            raise KafkaStorageError(f"{what}; free some space, producers may then go on") from error
        self._on_failure(error)
        raise KafkaStorageError(what) from error

    def go_offline(self, why: KafkaError) -> None:
        """From now on everybody gets this error. Readers in flight finish."""
        with self._lock:
            self._offline = why
            for segment in self._segments:
                segment.let_go()

    def _refuse(self, why: KafkaError) -> NoReturn:
        raise type(why)(*why.args)  # a new one each time: exceptions collect tracebacks

    def close(self) -> None:
        """Force everything to disk: log, indexes, producer state. Raises OSError."""
        with self._lock:
            if self.recovery_point < self.log_end_offset:
                self._segments[-1].indexes().finish()
                self._flush_to_disk()
                self._save_snapshot(self.log_end_offset, sync=True)
            for segment in self._segments:
                segment.save_indexes()
                segment.forget()
