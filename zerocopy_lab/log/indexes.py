"""The two indexes of a segment: from an offset, and from a timestamp, to a position in its `.log`.

| at | `.index`, 8 bytes | | at | `.timeindex`, 12 bytes | |
|---|---|---|---|---|---|
| 0 | relative offset i32 | *last* offset of a batch | 0 | timestamp i64 | largest so far, in ms |
| 4 | position i32 | where that batch starts | 8 | relative offset i32 | last offset of its batch |

Big-endian, ascending; an offset is relative to the segment's base offset, which is why a segment
cannot span more than 2^31 offsets, nor exceed 2 GiB. An entry is written before a batch is added,
if *more* than `index.interval.bytes` were added since the last one (Kafka's `LogSegment.append`).
So the index is a thousandth of the log: one bisection finds the neighbourhood, a short walk over
headers the batch. A segment's first batch is never indexed, nor need it be: its position is 0.

A time entry is written along with it if the largest timestamp has grown, and once more when the
segment is rolled or closed: the last entry is then the segment's largest timestamp, which is all
that retention by time needs to know. Producers' clocks differ, so timestamps need not ascend: the
entry (t, o) promises only that nothing up to o is younger than t. Hence the search for the first
record of at least a time starts at the last entry with a smaller one.

    append -> arrays in memory -> (roll, flush, close) -> .index and .timeindex

Kafka maps a preallocated file of 10 MiB into memory. Here the entries are arrays, in the machine's
own byte order so that `bisect` searches them in C (measured: a third of the cost of searching a
mapping from Python; an append costs the same), and go to the file in one go. That is enough: all of
it can be built again from the log, so a damaged index is never a reason to refuse anything.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import ge, gt
from pathlib import Path

from zerocopy_lab.log.atomic_file import force
from zerocopy_lab.log.file_names import OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, segment_file
from zerocopy_lab.records.batch import NO_TIMESTAMP, BatchHeader

ENTRY_BYTES = 8
TIME_ENTRY = struct.Struct(">qi")
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

    def add_stored(
        self, header: BatchHeader, position: int, segment_base_offset: int, interval_bytes: int
    ) -> None:
        """Account for a batch that is in the log already."""
        self.add(
            header.last_offset - segment_base_offset,
            position,
            header.total_bytes,
            header.max_timestamp_ms,
            interval_bytes,
        )

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


class OffsetIndex:
    """Entries (relative last offset, position) of one segment. Appends come from one thread,
    look-ups from any.
    """

    __slots__ = ("positions", "relative_offsets")

    def __init__(self) -> None:
        self.relative_offsets = array("i")
        self.positions = array("i")

    def __len__(self) -> int:
        return len(self.relative_offsets)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.relative_offsets, self.positions, strict=True)

    def append(self, relative_offset: int, position: int) -> None:
        """Add an entry behind all others."""
        # A look-up in another thread bisects the offsets first: the position must already be there.
        self.positions.append(position)
        self.relative_offsets.append(relative_offset)

    def position_before(self, relative_offset: int) -> int:
        """Where to start walking: the batch at this position starts at or before the offset. 0
        without an entry.
        """
        entry = bisect_right(self.relative_offsets, relative_offset)
        return self.positions[entry - 1] if entry else 0

    def last_position(self) -> int:
        """Position of the last indexed batch, 0 without an entry."""
        return self.positions[-1] if self.positions else 0

    def cut(self, relative_offset: int) -> None:
        """Drop the entries from an offset on."""
        kept = bisect_left(self.relative_offsets, relative_offset)
        del self.relative_offsets[kept:], self.positions[kept:]

    def to_bytes(self) -> bytes:
        """The file's content."""
        return _entries(self.relative_offsets, self.positions)

    @classmethod
    def from_bytes(cls, content: bytes) -> OffsetIndex:
        """The entries of a file.

        Raises ValueError, with the position in the file, when they cannot be an index: a size that
        is no multiple of 8, or entries that do not ascend.
        """
        content = _without_preallocation(content, ENTRY_BYTES)
        index = cls()
        index.relative_offsets = _column(content, ENTRY_BYTES, 0, "i")
        index.positions = _column(content, ENTRY_BYTES, 4, "i")
        _check_growing(index.relative_offsets, 0, ENTRY_BYTES, strictly=True)
        _check_growing(index.positions, 4, ENTRY_BYTES, strictly=True)
        return index


def seat_lookup(lookup: Callable[[Sequence[int], Sequence[int], int], int]) -> None:
    """For this whole process: search offsets with this function of both columns and the offset.

    `serve --parts` seats a learner's function; what is replaced costs nothing where nothing is.
    """

    def position_before(self: OffsetIndex, relative_offset: int) -> int:
        return lookup(self.relative_offsets, self.positions, relative_offset)

    OffsetIndex.position_before = position_before  # type: ignore[method-assign]


class TimeIndex:
    """Entries (largest timestamp so far, relative offset) of one segment."""

    __slots__ = ("relative_offsets", "timestamps_ms")

    def __init__(self) -> None:
        self.timestamps_ms = array("q")
        self.relative_offsets = array("i")

    def __len__(self) -> int:
        return len(self.timestamps_ms)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.timestamps_ms, self.relative_offsets, strict=True)

    def append(self, timestamp_ms: int, relative_offset: int) -> None:
        """Add an entry, unless the timestamp is no larger than the last one's."""
        if timestamp_ms > self.last()[0]:
            self.relative_offsets.append(relative_offset)
            self.timestamps_ms.append(timestamp_ms)

    def last(self) -> tuple[int, int]:
        """The last entry; (-1, 0) when there is none."""
        if not self.timestamps_ms:
            return NO_TIMESTAMP, 0
        return self.timestamps_ms[-1], self.relative_offsets[-1]

    def offset_before(self, timestamp_ms: int) -> int:
        """Relative offset up to which every record is older than the timestamp; 0 without an
        entry.
        """
        entry = bisect_left(self.timestamps_ms, timestamp_ms)
        return self.relative_offsets[entry - 1] if entry else 0

    def cut(self, relative_offset: int) -> None:
        """Drop the entries from an offset on."""
        kept = bisect_left(self.relative_offsets, relative_offset)
        del self.relative_offsets[kept:], self.timestamps_ms[kept:]

    def to_bytes(self) -> bytes:
        """The file's content."""
        return _entries(self.timestamps_ms, self.relative_offsets)

    @classmethod
    def from_bytes(cls, content: bytes) -> TimeIndex:
        """The entries of a file.

        Raises ValueError, with the position in the file, when they cannot be an index.
        """
        content = _without_preallocation(content, TIME_ENTRY.size)
        index = cls()
        index.timestamps_ms = _column(content, TIME_ENTRY.size, 0, "q")
        index.relative_offsets = _column(content, TIME_ENTRY.size, 8, "i")
        _check_growing(index.timestamps_ms, 0, TIME_ENTRY.size, strictly=True)
        _check_growing(index.relative_offsets, 8, TIME_ENTRY.size, strictly=False)
        return index


# Files


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


def _column(content: bytes, entry_bytes: int, at: int, typecode: str) -> array[int]:
    """The numbers at byte `at` of every entry; the type code is `array`'s ("i" 4 bytes, "q" 8)."""
    values: array[int] = array(typecode)
    width = values.itemsize
    packed = bytearray(len(content) // entry_bytes * width)
    for byte in range(width):
        packed[byte::width] = content[at + byte :: entry_bytes]
    values.frombytes(packed)
    return _swapped(values)


def _entries(*columns: array[int]) -> bytes:
    """The file's content: the opposite of `column`, for columns of one length."""
    entry_bytes = sum(values.itemsize for values in columns)
    content = bytearray(len(columns[0]) * entry_bytes)
    at = 0
    for values in columns:
        packed, width = _swapped(values[:]).tobytes(), values.itemsize
        for byte in range(width):
            content[at + byte :: entry_bytes] = packed[byte::width]
        at += width
    return bytes(content)


def _without_preallocation(content: bytes, entry_bytes: int) -> bytes:
    """The content without the entries of zeros at its end: Kafka makes an active index larger than
    it needs. Raises ValueError when it is not made of whole entries.
    """
    if len(content) % entry_bytes:
        raise ValueError(f"{len(content)} bytes are no multiple of {entry_bytes}")
    used_bytes = len(content.rstrip(b"\0"))
    return content[: -(-used_bytes // entry_bytes) * entry_bytes]


def _check_growing(values: Sequence[int], at: int, entry_bytes: int, *, strictly: bool) -> None:
    """Raise ValueError, with the position in the file, where a column does not grow from 0 on."""
    if values and values[0] < 0:
        raise ValueError(f"the number at position {at} is negative: {values[0]}")
    is_wrong: Callable[[int, int], bool] = ge if strictly else gt
    if any(map(is_wrong, values, islice(values, 1, None))):
        entry = next(i for i in range(1, len(values)) if is_wrong(values[i - 1], values[i]))
        raise ValueError(
            f"the number at position {entry * entry_bytes + at} is {values[entry]}, "
            f"which cannot follow {values[entry - 1]}"
        )


def _swapped(values: array[int]) -> array[int]:
    if sys.byteorder == "little":
        values.byteswap()
    return values
