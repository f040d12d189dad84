"""Kafka's checkpoint files: a few lines of text in every `log.dir`.

    0                       version
    2                       number of entries
    flights 0 4711          topic, partition, offset
    flights 1 42

| file | the offset |
|---|---|
| recovery-point-offset-checkpoint | everything before it is on disk: recovery begins here |
| log-start-offset-checkpoint | everything before it was deleted (if within a segment) |
| replication-offset-checkpoint | the high watermark |
| cleaner-offset-checkpoint | compaction has been through everything before it |

A partition's own `leader-epoch-checkpoint` has the same frame with lines `epoch startOffset`.
Source: Kafka's `CheckpointFile`, `OffsetCheckpointFile`.

All of them are hints that can be done without, so a damaged one is reported and ignored: without a
recovery point recovery reads everything, without a start offset deleted records may be seen again.
No record is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from zerocopy_lab.log.atomic_file import replace_file
from zerocopy_lab.log.file_names import TopicPartition

_LOGGER = logging.getLogger(__name__)
_VERSION = "0"

RECOVERY_POINT_FILE = "recovery-point-offset-checkpoint"
LOG_START_FILE = "log-start-offset-checkpoint"
HIGH_WATERMARK_FILE = "replication-offset-checkpoint"
CLEANER_FILE = "cleaner-offset-checkpoint"


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Replace a checkpoint file. Raises OSError."""
    replace_file(path, "\n".join([_VERSION, str(len(lines)), *lines, ""]).encode())


def read_lines(path: Path, fields_per_line: int) -> list[list[str]]:
    """The entries of a checkpoint file, split into fields; [] when there is no file.

    Raises ValueError with path and line number when it is damaged; OSError.
    """
    try:
        lines = path.read_bytes().decode().splitlines()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is no text") from None
    if not lines:
        return []  # Kafka makes the file before it has anything to write
    if lines[:1] != [_VERSION]:
        raise ValueError(f"{path}, line 1: version {lines[:1]}, only {_VERSION} is known")
    entries = [line.split() for line in lines[2:]]
    if not lines[1:2] or lines[1] != str(len(entries)):
        raise ValueError(
            f"{path}, line 2: {lines[1:2]} entries announced, {len(entries)} are there"
        )
    for number, entry in enumerate(entries, start=3):
        if len(entry) != fields_per_line or not all(map(_is_number, entry[-2:])):
            raise ValueError(f"{path}, line {number}: {' '.join(entry)!r} is no entry")
    return entries


def write_offsets(path: Path, offsets: Mapping[TopicPartition, int]) -> None:
    """Replace a checkpoint file of offsets. Raises OSError."""
    write_lines(path, [f"{key.topic} {key.partition} {offsets[key]}" for key in sorted(offsets)])


def read_offsets(path: Path) -> dict[TopicPartition, int]:
    """The offsets of a checkpoint file; {} when there is none, or when it is damaged (which is
    logged).
    """
    try:
        entries = read_lines(path, fields_per_line=3)
    except ValueError as error:
        _LOGGER.warning("%s; going on without it", error)
        return {}
    return {TopicPartition(topic, int(number)): int(offset) for topic, number, offset in entries}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
