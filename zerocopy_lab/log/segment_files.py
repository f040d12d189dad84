"""The three files of a segment: made, opened and let go, forced to disk, renamed; and what they say
without a look at the records. Appending and finding a batch stand in segment.py.

    00000000000000004711.log        batch after batch        indexes.py says how the other two
    00000000000000004711.index      offset -> position       are made, index_files.py how they lie
    00000000000000004711.timeindex  timestamp -> offset      in their files

Files are opened when needed and let go when idle (open_files.py); so are the index entries of
segments nobody reads.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from zerocopy_lab.file_slice import OpenFile
from zerocopy_lab.log.atomic_file import force, sync_directory
from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.cold_pages import about_to_wait
from zerocopy_lab.log.file_names import (
    DELETED_SUFFIX,
    LOG_SUFFIX,
    OFFSET_INDEX_SUFFIX,
    SEGMENT_SUFFIXES,
    SWAP_SUFFIX,
    TIME_INDEX_SUFFIX,
    segment_file,
)
from zerocopy_lab.log.index_files import load_indexes, read_last_timestamp, save_indexes
from zerocopy_lab.log.indexes import SegmentIndexes
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.records.batch import NO_TIMESTAMP, BatchHeader

_LOGGER = logging.getLogger(__name__)
_WHOLE_FILE_WINDOW_BYTES = 1 << 16


class Found(NamedTuple):
    """Where a batch is."""

    position: int
    total_bytes: int


class SegmentOnDisk:
    """A `.log` file and its indexes."""

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

    def headers(self) -> Iterator[tuple[int, BatchHeader]]:
        """Position and header of every batch. Raises CorruptMessage, OSError."""
        if self.size_bytes:
            yield from scan_headers(
                self._reader or self._open_reader(), 0, self.size_bytes, _WHOLE_FILE_WINDOW_BYTES
            )

    def _open_reader(self) -> OpenFile:
        reader = OpenFile.open(self.path)
        if not self.suffix:  # of a deleted one only its reader keeps it open, not the log
            self._reader = reader
            self.open_files.opened(self)
        return reader

    def _open_writer(self) -> OpenFile:
        writer = self._writer = OpenFile.open(self.path, os.O_WRONLY)
        self.open_files.opened(self)
        return writer

    # What is known without reading it

    def indexes(self) -> SegmentIndexes:
        """The indexes, from their files if they are not in memory, from the log if the files are
        no good.
        """
        indexes = self._indexes
        if indexes is not None:
            return indexes
        about_to_wait()
        with self._lock:
            if self._indexes is None:
                try:
                    self._indexes = load_indexes(self.directory, self.base_offset, self.size_bytes)
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
            _, first = next(scan_headers(self._reader or self._open_reader(), 0, self.size_bytes))
            self._first_timestamp_ms = first.max_timestamp_ms
        return self._first_timestamp_ms

    # To disk

    def seal(self) -> None:
        """The log goes on in another segment: the largest timestamp becomes the time index's last
        entry, and the index files get what they lack. Raises OSError.
        """
        with self._lock:
            if self._indexes is not None:
                self._indexes.finish()
                self.save_indexes()

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
                save_indexes(self._indexes, self.directory, self.base_offset)

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
