"""After a crash: how much of a log is there?

Everything before the *recovery point* was forced to disk, so it is only checked for being there.
Behind it, any page may be missing after a power cut, and the last batch may be torn after a `kill
-9`:

    segment 0 | segment 4711      | segment 9000
    ==============|-----------------------------XX
             recovery point                     torn
      trusted     | every batch read, CRC checked, indexes built;
                  | cut at the first bad batch, later segments put aside (.dropped)

So the time recovery takes depends on what was not flushed, not on how long the log is. What stays
of it is written again (`_write_again` says why).

What is cut off behind the recovery point was never promised to be on disk. Damage *before* it is
different: somebody's good records lie behind, so nothing is cut and CorruptMessage goes up. One
exception: a file that simply ends too early has nothing behind; its torn last batch is moved to a
file of its own and the log goes on. Kafka: `LogLoader.recoverLog`.
"""

from __future__ import annotations

import logging
import mmap
import os
import shutil
from collections.abc import Callable, Iterator

from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.log.atomic_file import passes
from zerocopy_lab.log.batch_scan import scan_batches
from zerocopy_lab.log.index_files import load_indexes
from zerocopy_lab.log.indexes import SegmentIndexes
from zerocopy_lab.log.leader_epochs import LeaderEpochs
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.records.batch import HEADER_BYTES, BatchHeader, read_header

_LOGGER = logging.getLogger(__name__)
TORN_SUFFIX = ".torn"
DROPPED_SUFFIX = ".dropped"
_CHUNK_BYTES = 1 << 20

_good_bytes: Callable[[memoryview, int], int] | None = None


def seat_recovery(good_bytes: Callable[[memoryview, int], int]) -> None:
    """For this whole process: let this function say how many bytes of a log are good, given what
    is to be checked and the smallest offset that may come first. `serve --parts` seats a learner's.
    """
    global _good_bytes
    _good_bytes = good_bytes


def recover(
    segments: list[Segment], recovery_point: int, epochs: LeaderEpochs, may_have_gaps: bool
) -> int:
    """Check everything behind the recovery point, cut what is bad. Returns the log end offset.

    Segments that are dropped are removed from the list. Raises CorruptMessage for damage before
    the recovery point, OSError.
    """
    end = segments[0].base_offset
    for number, segment in enumerate(segments):
        is_last = number + 1 == len(segments)
        if not is_last and segments[number + 1].base_offset <= recovery_point:
            continue
        end, was_cut = _recover_segment(segment, recovery_point, epochs, is_last=is_last)
        has_gap = not is_last and not may_have_gaps and end < segments[number + 1].base_offset
        if was_cut or has_gap:
            _drop(segments, number + 1, end)
            break
    if end < recovery_point:
        _LOGGER.error(
            "%s ends at offset %d although everything before %d was forced to disk: "
            "records are lost that no crash can have taken",
            segments[-1].path, end, recovery_point,
        )  # fmt: skip
    return end


def _recover_segment(
    segment: Segment, recovery_point: int, epochs: LeaderEpochs, *, is_last: bool
) -> tuple[int, bool]:
    """(offset behind the last good batch, whether something was cut off)."""
    indexes = _trusted_indexes(segment, recovery_point)
    start = good_end = indexes.offsets.last_position()
    end = segment.base_offset
    unflushed = None  # where the first batch behind the recovery point lies
    damage = ""
    try:
        for position, header in _good_batches(segment, start):
            if header.base_offset < end:
                raise CorruptMessage(
                    f"{segment.path} at position {position}: "
                    f"offset {header.base_offset} after {end - 1}"
                )
            if unflushed is None and header.last_offset >= recovery_point:
                unflushed = position
            interval_bytes = segment.index_interval_bytes
            indexes.add_stored(header, position, segment.base_offset, interval_bytes)
            epochs.note_batch(header.leader_epoch, header.base_offset)
            end = header.last_offset + 1
            good_end = position + header.total_bytes
    except CorruptMessage as error:
        damage = str(error)  # (the error itself would hold this frame, and with it the file)
        if end < recovery_point:
            if not (is_last and _ends_early(segment, good_end)):
                raise
            _keep_torn(segment, good_end)
    if not is_last:
        indexes.finish()
    if damage:
        _LOGGER.warning(
            "%s; the log is cut at offset %d, %d bytes go",
            damage,
            end,
            segment.size_bytes - good_end,
        )
    segment.cut(good_end, indexes)
    if unflushed is not None:
        _write_again(segment, unflushed, good_end)
    try:
        segment.save_indexes()
    except OSError as error:
        if not passes(error):
            raise
        _LOGGER.warning("%s: %s; its indexes stay in memory for now", segment.path, error)
    return end, bool(damage)


def _good_batches(segment: Segment, start: int) -> Iterator[tuple[int, BatchHeader]]:
    """Position and header of every batch from `start` on, up to the first that is not good:
    CorruptMessage.
    """
    file, end = segment.reader(), segment.size_bytes
    if _good_bytes is not None and start < end:
        log = memoryview(mmap.mmap(file.fd, end, access=mmap.ACCESS_READ))
        end = start + _good_bytes(log[start:], segment.base_offset)
    for position, header, _ in scan_batches(file, start, end):
        yield position, header
    if end < segment.size_bytes:
        raise CorruptMessage(f"{segment.path} is good up to position {end}, by the seated part")


def _write_again(segment: Segment, position: int, end: int) -> None:
    """Write what was read from `position` to `end` once more, the same bytes in the same place.

    They may be in the page cache only, and clean: a broker whose fsync(2) failed is gone, and the
    kernel has dropped the dirty flags of the pages it could not write. Written again they are dirty
    again, and the next flush speaks of them.
    """
    fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        while position < end:
            chunk = os.pread(fd, min(_CHUNK_BYTES, end - position), position)
            position += os.pwrite(fd, chunk, position)
    finally:
        os.close(fd)


def _trusted_indexes(segment: Segment, recovery_point: int) -> SegmentIndexes:
    """The entries that speak of flushed batches only; none when the files are no good."""
    if segment.base_offset >= recovery_point:
        return SegmentIndexes()
    try:
        indexes = load_indexes(segment.directory, segment.base_offset, segment.size_bytes)
    except (ValueError, FileNotFoundError) as error:
        _LOGGER.warning("%s; reading all of %s", error, segment.path)
        return SegmentIndexes()
    indexes.cut(recovery_point - segment.base_offset)
    return indexes


def _ends_early(segment: Segment, position: int) -> bool:
    """Whether the batch at this position lacks its end because the file has ended."""
    head = os.pread(segment.reader().fd, HEADER_BYTES, position)
    if len(head) < HEADER_BYTES:
        return True
    try:
        return position + read_header(memoryview(head)).total_bytes > segment.size_bytes
    except CorruptMessage:
        return False


def _keep_torn(segment: Segment, position: int) -> None:
    path = segment.path.with_name(f"{segment.path.name}.{position}{TORN_SUFFIX}")
    with open(segment.path, "rb") as log, open(path, "wb") as torn:
        log.seek(position)
        shutil.copyfileobj(log, torn)
    _LOGGER.error(
        "%s was flushed, and yet it is cut short: its torn end is now %s", segment.path, path
    )


def _drop(segments: list[Segment], first: int, end: int) -> None:
    """Take the segments from `first` on out of the log. They stay on disk under another name: a
    power cut may have made the gap before them, but so may somebody who moved a file.
    """
    for segment in segments[first:]:
        _LOGGER.warning(
            "%s lies behind the end of the log at offset %d: put aside as %s",
            segment.path, end, DROPPED_SUFFIX,
        )  # fmt: skip
        segment.let_go()
        segment.rename_files(DROPPED_SUFFIX)
    del segments[first:]
