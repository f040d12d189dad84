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

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from zerocopy_lab.records.batch import NO_TIMESTAMP, BatchHeader

ENTRY_BYTES = 8
TIME_ENTRY = struct.Struct(">qi")
_UNKNOWN = -1


class SegmentIndexes:
    """Offset and time index of a segment, and what is needed to continue them."""

    __slots__ = (
        "max_timestamp_ms",
        "offset_of_max_timestamp",
        "offsets",
        "saved_offsets",
        "saved_times",
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
        self.saved_offsets = self.saved_times = _UNKNOWN

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
        self.saved_offsets = self.saved_times = _UNKNOWN  # the files may hold more

    @classmethod
    def loaded(cls, offsets: OffsetIndex, times: TimeIndex, log_bytes: int) -> SegmentIndexes:
        """Those in the files of a segment whose `.log` has `log_bytes`."""
        indexes = cls()
        indexes.offsets, indexes.times = offsets, times
        indexes.unindexed_bytes = log_bytes - offsets.last_position()
        indexes.max_timestamp_ms, indexes.offset_of_max_timestamp = times.last()
        indexes.mark_saved(len(offsets), len(times))
        return indexes

    def mark_saved(self, offsets: int, times: int) -> None:
        """So many entries are in the files."""
        self.saved_offsets, self.saved_times = offsets, times

    def is_saved(self) -> bool:
        """Whether every entry is in the files."""
        return self.saved_offsets == len(self.offsets) and self.saved_times == len(self.times)


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
