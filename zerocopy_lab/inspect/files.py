"""What is in the files of a log directory, as plain values, for people and programs to look at.

    .log                  a batch after the other                          -> stored_batches
    .index                relative offset i32, position i32                -> index_entries
    .timeindex            timestamp i64, relative offset i32               -> index_entries
    .snapshot             the producers at an offset                       -> snapshot_entries
    checkpoints           text: version, count, one entry a line           -> text_lines
    partition.metadata, meta.properties     text: name and value           -> text_lines

Nothing here changes a file, believes one file because of another, or stops at what the log itself
would refuse: files are shown as they are, also those that a real Kafka wrote or is writing right
now. What is wrong with them is verification.py's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.log.checkpoints import (
    CLEANER_FILE,
    HIGH_WATERMARK_FILE,
    LOG_START_FILE,
    RECOVERY_POINT_FILE,
)
from zerocopy_lab.log.file_names import (
    LEADER_EPOCH_FILE,
    OFFSET_INDEX_SUFFIX,
    PARTITION_METADATA_FILE,
    TIME_INDEX_SUFFIX,
    parse_segment_file,
)
from zerocopy_lab.records.batch import HEADER_BYTES, BatchHeader, check_stored_batch, read_header
from zerocopy_lab.records.fields import Field, Layout, layout_bytes, unpack_fields

OFFSET_CHECKPOINTS = (RECOVERY_POINT_FILE, LOG_START_FILE, HIGH_WATERMARK_FILE, CLEANER_FILE)
META_PROPERTIES_FILE = "meta.properties"
_TEXT_FILES = (
    *OFFSET_CHECKPOINTS,
    LEADER_EPOCH_FILE,
    PARTITION_METADATA_FILE,
    META_PROPERTIES_FILE,
)
INDEX_LAYOUTS: dict[str, Layout] = {
    OFFSET_INDEX_SUFFIX: (("relativeOffset", "i"), ("position", "i")),
    TIME_INDEX_SUFFIX: (("timestamp", "q"), ("relativeOffset", "i")),
}
_SNAPSHOT_HEADER: Layout = (("version", "h"), ("crc", "I"), ("count", "i"))
_SNAPSHOT_ENTRY: Layout = (
    ("producerId", "q"),
    ("producerEpoch", "h"),
    ("lastSequence", "i"),
    ("lastOffset", "q"),
    ("offsetDelta", "i"),
    ("timestamp", "q"),
    ("coordinatorEpoch", "i"),
    ("currentTxnFirstOffset", "q"),
)
_READ_BYTES = 1 << 20


class StoredBatch(NamedTuple):
    """A batch at a position of a `.log` file; `damage` says what is wrong with its bytes."""

    position: int
    header: BatchHeader
    batch: memoryview
    damage: str | None


def kind_of(path: Path) -> str | None:
    """One of log, index, timeindex, snapshot, text; None for a file that is not a log's."""
    if path.name in _TEXT_FILES:
        return "text"
    parsed = parse_segment_file(path.name)
    return parsed[1][1:] if parsed else None


def files_in(path: Path) -> list[Path]:
    """The file itself, or every file of a log at or below a directory. Raises OSError."""
    if not path.is_dir():
        path.stat()  # a name that leads nowhere is an error, not nothing
        return [path]
    return sorted(found for found in path.rglob("*") if kind_of(found) and found.is_file())


def stored_batches(path: Path) -> Iterator[StoredBatch]:
    """Every batch of a `.log` file, the damaged ones too.

    Raises CorruptMessage where the next batch cannot be found: its header is no header, or the file
    ends before it does.
    """
    position = 0
    with path.open("rb", buffering=_READ_BYTES) as file:
        while head := file.read(HEADER_BYTES):
            header = read_header(memoryview(head))
            batch = memoryview(head + file.read(header.total_bytes - HEADER_BYTES))
            if len(batch) < header.total_bytes:
                raise CorruptMessage(
                    f"a batch of {header.total_bytes} bytes, of which only {len(batch)} are there"
                )
            try:
                check_stored_batch(batch)
                damage = None
            except CorruptMessage as error:
                damage = str(error)
            yield StoredBatch(position, header, batch, damage)
            position += header.total_bytes


def index_entries(path: Path) -> Iterator[list[Field]]:
    """The entries of an `.index` or `.timeindex` file, each as its fields, positions in the file.

    The zeros behind the last entry, which Kafka preallocates, are left out. Raises ValueError at a
    part of an entry.
    """
    layout = INDEX_LAYOUTS[path.suffix]
    content = path.read_bytes()
    entry_bytes = layout_bytes(layout)
    if cut_bytes := len(content) % entry_bytes:
        raise ValueError(f"the entry at position {len(content) - cut_bytes} is cut")
    used_bytes = len(content.rstrip(b"\0"))
    for position in range(0, used_bytes, entry_bytes):
        yield unpack_fields(layout, memoryview(content), position)


def snapshot_entries(path: Path) -> Iterator[list[Field]]:
    """The header of a producer snapshot, then its producers, each as its fields.

    Raises ValueError where the file is cut.
    """
    content = memoryview(path.read_bytes())
    layout, position = _SNAPSHOT_HEADER, 0
    while position < len(content):
        if position + layout_bytes(layout) > len(content):
            raise ValueError(f"the entry at position {position} is cut")
        yield unpack_fields(layout, content, position)
        position += layout_bytes(layout)
        layout = _SNAPSHOT_ENTRY


def text_lines(path: Path) -> list[str]:
    """The lines of a checkpoint or properties file. Raises UnicodeDecodeError."""
    return path.read_text(encoding="utf-8").splitlines()
