"""Opening a partition's directory: what is there, what of it counts, and where the log ends.

    tidy up     .deleted and .cleaned files go, an index without its log goes;
                a .swap takes its place (compaction.py)
    segments    by their base offsets; every one must begin where the one before it ended
    after a clean stop   the end of the log is looked up in the last segment; nothing else is read
    otherwise   recovery (recovery.py) reads everything behind the recovery point, and cuts the
                log at the first bad batch
    producers   the latest snapshot, and the batches behind it

What cannot be put right without losing records is not put right: DamagedLog says which file and
which position, and that partition alone stays offline. Kafka: `LogLoader`.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from uuid import UUID

from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.log.atomic_file import TEMPORARY_SUFFIX
from zerocopy_lab.log.batch_scan import scan_headers
from zerocopy_lab.log.checkpoints import LOG_START_FILE
from zerocopy_lab.log.file_names import (
    CLEANED_SUFFIX,
    DELETED_SUFFIX,
    LEADER_EPOCH_FILE,
    LOG_SUFFIX,
    PARTITION_METADATA_FILE,
    SNAPSHOT_SUFFIX,
    SWAP_SUFFIX,
    TopicPartition,
    parse_segment_file,
    segment_file,
)
from zerocopy_lab.log.leader_epochs import LeaderEpochs
from zerocopy_lab.log.local_log import LogOnDisk
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.log.partition_log import PartitionLog, wall_clock_ms
from zerocopy_lab.log.producer_state import ProducerStates
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.recovery import DROPPED_SUFFIX, TORN_SUFFIX, recover
from zerocopy_lab.log.upkeep.compaction import finish_swaps

_LOGGER = logging.getLogger(__name__)
_TAIL_BYTES = 1 << 20
# Their deletion was decided, or they were never finished. (A .swap that is still there has lost
# its log.)
_WORTHLESS = (DELETED_SUFFIX, CLEANED_SUFFIX, SWAP_SUFFIX, TEMPORARY_SUFFIX)
# What else belongs here: Kafka's index of aborted transactions, and what recovery has put aside.
_OTHER_FILES = (LEADER_EPOCH_FILE, PARTITION_METADATA_FILE)
_OTHER_SUFFIXES = (".txnindex", TORN_SUFFIX, DROPPED_SUFFIX)


class DamagedLog(Exception):
    """A partition's directory that cannot be opened without losing records. The message says where
    and why.
    """


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What the checkpoint files of the `log.dir` say about one partition."""

    was_clean: bool  # the broker stopped in good order
    recovery_point: int = 0
    log_start_offset: int = 0
    cleaned_offset: int | None = None  # compaction has been through everything before it


def load_partition(
    directory: Path,
    key: TopicPartition,
    topic_id: UUID,
    settings: TopicSettings,
    checkpoints: Checkpoints,
    *,
    open_files: OpenFiles,
    on_failure: Callable[[OSError], None],
    clock_ms: Callable[[], int] = wall_clock_ms,
) -> PartitionLog:
    """The log in a partition's directory, which may be empty. Raises DamagedLog, OSError."""
    try:
        finish_swaps(directory)
    except CorruptMessage as error:
        raise DamagedLog(
            f"{error}. Remove the .swap files, and the suffix of the .deleted ones they replace"
        ) from None
    names = _tidy(directory)

    def new_segment(base_offset: int) -> Segment:
        interval_bytes = settings.index_interval_bytes
        return Segment.create(directory, base_offset, interval_bytes, open_files, clock_ms())

    segments = [
        Segment(
            directory,
            base_offset,
            size_bytes,
            settings.index_interval_bytes,
            open_files,
            created_ms=clock_ms(),  # as far as this process knows
        )
        for base_offset, size_bytes in sorted(names.logs.items())
    ]
    if not segments:
        segments = [new_segment(checkpoints.log_start_offset)]
    may_have_gaps = settings.compacts or checkpoints.cleaned_offset is not None
    epochs = LeaderEpochs.load(directory)
    try:
        if checkpoints.was_clean:
            end = _end_of(segments[-1])
        else:
            end = recover(segments, checkpoints.recovery_point, epochs, may_have_gaps)
        if not may_have_gaps:
            _check_no_gap(segments)
    except CorruptMessage as error:
        raise DamagedLog(_advice(checkpoints, str(error))) from None
    log_start = max(checkpoints.log_start_offset, segments[0].base_offset)
    if log_start > end:
        segments, end = _start_anew(segments, log_start, end, checkpoints, new_segment)
        log_start = segments[0].base_offset
    epochs.cut(log_start, end)
    producers, snapshot_offset = _load_producers(
        directory, names.snapshots, segments, end, check_all=not checkpoints.was_clean
    )
    recovery_point = end if checkpoints.was_clean else min(checkpoints.recovery_point, end)
    for segment, later in pairwise(segments):
        if later.base_offset <= recovery_point:
            segment.mark_flushed()
    found = LogOnDisk(
        directory,
        tuple(segments),
        epochs,
        # After a crash there may be less than somebody has read: the log goes on under a new epoch.
        leader_epoch=max(epochs.latest + (not checkpoints.was_clean), 0),
        producers=producers,
        snapshot_offset=snapshot_offset,
        log_start_offset=log_start,
        log_end_offset=end,
        recovery_point=recovery_point,
        cleaned_offset=min(checkpoints.cleaned_offset or 0, end),
    )
    return PartitionLog(key, topic_id, settings, found, on_failure=on_failure, clock_ms=clock_ms)


# What is in the directory


@dataclass(slots=True)
class _Names:
    logs: dict[int, int]  # base offset -> size in bytes
    snapshots: list[int]  # offsets, ascending


def _tidy(directory: Path) -> _Names:
    names = _Names({}, [])
    indexes: list[tuple[int, str]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            parsed = parse_segment_file(entry.name)
            if entry.name.endswith(_WORTHLESS):
                os.unlink(entry.path)
            elif parsed is None:
                if entry.name not in _OTHER_FILES and not entry.name.endswith(_OTHER_SUFFIXES):
                    _LOGGER.warning("%s is no file of a log: left alone", entry.path)
            elif parsed[1] == LOG_SUFFIX:
                names.logs[parsed[0]] = entry.stat().st_size
            elif parsed[1] == SNAPSHOT_SUFFIX:
                names.snapshots.append(parsed[0])
            else:
                indexes.append(parsed)
    for base_offset, suffix in indexes:
        if base_offset not in names.logs:
            path = directory / segment_file(base_offset, suffix)
            _LOGGER.warning("%s is an index without a log: removed", path)
            path.unlink()
    names.snapshots.sort()
    return names


# The ends of segments


def _end_of(segment: Segment) -> int:
    """The offset behind a segment's last batch: a walk from its last index entry on."""
    if not segment.size_bytes:
        return segment.base_offset
    start = segment.indexes().offsets.last_position()
    try:
        return _walk_to_end(segment, start)
    except CorruptMessage:
        if start == 0:
            raise
        segment.rebuild_indexes()  # raises again if it is the log that is damaged
        return _walk_to_end(segment, segment.indexes().offsets.last_position())


def _walk_to_end(segment: Segment, start: int) -> int:
    end = segment.base_offset
    for _, header in scan_headers(segment.reader(), start, segment.size_bytes):
        end = header.last_offset + 1
    return end


def _check_no_gap(segments: list[Segment]) -> None:
    for segment, later in pairwise(segments):
        end = _end_of(segment)
        if end != later.base_offset:
            raise DamagedLog(
                f"{segment.path} ends at offset {end}, but the next segment is {later.path}: "
                f"offsets {min(end, later.base_offset)} to {max(end, later.base_offset) - 1} are "
                f"{'missing' if end < later.base_offset else 'there twice'}. "
                "Bring the missing file back, or move the files on one side of the gap elsewhere"
            )
        segment.let_go()


def _advice(checkpoints: Checkpoints, found: str) -> str:
    if checkpoints.was_clean:
        return (
            f"{found}. The broker was stopped in good order, so this is no torn write: bring back "
            "a good copy, or remove .kafka_cleanshutdown to have the log cut there"
        )
    return (
        f"{found}. This was on disk already (recovery point {checkpoints.recovery_point}), "
        "so it is no torn write: bring back a good copy, or move the damaged files elsewhere"
    )


def _start_anew(
    segments: list[Segment],
    log_start: int,
    end: int,
    checkpoints: Checkpoints,
    new_segment: Callable[[int], Segment],
) -> tuple[list[Segment], int]:
    """The log ends before the offset up to which its records were deleted."""
    directory = segments[0].directory
    if checkpoints.was_clean:
        _LOGGER.warning(
            "%s says that %s begins at %d, but it ends at %d: that is ignored",
            directory.parent / LOG_START_FILE,
            directory,
            log_start,
            end,
        )
        return segments, end
    # After a power cut: the deleted records' offsets must not be given out again.
    _LOGGER.warning(
        "%s ends at %d, everything before %d was deleted: going on there", directory, end, log_start
    )
    for segment in segments:
        for path in segment.rename_files():
            path.unlink()
    return [new_segment(log_start)], log_start


# Producers


def _load_producers(
    directory: Path, snapshots: list[int], segments: list[Segment], end: int, *, check_all: bool
) -> tuple[ProducerStates, int]:
    """The latest snapshot that is whole and every batch behind it; and that snapshot's offset.

    `check_all` after a crash: they are not forced to disk, so a power cut may have emptied any.
    """
    found: tuple[ProducerStates, int] | None = None
    for offset in reversed(snapshots):
        path = directory / segment_file(offset, SNAPSHOT_SUFFIX)
        if offset > end:
            path.unlink()  # it speaks of records that are no longer there
        elif found is None or check_all:
            try:
                states = ProducerStates.from_snapshot(path.read_bytes())
            except ValueError as error:
                _LOGGER.warning("%s: %s; removed, the others will do", path, error)
                path.unlink()
            else:
                found = found or (states, offset)
    states, position = found or (ProducerStates(), segments[0].base_offset)
    if states.producers:
        _remember_tail(states, segments, position)
    for segment, later in zip_longest(segments, segments[1:]):
        if later is None or later.base_offset > position:
            _replay(states, segment, position)
    return states, position


def _replay(states: ProducerStates, segment: Segment, offset: int) -> None:
    found = segment.locate(offset) if segment.size_bytes else None
    if found is not None:
        for _, header in scan_headers(
            segment.reader(), found.position, segment.size_bytes, 1 << 16
        ):
            states.replay(header)


def _remember_tail(states: ProducerStates, segments: list[Segment], offset: int) -> None:
    """A snapshot knows each producer's last batch only; the megabyte before it knows the four
    before.
    """
    segment = next((s for s in reversed(segments) if s.base_offset < offset), segments[0])
    if not segment.size_bytes:
        return
    behind = segment.locate(offset)
    end = behind.position if behind else segment.size_bytes
    positions = segment.indexes().offsets.positions
    entry = bisect_right(positions, end - _TAIL_BYTES)
    tail = ProducerStates()
    for _, header in scan_headers(segment.reader(), positions[entry - 1] if entry else 0, end):
        tail.replay(header)
    for producer_id, producer in states.producers.items():
        found = tail.producers.get(producer_id)
        if found is not None and found.batches[-1] == producer.batches[-1]:
            producer.batches = found.batches
