"""The time index: from a timestamp to the batch that first reached it.

| at | field | |
|---|---|---|
| 0 | timestamp, i64 | the largest timestamp of the segment so far, in ms |
| 8 | relative offset, i32 | last offset of the batch that has it, minus the segment's base offset |

Twelve bytes, big-endian, both ascending; written together with an offset index entry unless the
largest timestamp has not grown, and once more when the segment is rolled or closed, so that the
last entry is the segment's largest timestamp: all that retention by time needs to know.

Producers' clocks differ, so timestamps in a log need not ascend. The entry (t, o) promises only
that nothing up to o is younger than t; hence the search for the first record of at least a time
starts at the last entry with a smaller one.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from zerocopy_lab.log.index_columns import check_growing, column, entries, without_preallocation

ENTRY = struct.Struct(">qi")
NO_TIMESTAMP = -1


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
        return entries(self.timestamps_ms, self.relative_offsets)

    @classmethod
    def from_bytes(cls, content: bytes) -> TimeIndex:
        """The entries of a file.

        Raises ValueError, with the position in the file, when they cannot be an index.
        """
        content = without_preallocation(content, ENTRY.size)
        index = cls()
        index.timestamps_ms = column(content, ENTRY.size, 0, "q")
        index.relative_offsets = column(content, ENTRY.size, 8, "i")
        check_growing(index.timestamps_ms, 0, ENTRY.size, strictly=True)
        check_growing(index.relative_offsets, 8, ENTRY.size, strictly=False)
        return index
