"""Lab 02: what is in the files of a partition, and how an offset is found in them.

A broker with small segments takes real flights in small batches and is stopped, so that all its
files are complete: `file_reading` reads them. Then it is started again on them and asked for
offsets, and what it does to find them is counted: `lookups`.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.kept_parts import is_kept
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box, show_table
from zerocopy_lab.classroom.subject import Subject, about
from zerocopy_lab.inspect.files import stored_batches
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab02 import lookups
from zerocopy_lab.lessons.lab02.file_reading import SegmentFiles, find, read_partition
from zerocopy_lab.lessons.lab02.segments_and_indexes_exercises import (
    INTERVAL_BYTES,
    entry_question,
    sparse_question,
)
from zerocopy_lab.pictures.byte_map import IndexEntry, byte_map
from zerocopy_lab.pictures.offset_search import OffsetRange, offset_search
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.records.batch import HEADER_BYTES
from zerocopy_lab.records.fields import header_fields, record_fields
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.flight_events import Traffic
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.topic_admin import create_topic

__all__ = ["entry_question", "lookups", "read_partition", "sparse_question"]

TOPIC = "flights"
SEGMENT_BYTES = 1 << 20
_MESSAGES_A_BATCH = 5


class StoredPartition(NamedTuple):
    """The directory of a partition, what was sent to it, and which broker wrote it."""

    directory: Path
    sent: Traffic
    received_from_middle: Traffic
    expected_from_middle: Traffic
    written_by: Subject


def fill(broker: RunningBroker, lab: Lab) -> StoredPartition:
    """Sends flights through a broker and reads the second half back."""
    count = 12_000 if lab.fast else 78_146
    small = {"batch.num.messages": _MESSAGES_A_BATCH, "linger.ms": 5}
    settings = {
        "segment.bytes": str(SEGMENT_BYTES),
        "index.interval.bytes": str(INTERVAL_BYTES),
    }
    create_topic(broker.bootstrap, TOPIC, settings=settings)
    events = list(flight_events.repeated(count))
    sent = flight_events.produce(broker.bootstrap, TOPIC, events, small)
    half = flight_events.consume(
        broker.bootstrap, TOPIC, count - count // 2, from_offset=count // 2
    )
    expected = _traffic_of(events[count // 2 :])
    return StoredPartition(broker.data_dir / f"{TOPIC}-0", sent, half, expected, about(broker))


def _traffic_of(events: list[bytes]) -> Traffic:
    digest = hashlib.sha256(b"".join(event + b"\n" for event in events)).hexdigest()
    return Traffic(len(events), sum(map(len, events)), digest)


def show_files(partition: StoredPartition) -> None:
    """A table of the partition's files, the way `ls` shows them."""
    files = sorted(partition.directory.iterdir())
    shown = files if len(files) <= 12 else [*files[:6], None, *files[-6:]]
    rows = [[f.name, f"{f.stat().st_size:,}"] if f else ["...", ""] for f in shown]
    show_table(["file", "bytes"], rows)


def index_share(segments: tuple[SegmentFiles, ...]) -> float:
    """Bytes of all offset indexes, as a part of the bytes of all logs."""
    return sum(s.index_bytes for s in segments) / sum(s.log_bytes for s in segments)


def size_answer(share: float) -> int:
    """The number of the notebook's choice: a third or more, a twentieth, a hundredth, less than a
    five-hundredth.
    """
    return 1 + sum(share < limit for limit in (1 / 6, 1 / 45, 1 / 500))


def batch_offsets(segment: SegmentFiles, entry: tuple[int, int]) -> tuple[int, int, int]:
    """An entry's offset, and the first and last offset of the batch at its position."""
    offset, position = entry
    batch = next(batch for batch in segment.batches if batch.position == position)
    return offset, batch.first, batch.end - 1


# Pictures


def an_offset_worth_finding(partition: StoredPartition, lab: Lab) -> int:
    """An offset somewhere in the log, drawn from the seed."""
    return lab.random("offset").randrange(partition.sent.messages // 2, partition.sent.messages)


def batch_picture(partition: StoredPartition, offset: int) -> Picture:
    """The batch that the index leads to first on the way to an offset, byte by byte."""
    search = find(partition.directory, offset)
    place = search.walked[0]
    with search.segment.path.open("rb") as file:
        file.seek(place.position)
        octets = file.read(place.length)
    view = memoryview(octets)
    entry = None
    if search.entry:
        base_offset = search.segment.base_offset
        entry = IndexEntry(search.entry[0] - base_offset, search.entry[1], base_offset)
    return byte_map(
        octets,
        header_fields(view) + record_fields(view, HEADER_BYTES),
        first_position=place.position,
        entry=entry,
        rows=14,
        title=f"The batch with offsets {place.first:,} to {place.end - 1:,}, byte by byte",
        origin=Origin("COUNTED", f"{search.segment.path.name} of {describe_host().text()}"),
    )


def batch_words(partition: StoredPartition, offset: int) -> str:
    """The conclusion under that picture."""
    search = find(partition.directory, offset)
    place = search.walked[0]
    pointed = "no index entry points at it"
    if search.entry:
        pointed = f"the index entry for offset {search.entry[0]:,} points at it"
    return (
        f"The batch at position {place.position:,} holds offsets {place.first:,} to "
        f"{place.end - 1:,} in {place.length:,} bytes, {HEADER_BYTES} of them header; {pointed}. "
        "Its records only say how far they are from the first: no record knows its own offset."
    )


def search_picture(partition: StoredPartition, offset: int) -> Picture:
    """The way to an offset, in three magnifications."""
    search = find(partition.directory, offset)
    segments = read_partition(partition.directory)
    behind = search.segment.batches.index(search.batch) + 1
    batches = sum(len(segment.batches) for segment in segments)
    return offset_search(
        offset,
        segments=[OffsetRange(s.base_offset, s.end) for s in segments],
        entries=[last_offset for last_offset, _ in search.segment.entries],
        walked=[OffsetRange(batch.first, batch.end) for batch in search.walked],
        beyond=[OffsetRange(b.first, b.end) for b in search.segment.batches[behind : behind + 3]],
        origin=Origin("COUNTED", describe_host().text()),
        title=f"Offset {offset:,}: batch headers read: {len(search.walked)} of {batches:,}",
    )


def search_words(partition: StoredPartition, offset: int) -> str:
    """The conclusion under that picture."""
    search = find(partition.directory, offset)
    entries = len(search.segment.entries)
    by_index = f"Bisection finds the last of its {entries} index entries that is not beyond it."
    if search.entry is None:
        by_index = f"All of its {entries} index entries lie beyond it, so the walk begins at 0."
    read = len(search.walked)
    headers = f"{read} batch header{'' if read == 1 else 's'} of {HEADER_BYTES} bytes"
    return (
        f"The names lead to {search.segment.path.name}. {by_index} After {headers} the batch is "
        f"found, at position {search.batch.position:,} of {search.segment.log_bytes:,}."
    )


# The learner's own


def show_yours(partition: StoredPartition, lab: Lab) -> None:
    """The kept look-up in a broker on these files: are its answers right, how much does it read?"""
    if not is_kept("index_lookup", lab.parts_dir):
        return
    with RunningBroker(partition.directory.parent, parts=lab.parts_dir) as broker:
        reads = lookups.count_reads(broker, TOPIC, partition.directory, lab)
    if isinstance(reads, Unmeasured):
        box("plain", "Your look-up in a broker", [str(reads)])
        return
    right = "each answer was the right batch" if reads.right else "some answers were wrong"
    told = f"{reads.offsets} offsets: {right}, {reads.bytes_each.text('bytes')} read for each."
    box("plain", "Your look-up in a broker", [told])


# The verdict


def invariants(partition: StoredPartition) -> dict[str, bool]:
    """What has to hold on every machine."""
    segments = read_partition(partition.directory)
    entries = [(segment, entry) for segment in segments for entry in segment.entries]
    offsets = [offset for segment in segments for offset in (segment.base_offset, segment.end - 1)]
    return {
        "what a client reads from the middle on is what was sent, byte for byte": (
            partition.received_from_middle == partition.expected_from_middle
        ),
        "the search in the pictures ends at the batch that holds the offset": all(
            find(partition.directory, offset).batch.holds(offset) for offset in offsets
        ),
        "every index entry is the last offset of the batch at its position": bool(entries)
        and all(offset == last for offset, _, last in (batch_offsets(*pair) for pair in entries)),
        "every batch is whole": all(
            stored.damage is None for segment in segments for stored in stored_batches(segment.path)
        ),
    }


def findings(
    partition: StoredPartition, reads: lookups.Reads | Unmeasured, looks: lookups.Looks
) -> list[Finding]:
    """What this lab says about S5: the files, and the way through them."""
    return [files_finding(partition), lookups.lookup_finding(reads, looks, partition.written_by)]


def files_finding(partition: StoredPartition) -> Finding:
    """S5, the files."""
    segments = read_partition(partition.directory)
    batches = [batch for segment in segments for batch in segment.batches]
    in_a_row = all(one.end == other.base_offset for one, other in pairwise(segments))
    no_gap = all(one.end == other.first for one, other in pairwise(batches))
    stored = sum(batch.records for batch in batches)
    sent = partition.sent.messages
    return Aspect("S5", partition.written_by, "the files").counted(
        in_a_row and no_gap and stored == sent,
        f"{len(segments)} segments {'follow' if in_a_row and no_gap else 'do not follow'} each "
        f"other without a gap and hold {len(batches):,} batches with {stored:,} of {sent:,} "
        "messages, their offsets and a header each.",
        Quantity("segments", len(segments)),
        Quantity("batches", len(batches)),
        Quantity("messages", stored),
        Quantity("offset index, part of the log", index_share(segments)),
    )
