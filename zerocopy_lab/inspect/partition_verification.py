"""Whether one partition's files are as they should be.

| file | what is checked |
|---|---|
| .log | every batch: header, CRC, counts; offsets grow without a gap, within and between files |
| | every batch's leader epoch is the one that leader-epoch-checkpoint has for its offset |
| .index | every entry points to a batch, with that batch's last offset |
| .timeindex | every entry names a batch, with its largest timestamp, which none before exceeds |
| .snapshot, partition.metadata | version, CRC, count; format |

The CRC of a batch does not cover its base offset and its leader epoch (records/batch.py): that
these are right shows only here, from what lies around the batch.

A gap between offsets is right where compaction has been: below the partition's offset in
`cleaner-offset-checkpoint`, which the caller passes on.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.errors import KafkaError
from zerocopy_lab.inspect.files import StoredBatch, index_entries, stored_batches
from zerocopy_lab.log.checkpoints import read_lines
from zerocopy_lab.log.file_names import (
    LEADER_EPOCH_FILE,
    LOG_SUFFIX,
    OFFSET_INDEX_SUFFIX,
    PARTITION_METADATA_FILE,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    parse_segment_file,
)
from zerocopy_lab.log.producer_state import ProducerStates
from zerocopy_lab.log.startup.identity_files import load_topic_id
from zerocopy_lab.records.batch import NO_LEADER_EPOCH, NO_TIMESTAMP, BatchHeader
from zerocopy_lab.records.record import read_records


class FileFault(NamedTuple):
    """Something wrong in a file: at a position in bytes, or in the file as a whole (None)."""

    path: Path
    position: int | None
    message: str

    def __str__(self) -> str:
        where = "" if self.position is None else f" at position {self.position}"
        return f"{self.path}{where}: {self.message}"


@dataclass
class Findings:
    """What was looked at, and what was wrong with it."""

    partitions: int = 0
    segments: int = 0
    batches: int = 0
    records: int = 0  # only when batches were opened
    faults: list[FileFault] = field(default_factory=list)

    def add(self, path: Path, position: int | None, problem: Exception | str) -> None:
        """Note a fault; a message that begins with the path does not say it twice."""
        self.faults.append(
            FileFault(path, position, str(problem).removeprefix(str(path)).lstrip(":, "))
        )


class _Entry(NamedTuple):
    """An index entry that has not met its batch yet: where it lies, and what it says."""

    at: int
    value: int


def verify_partition(directory: Path, findings: Findings, *, gaps_below: int, deep: bool) -> int:
    """Checks every file of a partition and returns the offset behind its last record.

    Offsets below `gaps_below` may be missing. `deep` opens the batches and reads their records.
    """
    findings.partitions += 1
    try:
        load_topic_id(directory)
    except ValueError as error:
        findings.add(directory / PARTITION_METADATA_FILE, None, error)
    parsed = {path: parse_segment_file(path.name) for path in sorted(directory.iterdir())}
    check = _PartitionCheck(directory, findings, gaps_below, deep)
    for path, name in parsed.items():
        if name and name[1] == LOG_SUFFIX:
            check.segment(path, name[0])
        elif name and name[1] == SNAPSHOT_SUFFIX:
            try:
                ProducerStates.from_snapshot(path.read_bytes())
            except ValueError as error:
                findings.add(path, None, error)
    return check.next_offset or 0


class _PartitionCheck:
    """A walk over all batches of a partition, in order."""

    def __init__(self, directory: Path, findings: Findings, gaps_below: int, deep: bool) -> None:
        self.findings = findings
        self.gaps_below = gaps_below
        self.deep = deep
        self.next_offset: int | None = None  # None: nothing came before
        self.epochs = _leader_epochs(directory, findings)
        self.path = directory  # the segment that is being walked over
        self.base_offset = 0
        self.largest_timestamp_ms = NO_TIMESTAMP

    def segment(self, path: Path, base_offset: int) -> None:
        """Walks over one segment, and over its indexes beside it."""
        self.findings.segments += 1
        self.path, self.base_offset = path, base_offset
        self.largest_timestamp_ms = NO_TIMESTAMP
        self._follows(0, base_offset)
        self.next_offset = base_offset
        # .index: position of a batch -> relative offset; .timeindex: relative offset -> timestamp
        positions = self._entries(OFFSET_INDEX_SUFFIX, key="position", value="relativeOffset")
        times = self._entries(TIME_INDEX_SUFFIX, key="relativeOffset", value="timestamp")
        walked_bytes = 0
        try:
            for found in stored_batches(path):
                index_entry = positions.pop(found.position, None)
                time_entry = times.pop(found.header.last_offset - base_offset, None)
                if self._is_whole(found):
                    self._batch(found)
                    self._offset_entry(found, index_entry)
                    self._time_entry(found.header, time_entry)
                walked_bytes = found.position + found.header.total_bytes
        except KafkaError as error:
            self.findings.add(path, walked_bytes, error)
            return  # what the indexes say of the rest, nobody can tell
        for position, entry in positions.items():
            self._index_fault(OFFSET_INDEX_SUFFIX, entry, f"no batch begins at {position}")
        for relative_offset, entry in times.items():
            message = f"no batch ends with offset {base_offset + relative_offset}"
            self._index_fault(TIME_INDEX_SUFFIX, entry, message)

    def _is_whole(self, found: StoredBatch) -> bool:
        self.findings.batches += 1
        if found.damage is None:
            return True
        self.findings.add(self.path, found.position, found.damage)
        if found.header.base_offset == self.next_offset:  # then believe the rest of it, too
            self.next_offset = found.header.last_offset + 1
        return False

    def _batch(self, found: StoredBatch) -> None:
        position, header = found.position, found.header
        self._follows(position, header.base_offset)
        self.next_offset = max(header.last_offset + 1, self.next_offset or 0)
        self._counts(position, header)
        self._epoch(position, header)
        self.largest_timestamp_ms = max(self.largest_timestamp_ms, header.max_timestamp_ms)
        if self.deep:
            self._records(found)

    def _follows(self, position: int, offset: int) -> None:
        expected = self.next_offset
        if expected is None or offset == expected:
            return
        if offset < expected:
            message = f"offset {offset}, but the one before it was {expected - 1}"
            self.findings.add(self.path, position, message)
        elif offset > self.gaps_below:
            message = f"offset {offset}, so {expected} to {offset - 1} are missing"
            self.findings.add(self.path, position, message)

    def _counts(self, position: int, header: BatchHeader) -> None:
        offsets = header.last_offset_delta + 1
        thinned_out = header.last_offset < self.gaps_below
        if offsets < 1 or not (0 if thinned_out else offsets) <= header.records_count <= offsets:
            message = f"{header.records_count} records in a batch of {offsets} offsets"
            self.findings.add(self.path, position, message)

    def _epoch(self, position: int, header: BatchHeader) -> None:
        entry = bisect_right(self.epochs, header.base_offset, key=lambda epoch: epoch[1])
        if entry == 0 or header.leader_epoch == NO_LEADER_EPOCH:
            return
        expected = self.epochs[entry - 1][0]
        if header.leader_epoch != expected:
            message = (
                f"leader epoch {header.leader_epoch} at offset {header.base_offset}, "
                f"{LEADER_EPOCH_FILE} says {expected}"
            )
            self.findings.add(self.path, position, message)

    def _records(self, found: StoredBatch) -> None:
        try:
            times = [record.timestamp_ms for record in read_records(found.batch)]
        except KafkaError as error:
            self.findings.add(self.path, found.position, error)
            return
        self.findings.records += len(times)
        if times and max(times) != found.header.max_timestamp_ms:
            message = (
                f"maxTimestamp is {found.header.max_timestamp_ms}, its newest record's {max(times)}"
            )
            self.findings.add(self.path, found.position, message)

    # The indexes

    def _entries(self, suffix: str, key: str, value: str) -> dict[int, _Entry]:
        path = self.path.with_suffix(suffix)
        entries: dict[int, _Entry] = {}
        previous: tuple[int, ...] = (-1, -1)
        try:
            for fields in index_entries(path):
                says = {found.name: int(found.value) for found in fields}
                if not all(map(int.__gt__, says.values(), previous)):
                    message = f"{says} does not follow {previous}"
                    self._index_fault(suffix, _Entry(fields[0].position, 0), message)
                previous = tuple(says.values())
                entries[says[key]] = _Entry(fields[0].position, says[value])
        except FileNotFoundError:
            pass  # built anew from the log when it is needed
        except ValueError as error:
            self.findings.add(path, None, error)
        return entries

    def _offset_entry(self, found: StoredBatch, entry: _Entry | None) -> None:
        if entry and self.base_offset + entry.value != found.header.last_offset:
            message = (
                f"the batch at position {found.position} ends with offset "
                f"{found.header.last_offset}, not {self.base_offset + entry.value}"
            )
            self._index_fault(OFFSET_INDEX_SUFFIX, entry, message)

    def _time_entry(self, header: BatchHeader, entry: _Entry | None) -> None:
        if entry and not entry.value == header.max_timestamp_ms == self.largest_timestamp_ms:
            message = (
                f"says {entry.value}, the batch that ends with offset {header.last_offset} has "
                f"{header.max_timestamp_ms}, the largest up to there is {self.largest_timestamp_ms}"
            )
            self._index_fault(TIME_INDEX_SUFFIX, entry, message)

    def _index_fault(self, suffix: str, entry: _Entry, message: str) -> None:
        self.findings.add(self.path.with_suffix(suffix), entry.at, message)


def _leader_epochs(directory: Path, findings: Findings) -> list[tuple[int, int]]:
    """(epoch, start offset), ascending in both; what does not ascend is a fault."""
    path = directory / LEADER_EPOCH_FILE
    epochs: list[tuple[int, int]] = []
    try:
        lines = read_lines(path, fields_per_line=2)
    except ValueError as error:
        findings.add(path, None, error)
        return epochs
    for epoch, start_offset in lines:
        entry = int(epoch), int(start_offset)
        if epochs and not (entry[0] > epochs[-1][0] and entry[1] >= epochs[-1][1]):
            findings.add(path, None, f"epoch {entry} does not follow {epochs[-1]}")
        epochs.append(entry)
    return epochs
