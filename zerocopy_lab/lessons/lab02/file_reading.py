"""The files of a stopped broker's partition, read by nobody but us: segments, indexes, one search.

Bytes come straight from the directory (`zerocopy_lab.inspect.files` knows the formats). The search
is the notebook's bare one, and remembers its steps for the pictures: names, then index, then batch
headers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.inspect.files import index_entries, stored_batches
from zerocopy_lab.log.file_names import LOG_SUFFIX, OFFSET_INDEX_SUFFIX
from zerocopy_lab.records.batch import HEADER_BYTES, BatchHeader, read_header


class BatchPlace(NamedTuple):
    """A batch: its offsets (from `first`, before `end`), where it begins, how long it is."""

    first: int
    end: int
    position: int
    length: int
    records: int

    def holds(self, offset: int) -> bool:
        """Whether the offset is inside."""
        return self.first <= offset < self.end


class SegmentFiles(NamedTuple):
    """One segment as its files tell it; `entries` are (last offset, position) of the index."""

    path: Path
    base_offset: int
    entries: tuple[tuple[int, int], ...]
    batches: tuple[BatchPlace, ...]

    @property
    def log_bytes(self) -> int:
        """Length of the `.log` file."""
        return self.path.stat().st_size

    @property
    def index_bytes(self) -> int:
        """Length of the `.index` file."""
        return self.path.with_suffix(OFFSET_INDEX_SUFFIX).stat().st_size

    @property
    def end(self) -> int:
        """The offset behind the last one."""
        return self.batches[-1].end if self.batches else self.base_offset


class Search(NamedTuple):
    """What it took to find an offset."""

    segment: SegmentFiles
    entry: tuple[int, int] | None  # of the index, (last offset, position); None: from the start
    walked: tuple[BatchPlace, ...]  # whose headers were read; the last holds the offset

    @property
    def batch(self) -> BatchPlace:
        """The batch that holds the offset."""
        return self.walked[-1]


@cache
def read_partition(directory: Path) -> tuple[SegmentFiles, ...]:
    """Every segment of a partition's directory, by walking over all of it."""
    return tuple(_read_segment(path) for path in sorted(directory.glob(f"*{LOG_SUFFIX}")))


def _read_segment(path: Path) -> SegmentFiles:
    base_offset = int(path.stem)
    entries = []
    for relative_offset, position in index_entries(path.with_suffix(OFFSET_INDEX_SUFFIX)):
        assert isinstance(relative_offset.value, int)
        assert isinstance(position.value, int)
        entries.append((base_offset + relative_offset.value, position.value))
    batches = tuple(_place(stored.position, stored.header) for stored in stored_batches(path))
    return SegmentFiles(path, base_offset, tuple(entries), batches)


def find(directory: Path, offset: int) -> Search:
    """Find the batch that holds an offset as a broker does. Raises LookupError beyond the end."""
    segments = read_partition(directory)
    number = bisect_right([segment.base_offset for segment in segments], offset) - 1
    if number < 0:
        raise LookupError(f"offset {offset} lies before the first segment in {directory}")
    segment = segments[number]
    chosen = bisect_right([last_offset for last_offset, _ in segment.entries], offset) - 1
    entry = segment.entries[chosen] if chosen >= 0 else None
    walked: list[BatchPlace] = []
    for batch in _headers(segment.path, entry[1] if entry else 0):
        walked.append(batch)
        if batch.holds(offset):
            return Search(segment, entry, tuple(walked))
    raise LookupError(f"offset {offset} lies behind the last one in {directory}")


def _headers(path: Path, position: int) -> Iterator[BatchPlace]:
    """The batches from a position on; 61 bytes are read of each."""
    with path.open("rb") as file:
        while True:
            file.seek(position)
            head = file.read(HEADER_BYTES)
            if not head:
                return
            batch = _place(position, read_header(memoryview(head)))
            yield batch
            position += batch.length


def _place(position: int, header: BatchHeader) -> BatchPlace:
    first = header.base_offset
    return BatchPlace(
        first, header.last_offset + 1, position, header.total_bytes, header.records_count
    )
