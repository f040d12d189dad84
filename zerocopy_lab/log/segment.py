"""One segment: a `.log` file of batches, from a base offset on, and its two indexes.

    append:  view over a batch --pwrite(2)--> end of the .log file; now and then an index entry
    locate:  offset --known, or index + a short walk over headers--> (position, length) of a batch

The bytes in the file are the bytes of the wire: nothing is wrapped around a batch, so a piece of
the file is a piece of a fetch response. Only `size_bytes` of the file count. What may lie behind
(the torn rest of a write that failed) is never shown to anybody and is overwritten by the next
batch.

Files are opened when needed and let go when idle (open_files.py); so are the index entries of
segments nobody reads. Kafka: `LogSegment`, `FileRecords`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.file_slice import OpenFile
from zerocopy_lab.log.atomic_file import force, sync_directory
from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.file_names import (
    DELETED_SUFFIX,
    LOG_SUFFIX,
    OFFSET_INDEX_SUFFIX,
    SEGMENT_SUFFIXES,
    SWAP_SUFFIX,
    TIME_INDEX_SUFFIX,
    segment_file,
)
from zerocopy_lab.log.indexes import (
    ENTRY_BYTES,
    TIME_ENTRY,
    SegmentIndexes,
    read_last_timestamp,
)
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.log.settings import MAX_INT32, TopicSettings
from zerocopy_lab.records.batch import NO_TIMESTAMP, BatchHeader

_LOGGER = logging.getLogger(__name__)
_MOST_KNOWN_BATCHES = 4096  # some 600 KB of memory per busy segment
_WHOLE_FILE_WINDOW_BYTES = 1 << 16


class Found(NamedTuple):
    """Where a batch is."""

    position: int
    total_bytes: int


class Segment:
    """A `.log` file and its indexes. One thread at a time may append; any may read meanwhile."""

    __slots__ = (
        "_created_ms",
        "_first_timestamp_ms",
        "_has_durable_name",
        "_indexes",
        "_known",
        "_largest_timestamp_ms",
        "_lock",
        "_reader",
        "_writer",
        "base_offset",
        "directory",
        "index_interval_bytes",
        "is_flushed",
        "open_files",
        "size_bytes",
        "suffix",
        "used",
    )

    def __init__(
        self,
        directory: Path,
        base_offset: int,
        size_bytes: int,
        index_interval_bytes: int,
        open_files: OpenFiles,
        *,
        indexes: SegmentIndexes | None = None,
        created_ms: int = 0,
    ) -> None:
        """The files are there; without `indexes` they are read, or built anew, when needed."""
        self.directory = directory
        self.base_offset = base_offset
        self.size_bytes = size_bytes
        self.index_interval_bytes = index_interval_bytes
        self.open_files = open_files
        self.suffix = ""  # ".deleted" once it is out of use
        self.used = False
        self.is_flushed = False  # meant for segments that are no longer active
        self._has_durable_name = True
        self._created_ms = created_ms  # for rolling by time, where records have no timestamps
        self._first_timestamp_ms: int | None = None
        self._largest_timestamp_ms: int | None = None  # while the indexes are not in memory
        self._reader: OpenFile | None = None
        self._writer: OpenFile | None = None
        # The entries are loaded or rebuilt by whoever needs them first, maybe while another
        # thread appends.
        self._lock = threading.RLock()
        self._indexes = indexes
        # Batches whose place is known by heart: what was just written, and where consumers just
        # were. A consumer that keeps up, or that asks again, costs neither a bisection nor a
        # system call.
        self._known: dict[int, Found] = {}

    @classmethod
    def create(
        cls,
        directory: Path,
        base_offset: int,
        index_interval_bytes: int,
        open_files: OpenFiles,
        now_ms: int,
    ) -> Self:
        """A new, empty segment with its file. Raises OSError; FileExistsError when the file has
        content.
        """
        segment = cls(
            directory,
            base_offset,
            0,
            index_interval_bytes,
            open_files,
            indexes=SegmentIndexes(),
            created_ms=now_ms,
        )
        writer = OpenFile.open(segment.path, os.O_WRONLY | os.O_CREAT)
        if os.fstat(writer.fd).st_size:
            raise FileExistsError(
                f"{segment.path} already holds records, so it cannot be a new segment"
            )
        segment._writer = writer
        segment._has_durable_name = False
        open_files.opened(segment)
        return segment

    @property
    def path(self) -> Path:
        """The `.log` file."""
        return self.directory / (segment_file(self.base_offset, LOG_SUFFIX) + self.suffix)

    # Writing

    def is_full_for(
        self,
        settings: TopicSettings,
        more_bytes: int,
        last_offset: int,
        timestamp_ms: int,
        clock_ms: Callable[[], int],
    ) -> bool:
        """Whether a batch of `more_bytes`, up to `last_offset` and `timestamp_ms`, needs a new
        segment: it would make this one too large, too wide for its indexes, or too old.

        Raises OSError, CorruptMessage. Kafka: `LogSegment.shouldRoll`.
        """
        if (
            self.size_bytes + more_bytes > settings.segment_bytes
            or last_offset - self.base_offset > MAX_INT32  # the index could not say it
        ):
            return True
        indexes = self._indexes or self.indexes()
        offsets_bytes = len(indexes.offsets.positions) * ENTRY_BYTES
        times_bytes = len(indexes.times.timestamps_ms) * TIME_ENTRY.size
        if max(offsets_bytes, times_bytes) + TIME_ENTRY.size > settings.segment_index_bytes:
            return True
        # By the records' own clock where there is one, as in Kafka: then a replayed day fills one
        # day's segment.
        first_ms = self._first_timestamp_ms
        if first_ms is None:
            first_ms = self.first_timestamp_ms()
        if first_ms == NO_TIMESTAMP:
            return clock_ms() - self._created_ms > settings.roll_ms
        return timestamp_ms - first_ms > settings.roll_ms

    def append(
        self,
        batch: memoryview,
        base_offset: int,
        last_offset: int,
        max_timestamp_ms: int,
        flush: Callable[[], None] | None = None,
    ) -> None:
        """Write a batch behind the last one, and `flush` before anybody sees it.

        Raises OSError, and then it is as if nothing had been tried.
        """
        self.used = True
        total_bytes = len(batch)
        with self._lock:
            indexes = self._indexes or self.indexes()  # before the write: loading them may fail
            writer = self._writer or self._open_writer()
            position = self.size_bytes
            if os.pwrite(writer.fd, batch, position) != total_bytes:
                self._write_again(writer, batch, position)
            if flush is not None:
                self._flush_unseen(writer, flush)
            relative_offset = last_offset - self.base_offset
            interval_bytes = self.index_interval_bytes
            indexes.add(relative_offset, position, total_bytes, max_timestamp_ms, interval_bytes)
            self.size_bytes = position + total_bytes
        if position == 0:
            self._first_timestamp_ms = max_timestamp_ms
        self._remember(base_offset, Found(position, total_bytes))

    def _write_again(self, writer: OpenFile, batch: memoryview, position: int) -> None:
        """After a short write: usually the disk is full, and the next attempt says so. No half
        batch may stay.
        """
        end = position + len(batch)
        try:
            os.ftruncate(writer.fd, position)
            while position < end:
                position += os.pwrite(writer.fd, batch[position - end :], position)
        except OSError:
            os.ftruncate(writer.fd, end - len(batch))
            raise

    def _flush_unseen(self, writer: OpenFile, flush: Callable[[], None]) -> None:
        try:
            flush()
        except BaseException:
            # Not only never shown: the next start would find a whole batch behind the last one.
            os.ftruncate(writer.fd, self.size_bytes)
            raise

    def _open_writer(self) -> OpenFile:
        writer = self._writer = OpenFile.open(self.path, os.O_WRONLY)
        self.open_files.opened(self)
        return writer

    def seal(self) -> None:
        """The log goes on in another segment: the largest timestamp becomes the time index's last
        entry, and the index files get what they lack. Raises OSError.
        """
        with self._lock:
            if self._indexes is not None:
                self._indexes.finish()
                self.save_indexes()

    # Reading

    def locate(self, offset: int) -> Found | None:
        """The first batch that ends at or behind the offset; None when all end before it.

        Raises OSError, and CorruptMessage where the log itself is damaged. A damaged index is
        built anew.
        """
        found = self._known.get(offset)
        if found is not None:
            return found
        position = self.indexes().offsets.position_before(offset - self.base_offset)
        try:
            found = self._walk_to(offset, position)
        except CorruptMessage as error:
            if position == 0:
                raise
            _LOGGER.warning("%s: the index led to position %d: %s", self.path, position, error)
            indexes = self.rebuild_indexes()
            position = indexes.offsets.position_before(offset - self.base_offset)
            found = self._walk_to(offset, position)
        if found is not None:
            self._remember(offset, found)
        return found

    def _walk_to(self, offset: int, start: int) -> Found | None:
        for position, header in scan_headers(self.reader(), start, self.size_bytes):
            if position == start > 0 and header.base_offset > offset:
                raise CorruptMessage(
                    f"offset {header.base_offset} is there, {offset} must be behind"
                )
            if header.last_offset >= offset:
                return Found(position, header.total_bytes)
        return None

    def _remember(self, offset: int, found: Found) -> None:
        if len(self._known) >= _MOST_KNOWN_BATCHES:
            self._known = {}
        self._known[offset] = found

    def reader(self) -> OpenFile:
        """The `.log` file, open for reading. Raises OSError."""
        self.used = True
        reader = self._reader
        if reader is None:
            reader = OpenFile.open(self.path)
            if not self.suffix:  # of a deleted one only its reader keeps it open, not the log
                self._reader = reader
                self.open_files.opened(self)
        return reader

    def headers(self) -> Iterator[tuple[int, BatchHeader]]:
        """Position and header of every batch. Raises CorruptMessage, OSError."""
        if self.size_bytes:
            yield from scan_headers(self.reader(), 0, self.size_bytes, _WHOLE_FILE_WINDOW_BYTES)

    # What is known without reading it

    def indexes(self) -> SegmentIndexes:
        """The indexes, from their files if they are not in memory, from the log if the files are
        no good.
        """
        indexes = self._indexes
        if indexes is not None:
            return indexes
        with self._lock:
            if self._indexes is None:
                try:
                    self._indexes = SegmentIndexes.load(
                        self.directory, self.base_offset, self.size_bytes
                    )
                except (ValueError, FileNotFoundError) as error:
                    _LOGGER.warning("%s; building the indexes anew from %s", error, self.path)
                    return self.rebuild_indexes()
            return self._indexes

    def rebuild_indexes(self) -> SegmentIndexes:
        """Build both indexes from the batch headers of the log. Raises CorruptMessage, OSError."""
        with self._lock:
            indexes = SegmentIndexes()
            for position, header in self.headers():
                indexes.add_stored(header, position, self.base_offset, self.index_interval_bytes)
            self._indexes = indexes
            return indexes

    def largest_timestamp_ms(self) -> int:
        """The largest timestamp of all its records, -1 without any. Raises OSError."""
        indexes = self._indexes
        if indexes is not None:
            return indexes.max_timestamp_ms
        if self._largest_timestamp_ms is None:
            last = read_last_timestamp(self.directory, self.base_offset, self.suffix)
            self._largest_timestamp_ms = self.indexes().max_timestamp_ms if last is None else last
        return self._largest_timestamp_ms

    def last_change_ms(self) -> int:
        """How young it is: its largest timestamp; without any, when the file changed."""
        largest_ms = self.largest_timestamp_ms()
        return largest_ms if largest_ms >= 0 else os.stat(self.path).st_mtime_ns // 1_000_000

    def first_timestamp_ms(self) -> int:
        """The largest timestamp of its first batch, -1 without one. Raises OSError,
        CorruptMessage.
        """
        if self._first_timestamp_ms is None:
            if not self.size_bytes:
                return NO_TIMESTAMP
            _, first = next(scan_headers(self.reader(), 0, self.size_bytes))
            self._first_timestamp_ms = first.max_timestamp_ms
        return self._first_timestamp_ms

    # To disk

    def flush(self) -> None:
        """Force the log's bytes to disk. Raises OSError."""
        writer = self._writer or self._open_writer()
        force(writer.fd, writer.path, data_only=True)
        if not self._has_durable_name:
            sync_directory(self.directory)
            self._has_durable_name = True

    def flush_indexes(self) -> None:
        """Of a sealed segment whose bytes are flushed: force the rest to disk, too. Raises OSError.

        A time index that lost its end would let retention take a segment for older than it is.
        """
        self.save_indexes()
        for suffix in (OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX):
            file = OpenFile.open(self.directory / segment_file(self.base_offset, suffix))
            force(file.fd, file.path)
        sync_directory(self.directory)  # the names of its indexes and its snapshot
        self.is_flushed = True

    def mark_flushed(self) -> None:
        """It was found to be on disk, with its indexes."""
        self.is_flushed = True

    def save_indexes(self) -> None:
        """Write what the index files do not have yet. Raises OSError."""
        with self._lock:
            if self._indexes is not None and not self._indexes.is_saved():
                self._indexes.save(self.directory, self.base_offset)

    def cut(self, position: int, indexes: SegmentIndexes) -> None:
        """Recovery: drop every byte from `position` on; `indexes` are those of what stays. Raises
        OSError.
        """
        self._indexes = indexes
        self._known = {}
        if position < self.size_bytes:
            writer = self._writer or self._open_writer()
            os.ftruncate(writer.fd, position)
            self.size_bytes = position

    # Letting go

    def open_count(self) -> int:
        """How many descriptors it holds."""
        return (self._reader is not None) + (self._writer is not None)

    def let_go(self) -> None:
        """Drop the descriptors; whoever is using one keeps it alive until done."""
        self._reader = None
        self._writer = None

    def rest(self) -> None:
        """Drop the descriptors, and the index entries if the files have them all."""
        self.let_go()
        self._known = {}
        with self._lock:
            indexes = self._indexes
            if indexes is not None and indexes.is_finished() and indexes.is_saved():
                self._largest_timestamp_ms = indexes.max_timestamp_ms
                self._indexes = None

    def close(self) -> None:
        """Write what the index files lack, then drop everything. Raises OSError."""
        self.seal()
        self.rest()
        self.open_files.closed(self)

    def rename_files(self, suffix: str = DELETED_SUFFIX) -> list[Path]:
        """Take it out of use; readers go on under the new name. Returns the new paths. Raises
        OSError, and then it can be tried again.
        """
        paths = []
        for kind in reversed(SEGMENT_SUFFIXES):  # the log last: without indexes it is still a log
            path = self.directory / segment_file(self.base_offset, kind)
            renamed = path.with_name(path.name + suffix)
            if path.exists():
                path.rename(renamed)
            if renamed.exists():
                paths.append(renamed)
        self.suffix = suffix
        self.let_go()
        self.open_files.closed(self)
        return paths

    def take_place(self) -> None:
        """Compaction: the `.swap` files become this segment's files. Raises OSError."""
        for suffix in reversed(SEGMENT_SUFFIXES):
            path = self.directory / segment_file(self.base_offset, suffix)
            path.with_name(path.name + SWAP_SUFFIX).rename(path)
