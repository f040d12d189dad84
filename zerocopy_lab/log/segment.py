"""One segment: a `.log` file of batches, from a base offset on, and its two indexes.

    append:  view over a batch --pwrite(2)--> end of the .log file; now and then an index entry
    locate:  offset --known, or index + a short walk over headers--> (position, length) of a batch

The bytes in the file are the bytes of the wire: nothing is wrapped around a batch, so a piece of
the file is a piece of a fetch response. Only `size_bytes` of the file count. What may lie behind
(the torn rest of a write that failed) is never shown to anybody and is overwritten by the next
batch.

What is done to the files as a whole stands in segment_files.py. Kafka: `LogSegment`, `FileRecords`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.file_slice import OpenFile
from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.indexes import ENTRY_BYTES, TIME_ENTRY
from zerocopy_lab.log.segment_files import Found, SegmentOnDisk
from zerocopy_lab.log.settings import MAX_INT32, TopicSettings
from zerocopy_lab.records.batch import NO_TIMESTAMP

_LOGGER = logging.getLogger(__name__)
_MOST_KNOWN_BATCHES = 4096  # some 600 KB of memory per busy segment


class Segment(SegmentOnDisk):
    """A `.log` file and its indexes. One thread at a time may append; any may read meanwhile."""

    __slots__ = ()

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
        return self._reader or self._open_reader()
