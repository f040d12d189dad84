"""The two indexes of one segment, kept together: when an entry is due, and how the entries get to
their files.

When an entry is due (Kafka's `LogSegment.append`): before a batch is added, if *more* than
`index.interval.bytes` were added since the last entry. Hence a segment's first batch is never
indexed, nor need it be: its position is 0.

    append -> arrays in memory -> (roll, flush, close) -> .index and .timeindex

Everything here can be built again from the `.log` file, so a damaged index is never a reason to
refuse anything.
"""

from __future__ import annotations

import os
from pathlib import Path

from zerocopy_lab.log.atomic_file import force
from zerocopy_lab.log.file_names import OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, segment_file
from zerocopy_lab.log.offset_index import ENTRY_BYTES, OffsetIndex
from zerocopy_lab.log.time_index import ENTRY as TIME_ENTRY
from zerocopy_lab.log.time_index import NO_TIMESTAMP, TimeIndex

_UNKNOWN = -1


class SegmentIndexes:
    """Offset and time index of a segment, and what is needed to continue them."""

    __slots__ = (
        "_saved_offsets",
        "_saved_times",
        "max_timestamp_ms",
        "offset_of_max_timestamp",
        "offsets",
        "times",
        "unindexed_bytes",
    )

    def __init__(self) -> None:
        self.offsets = OffsetIndex()
        self.times = TimeIndex()
        self.unindexed_bytes = 0  # since the last entry
        self.max_timestamp_ms = NO_TIMESTAMP
        self.offset_of_max_timestamp = 0  # relative
        # Entries that are in the files already; -1: nothing is known about the files.
        self._saved_offsets = self._saved_times = _UNKNOWN

    def add(
        self,
        relative_offset: int,
        position: int,
        total_bytes: int,
        max_timestamp_ms: int,
        interval_bytes: int,
    ) -> None:
        """Account for a batch: its last offset (relative), where it starts, its length, its
        largest timestamp.
        """
        if max_timestamp_ms > self.max_timestamp_ms:
            self.max_timestamp_ms = max_timestamp_ms
            self.offset_of_max_timestamp = relative_offset
        if self.unindexed_bytes > interval_bytes:
            self.offsets.append(relative_offset, position)
            self.times.append(self.max_timestamp_ms, self.offset_of_max_timestamp)
            self.unindexed_bytes = 0
        self.unindexed_bytes += total_bytes

    def finish(self) -> None:
        """On roll and close: make the largest timestamp the last entry of the time index."""
        self.times.append(self.max_timestamp_ms, self.offset_of_max_timestamp)

    def is_finished(self) -> bool:
        """Whether the last entry of the time index is the largest timestamp."""
        return self.times.last()[0] == self.max_timestamp_ms

    def cut(self, relative_offset: int) -> None:
        """Keep the entries before an offset, ready to go on with the batch that the last of them
        names.
        """
        self.offsets.cut(relative_offset)
        last_offset = self.offsets.relative_offsets[-1] if len(self.offsets) else -1
        self.times.cut(last_offset + 1)
        self.max_timestamp_ms, self.offset_of_max_timestamp = self.times.last()
        self.unindexed_bytes = 0
        self._saved_offsets = self._saved_times = _UNKNOWN  # the files may hold more

    def is_saved(self) -> bool:
        """Whether every entry is in the files."""
        return self._saved_offsets == len(self.offsets) and self._saved_times == len(self.times)

    def save(self, directory: Path, base_offset: int, suffix: str = "", sync: bool = False) -> None:
        """Write the entries that the files do not have yet, on demand through to the disk. Raises
        OSError.
        """
        offsets, times = self.offsets.to_bytes(), self.times.to_bytes()
        path = directory / (segment_file(base_offset, OFFSET_INDEX_SUFFIX) + suffix)
        _write_from(path, offsets, max(self._saved_offsets, 0) * ENTRY_BYTES, sync)
        self._saved_offsets = len(offsets) // ENTRY_BYTES
        path = directory / (segment_file(base_offset, TIME_INDEX_SUFFIX) + suffix)
        _write_from(path, times, max(self._saved_times, 0) * TIME_ENTRY.size, sync)
        self._saved_times = len(times) // TIME_ENTRY.size

    @classmethod
    def load(cls, directory: Path, base_offset: int, log_bytes: int) -> SegmentIndexes:
        """The indexes in the files of a segment whose `.log` has `log_bytes`.

        Raises FileNotFoundError, or ValueError naming file and position when a file cannot be this
        segment's index.
        """
        indexes = cls()
        path = directory / segment_file(base_offset, OFFSET_INDEX_SUFFIX)
        try:
            indexes.offsets = OffsetIndex.from_bytes(path.read_bytes())
            if indexes.offsets.last_position() >= max(log_bytes, 1):
                raise ValueError(
                    f"its last entry says position {indexes.offsets.last_position()}, "
                    f"the log has {log_bytes} bytes"
                )
            path = directory / segment_file(base_offset, TIME_INDEX_SUFFIX)
            content = path.read_bytes()
            indexes.times = TimeIndex.from_bytes(content)
            # Its last entry decides when retention may take the segment, so a lost one matters.
            # Zeros at the end are what a power cut, or a Kafka that was killed, leaves of one.
            if log_bytes and (not len(indexes.times) or content.endswith(bytes(TIME_ENTRY.size))):
                raise ValueError("it lost its last entry, the one with the largest timestamp")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        indexes.unindexed_bytes = log_bytes - indexes.offsets.last_position()
        indexes.max_timestamp_ms, indexes.offset_of_max_timestamp = indexes.times.last()
        indexes._saved_offsets = len(indexes.offsets)
        indexes._saved_times = len(indexes.times)
        return indexes


def _write_from(path: Path, content: bytes, saved_bytes: int, sync: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        unsaved = memoryview(content)[saved_bytes:]
        while unsaved:
            written_bytes = os.pwrite(fd, unsaved, len(content) - len(unsaved))
            unsaved = unsaved[written_bytes:]
        os.ftruncate(fd, len(content))  # Kafka's preallocation, or what an older index left behind
        if sync:
            force(fd, path)
    finally:
        os.close(fd)


def read_last_timestamp(directory: Path, base_offset: int, suffix: str = "") -> int | None:
    """The largest timestamp of a segment, from the last entry of its time index; None if that
    cannot say. Raises OSError.
    """
    path = directory / (segment_file(base_offset, TIME_INDEX_SUFFIX) + suffix)
    try:
        with open(path, "rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            if size_bytes % TIME_ENTRY.size or not size_bytes:
                return None
            file.seek(-TIME_ENTRY.size, os.SEEK_END)
            timestamp_ms: int = TIME_ENTRY.unpack(file.read())[0]
            return timestamp_ms or None  # 0: preallocated, or 1970
    except FileNotFoundError:
        return None
