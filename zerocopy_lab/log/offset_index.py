"""The sparse offset index: from an offset to a position in the segment's `.log` file.

| at | field | |
|---|---|---|
| 0 | relative offset, i32 | *last* offset of a batch, minus the segment's base offset |
| 4 | position, i32 | where that batch starts in the `.log` file |

Eight bytes, big-endian, ascending. An entry is written when more than `index.interval.bytes` have
gone by since the last one, so the index is a thousandth of the log: one bisection finds the
neighbourhood, a short walk over batch headers the batch. Relative offsets are why a segment cannot
span more than 2^31 offsets, and positions why it cannot exceed 2 GiB.

Kafka maps a preallocated file of 10 MiB into memory. Here the entries of a segment are two arrays,
in the machine's own byte order so that `bisect` searches them in C (measured: a third of the cost
of searching a mapping from Python; an append costs the same), and they are written to the file in
one go when the segment is rolled, flushed or closed. That is enough: after a crash the index of an
unflushed segment is built anew from its log anyway.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from zerocopy_lab.log.index_columns import check_growing, column, entries, without_preallocation

ENTRY_BYTES = 8


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
        return entries(self.relative_offsets, self.positions)

    @classmethod
    def from_bytes(cls, content: bytes) -> OffsetIndex:
        """The entries of a file.

        Raises ValueError, with the position in the file, when they cannot be an index: a size that
        is no multiple of 8, or entries that do not ascend.
        """
        content = without_preallocation(content, ENTRY_BYTES)
        index = cls()
        index.relative_offsets = column(content, ENTRY_BYTES, 0, "i")
        index.positions = column(content, ENTRY_BYTES, 4, "i")
        check_growing(index.relative_offsets, 0, ENTRY_BYTES, strictly=True)
        check_growing(index.positions, 4, ENTRY_BYTES, strictly=True)
        return index
