"""The segments of a partition in a row, oldest first: the last one is active, the others never
change.

    base offsets   0 ........ 4711 ........ 9000 ...
    offset 5000 -> bisection -> the segment of 4711 -> its index -> a batch

Readers take no lock: the row is a tuple that is replaced as a whole. Whoever changes it holds the
partition's lock.

Files that are out of use are renamed to `.deleted` and removed after `file.delete.delay.ms`. A
reader that has found a segment a moment before may still open it by its new name; who has it open
notices nothing at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from zerocopy_lab.file_slice import OpenFile
from zerocopy_lab.log.atomic_file import StateUnknown
from zerocopy_lab.log.segment import Found, Segment

_base_offset = attrgetter("base_offset")


class SegmentRow:
    """At least one segment, and the files that are waiting to be removed."""

    __slots__ = ("_condemned", "segments")

    def __init__(self, segments: Sequence[Segment]) -> None:
        assert segments, "a log has at least its active segment"
        self.segments = tuple(segments)
        self._condemned: list[tuple[int, Path]] = []  # (when, .deleted file), the first due first

    @property
    def active(self) -> Segment:
        """The one that is written to."""
        return self.segments[-1]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look after: no record, and no file to be removed."""
        return len(self.segments) == 1 and not self.active.size_bytes and not self._condemned

    def find(self, offset: int) -> tuple[Segment, Found, OpenFile] | None:
        """The batch with this offset, or the next one if compaction took it. None behind the last.

        Raises OSError, FileNotFoundError while its segment is just being deleted, CorruptMessage.
        """
        segments = self.segments
        number = len(segments) - 1
        if offset < segments[number].base_offset:
            number = max(bisect_right(segments, offset, key=_base_offset) - 1, 0)
        while number < len(segments):  # twice only where compaction took the rest of a segment
            segment = segments[number]
            found = segment.locate(offset)
            if found is not None:
                return segment, found, segment.reader()
            number += 1
        return None

    def at(self, base_offset: int) -> Segment:
        """The segment with this base offset. Raises ValueError when there is none."""
        for segment in self.segments:
            if segment.base_offset == base_offset:
                return segment
        raise ValueError(f"no segment in {self.active.directory} begins at offset {base_offset}")

    def ends(self, log_end_offset: int) -> list[int]:
        """For every segment, where the next one begins; the log end for the active one."""
        return [segment.base_offset for segment in self.segments[1:]] + [log_end_offset]

    def add(self, segment: Segment) -> None:
        """A new active segment."""
        self.segments = (*self.segments, segment)

    def drop_oldest(self, count: int, due_ms: int) -> None:
        """Delete the first segments, their files at `due_ms`. Raises OSError."""
        for segment in self.segments[:count]:
            self._condemn(segment, due_ms)
            self.segments = self.segments[1:]

    def replace(self, old: Sequence[Segment], new: Segment, due_ms: int) -> None:
        """Put a compacted segment, whose files end in `.swap`, in the place of those it was made
        from. Raises OSError.
        """
        first = self.segments.index(old[0])
        behind = first + len(old)
        assert self.segments[first:behind] == tuple(old), "only neighbours are merged"
        try:
            for segment in old:
                self._condemn(segment, due_ms)
            new.take_place()
        except OSError as error:  # half of it is done, and only the next start can finish it
            raise StateUnknown(error.errno, error.strerror, str(new.path)) from error
        self.segments = (*self.segments[:first], new, *self.segments[behind:])

    def _condemn(self, segment: Segment, due_ms: int) -> None:
        self._condemned += [(due_ms, path) for path in segment.rename_files()]

    def remove_condemned(self, now_ms: int) -> None:
        """Remove the `.deleted` files whose delay is over. Raises OSError."""
        while self._condemned and self._condemned[0][0] <= now_ms:
            self._condemned[0][1].unlink(missing_ok=True)
            del self._condemned[0]
