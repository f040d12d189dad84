"""How the entries of a segment's indexes lie in their files (the byte table is in indexes.py), and
how they get there and back.

    file     o o o o p p p p o o o o p p p p ...
    arrays   offsets o o ...    positions p p ...

A full index has a quarter of a million entries. Taken one at a time in Python they would hold up
everybody for half a second; a column is sliced out byte by byte of its width, and each slice is
one step in C.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import islice
from operator import ge, gt
from pathlib import Path

from zerocopy_lab.log.atomic_file import force
from zerocopy_lab.log.file_names import OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, segment_file
from zerocopy_lab.log.indexes import (
    ENTRY_BYTES,
    TIME_ENTRY,
    OffsetIndex,
    SegmentIndexes,
    TimeIndex,
)


def load_indexes(directory: Path, base_offset: int, log_bytes: int) -> SegmentIndexes:
    """The indexes in the files of a segment whose `.log` has `log_bytes`.

    Raises FileNotFoundError, or ValueError naming file and position when a file cannot be this
    segment's index.
    """
    path = directory / segment_file(base_offset, OFFSET_INDEX_SUFFIX)
    try:
        offsets = offset_index_from(path.read_bytes())
        if offsets.last_position() >= max(log_bytes, 1):
            raise ValueError(
                f"its last entry says position {offsets.last_position()}, "
                f"the log has {log_bytes} bytes"
            )
        path = directory / segment_file(base_offset, TIME_INDEX_SUFFIX)
        content = path.read_bytes()
        times = time_index_from(content)
        # Its last entry decides when retention may take the segment, so a lost one matters.
        # Zeros at the end are what a power cut, or a Kafka that was killed, leaves of one.
        if log_bytes and (not len(times) or content.endswith(bytes(TIME_ENTRY.size))):
            raise ValueError("it lost its last entry, the one with the largest timestamp")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return SegmentIndexes.loaded(offsets, times, log_bytes)


def save_indexes(
    indexes: SegmentIndexes,
    directory: Path,
    base_offset: int,
    suffix: str = "",
    sync: bool = False,
) -> None:
    """Write the entries that the files do not have yet, on demand through to the disk. Raises
    OSError.
    """
    offsets, times = offset_index_bytes(indexes.offsets), time_index_bytes(indexes.times)
    path = directory / (segment_file(base_offset, OFFSET_INDEX_SUFFIX) + suffix)
    _write_from(path, offsets, max(indexes.saved_offsets, 0) * ENTRY_BYTES, sync)
    path = directory / (segment_file(base_offset, TIME_INDEX_SUFFIX) + suffix)
    _write_from(path, times, max(indexes.saved_times, 0) * TIME_ENTRY.size, sync)
    indexes.mark_saved(len(offsets) // ENTRY_BYTES, len(times) // TIME_ENTRY.size)


def offset_index_bytes(index: OffsetIndex) -> bytes:
    """The file's content."""
    return _entries(index.relative_offsets, index.positions)


def offset_index_from(content: bytes) -> OffsetIndex:
    """The entries of a file.

    Raises ValueError, with the position in the file, when they cannot be an index: a size that
    is no multiple of 8, or entries that do not ascend.
    """
    content = _without_preallocation(content, ENTRY_BYTES)
    index = OffsetIndex()
    index.relative_offsets = _column(content, ENTRY_BYTES, 0, "i")
    index.positions = _column(content, ENTRY_BYTES, 4, "i")
    _check_growing(index.relative_offsets, 0, ENTRY_BYTES, strictly=True)
    _check_growing(index.positions, 4, ENTRY_BYTES, strictly=True)
    return index


def time_index_bytes(index: TimeIndex) -> bytes:
    """The file's content."""
    return _entries(index.timestamps_ms, index.relative_offsets)


def time_index_from(content: bytes) -> TimeIndex:
    """The entries of a file.

    Raises ValueError, with the position in the file, when they cannot be an index.
    """
    content = _without_preallocation(content, TIME_ENTRY.size)
    index = TimeIndex()
    index.timestamps_ms = _column(content, TIME_ENTRY.size, 0, "q")
    index.relative_offsets = _column(content, TIME_ENTRY.size, 8, "i")
    _check_growing(index.timestamps_ms, 0, TIME_ENTRY.size, strictly=True)
    _check_growing(index.relative_offsets, 8, TIME_ENTRY.size, strictly=False)
    return index


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
