"""A partition's segments as a whole: what is asked of them, and what happens to them behind the
requests' back. Appending and reading stand in partition_log.py.

    offsets: log start ................................ high watermark = log end
             [ segment 0 ][ segment 4711 ][ active segment 9000 ... ]
             deleted first                 never deleted, never compacted

Whoever changes the row of segments holds the partition's lock; who reads it takes the tuple as it
is. Files that are out of use are renamed to `.deleted` and removed after `file.delete.delay.ms`: a
reader that has found a segment a moment before may still open it by its new name, and who has it
open notices nothing at all. Kafka: `LocalLog`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from zerocopy_lab.errors import KafkaError, OffsetOutOfRange
from zerocopy_lab.log.atomic_file import StateUnknown
from zerocopy_lab.log.availability import Availability
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.leader_epochs import LeaderEpochs
from zerocopy_lab.log.producer_snapshots import ProducerSnapshots
from zerocopy_lab.log.producer_state import ProducerStates
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.time_lookup import OffsetAndTimestamp, first_since, largest
from zerocopy_lab.records.batch import BatchHeader

_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class LogOnDisk:
    """What loading has found in a partition's directory."""

    directory: Path
    segments: tuple[Segment, ...]  # at least one, oldest first
    epochs: LeaderEpochs
    leader_epoch: int  # of what is written from now on
    producers: ProducerStates
    snapshot_offset: int  # of the newest snapshot of the producers
    log_start_offset: int
    log_end_offset: int
    recovery_point: int  # everything before it is on disk
    cleaned_offset: int  # compaction has been through everything before it


class LocalLog:
    """The segments of one partition, and what belongs to them."""

    def __init__(
        self,
        key: TopicPartition,
        settings: TopicSettings,
        found: LogOnDisk,
        on_failure: Callable[[OSError], None],
    ) -> None:
        """`on_failure` hears of every error of the disk that does not pass by itself."""
        self.topic, self.partition = key
        self.name = str(key)
        self.settings = settings
        self.directory = found.directory
        self.segments = found.segments  # the last one is active
        self.log_start_offset = found.log_start_offset
        self.log_end_offset = self.high_watermark = found.log_end_offset
        self.recovery_point = found.recovery_point
        self.cleaned_offset = found.cleaned_offset
        self.leader_epoch = found.leader_epoch
        self._epochs = found.epochs
        self._producers = found.producers
        self._snapshots = ProducerSnapshots(found.directory, found.snapshot_offset)
        self._condemned: list[tuple[int, Path]] = []  # (when, .deleted file), the first due first
        self._availability = Availability(self.name, found.directory, on_failure)
        self._lock = threading.RLock()
        self._flush_lock = threading.Lock()

    # What can be asked

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look after: no record, and no file to be removed."""
        segments = self.segments
        return len(segments) == 1 and not segments[0].size_bytes and not self._condemned

    @property
    def segments_start_offset(self) -> int:
        """Base offset of the first segment: less than the log start offset when records were
        deleted within it.
        """
        return self.segments[0].base_offset

    @property
    def size_bytes(self) -> int:
        """Bytes in all segments."""
        return sum(segment.size_bytes for segment in self.segments)

    def end_of(self, segment: Segment) -> int:
        """Where the next segment begins, or the log ends."""
        with self._lock:
            segments = self.segments
            number = segments.index(segment) + 1
            return segments[number].base_offset if number < len(segments) else self.log_end_offset

    def headers(self) -> Iterator[BatchHeader]:
        """The header of every batch, oldest first. Raises KafkaStorageError, CorruptMessage."""
        for segment in self.segments:
            with self.storage_errors("look through"):
                for _, header in segment.headers():
                    yield header

    def producer_ids(self) -> list[int]:
        """The idempotent producers that are remembered."""
        return list(self._producers.producers)  # one step, so it needs no lock

    def is_last_of_producer(self, header: BatchHeader) -> bool:
        """Whether this is the batch by which its producer's sequence number is known."""
        with self._lock:
            producer = self._producers.producers.get(header.producer_id)
            return producer is not None and producer.batches[-1].last_offset == header.last_offset

    def offset_for_timestamp(self, timestamp_ms: int) -> OffsetAndTimestamp | None:
        """The first record whose timestamp is at least this; None when all are older.

        Raises KafkaStorageError, CorruptMessage.
        """
        with self.storage_errors("look up a time in"):
            return first_since(self.segments, timestamp_ms, self.log_start_offset)

    def offset_of_max_timestamp(self) -> OffsetAndTimestamp | None:
        """The first record with the largest timestamp of all; None without one. Raises as above."""
        with self.storage_errors("look up a time in"):
            return largest(self.segments, self.log_start_offset)

    def offset_for_leader_epoch(self, epoch: int) -> tuple[int, int] | None:
        """(largest epoch up to the asked one, the offset where it ended); None if that is still to
        come (KIP-320).
        """
        return self._epochs.end_offset(epoch, self.leader_epoch, self.log_end_offset)

    def epoch_at(self, offset: int) -> int:
        """The epoch of the leader who wrote, or will write, the record at `offset`; -1 where none
        is known.
        """
        return self.leader_epoch if offset >= self.log_end_offset else self._epochs.at(offset)

    # What upkeep changes

    def delete_records_before(self, offset: int) -> int:
        """Move the log start offset up (-1: to the high watermark); the new one is returned.

        Whole segments before it go at the next housekeeping round. Raises OffsetOutOfRange,
        KafkaStorageError.
        """
        with self.staying():
            wanted = self.high_watermark if offset == -1 else offset
            if not 0 <= wanted <= self.high_watermark:
                raise OffsetOutOfRange(
                    f"records of {self.name} before {wanted} cannot be deleted: "
                    f"its high watermark is {self.high_watermark}"
                )
            self.log_start_offset = max(self.log_start_offset, wanted)
            return self.log_start_offset

    def drop_oldest(self, count: int, now_ms: int) -> None:
        """Delete the first segments, but never the last; their files go after
        `file.delete.delay.ms`. Raises OSError.
        """
        with self.staying():
            for segment in self.segments[:count]:
                self.log_start_offset = max(self.log_start_offset, self.segments[1].base_offset)
                self._condemn(segment, now_ms)
                self.segments = self.segments[1:]
                self._snapshots.drop(segment.base_offset)
            self._epochs.cut(self.log_start_offset, self.log_end_offset)

    def replace_segments(self, old: list[Segment], new: Segment, now_ms: int) -> None:
        """Put a compacted segment, whose files end in `.swap`, in the place of those it was made
        from. Raises OSError.
        """
        with self.staying():
            first = self.segments.index(old[0])
            behind = first + len(old)
            assert self.segments[first:behind] == tuple(old), "only neighbours are merged"
            try:
                for segment in old:
                    self._condemn(segment, now_ms)
                new.take_place()
            except OSError as error:  # half of it is done, and only the next start can finish it
                raise StateUnknown(error.errno, error.strerror, str(new.path)) from error
            self.segments = (*self.segments[:first], new, *self.segments[behind:])

    def _condemn(self, segment: Segment, now_ms: int) -> None:
        """Rename a segment's files. Who has found it a moment before may still open it by its new
        name; who has it open notices nothing at all.
        """
        due_ms = now_ms + self.settings.file_delete_delay_ms
        self._condemned += [(due_ms, path) for path in segment.rename_files()]

    def remove_condemned(self, now_ms: int) -> None:
        """Remove the `.deleted` files whose delay is over. Raises OSError."""
        with self.staying():
            while self._condemned and self._condemned[0][0] <= now_ms:
                self._condemned[0][1].unlink(missing_ok=True)
                del self._condemned[0]

    def mark_cleaned(self, offset: int) -> None:
        """Compaction has been through everything before it."""
        self.cleaned_offset = offset

    def expire_producers(self, now_ms: int) -> None:
        """Forget the producers that have not written for a day."""
        with self._lock:
            self._producers.expire(now_ms)

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Within it nobody writes or deletes the partition. Raises why it is offline."""
        with self._lock:
            self._availability.check()
            yield

    # Going down

    def storage_errors(self, action: str) -> AbstractContextManager[None]:
        """Within it, an OSError becomes what a client may hear: KafkaStorageError."""
        return self._availability.storage_errors(action)

    def go_offline(self, why: KafkaError) -> None:
        """From now on everybody gets this error. Readers in flight finish."""
        self._availability.go_offline(why)  # without the lock (availability.py)
        for segment in self.segments:
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
