"""Lab 02: what is in the files of a partition, and how an offset is found in them.

A broker with small segments takes real flights in small batches and is stopped, so that all its
files are complete. From then on only the files speak: `file_reading`.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.evidence import Evidence, Finding, Quantity, Verdict, finding
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.inspect.files import stored_batches
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.lessons.lab02.file_reading import (
    Search,
    SegmentFiles,
    find,
    read_partition,
)
from zerocopy_lab.lessons.lab02.segments_and_indexes_exercises import (
    EXERCISES,
    INTERVAL_BYTES,
    entry_question,
    name_question,
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
from zerocopy_lab.running.scratch import scratch_directory
from zerocopy_lab.running.topic_admin import create_topic

__all__ = ["EXERCISES", "entry_question", "name_question", "read_partition", "sparse_question"]

TOPIC = "flights"
SEGMENT_BYTES = 1 << 20
_MESSAGES_A_BATCH = 5

SIZE_QUESTION = "How large is the offset index of a segment, compared with its .log file?"
SIZE_CHOICES = (
    "about as large: every message is in it",
    "about a tenth",
    "about a hundredth",
    "less than a five-hundredth",
)
WHICH_QUESTION = (
    "An index entry leads to a batch of several messages. Which of their offsets does it hold?"
)
WHICH_CHOICES = ("the first", "the last")


class StoppedPartition(NamedTuple):
    """The directory of a partition whose broker has ended, and what was sent to it."""

    directory: Path
    sent: Traffic
    received_from_middle: Traffic
    expected_from_middle: Traffic


def fill_and_stop(lab: Lab) -> StoppedPartition:
    """Sends flights through a broker, reads the second half back, and stops the broker cleanly."""
    root = scratch_directory("02")
    count = 12_000 if lab.fast else 78_146
    small = {"batch.num.messages": _MESSAGES_A_BATCH, "linger.ms": 5}
    settings = {
        "segment.bytes": str(SEGMENT_BYTES),
        "index.interval.bytes": str(INTERVAL_BYTES),
    }
    with RunningBroker(root) as broker:
        create_topic(broker.bootstrap, TOPIC, settings=settings)
        events = flight_events.repeated(count)
        sent = flight_events.produce(broker.bootstrap, TOPIC, events, small)
        half = flight_events.consume(
            broker.bootstrap, TOPIC, count - count // 2, from_offset=count // 2
        )
    expected = _traffic_of(list(flight_events.repeated(count))[count // 2 :])
    return StoppedPartition(root / f"{TOPIC}-0", sent, half, expected)


def _traffic_of(events: list[bytes]) -> Traffic:
    digest = hashlib.sha256(b"".join(event + b"\n" for event in events)).hexdigest()
    return Traffic(len(events), sum(map(len, events)), digest)


def show_files(partition: StoppedPartition) -> None:
    """A table of the partition's files, the way `ls` shows them."""
    files = sorted(partition.directory.iterdir())
    shown = files if len(files) <= 12 else [*files[:6], None, *files[-6:]]
    rows = [[f.name, f"{f.stat().st_size:,}"] if f else ["...", ""] for f in shown]
    show_table(["file", "bytes"], rows)


def index_share(segments: tuple[SegmentFiles, ...]) -> float:
    """Bytes of all offset indexes, as a part of the bytes of all logs."""
    return sum(s.index_bytes for s in segments) / sum(s.log_bytes for s in segments)


def size_answer(share: float) -> str:
    """The choice that a share belongs to."""
    return SIZE_CHOICES[sum(share < limit for limit in (1 / 3, 1 / 30, 1 / 500))]


def which_answer(segments: tuple[SegmentFiles, ...]) -> str:
    """Which offset of its batch the entries hold, by comparing all of them with the batches.

    Raises ValueError when neither fits all of them: then the index is wrong.
    """
    holds = [batch_offsets(segment, entry) for segment in segments for entry in segment.entries]
    if holds and all(entry == last for entry, _, last in holds):
        return WHICH_CHOICES[1]
    if holds and all(entry == first for entry, first, _ in holds):
        return WHICH_CHOICES[0]
    raise ValueError(f"of {len(holds)} entries, some are neither first nor last of their batch")


def batch_offsets(segment: SegmentFiles, entry: tuple[int, int]) -> tuple[int, int, int]:
    """An entry's offset, and the first and last offset of the batch at its position."""
    offset, position = entry
    batch = next(batch for batch in segment.batches if batch.position == position)
    return offset, batch.first, batch.end - 1


# Pictures


def an_offset_worth_finding(partition: StoppedPartition, lab: Lab) -> int:
    """An offset somewhere in the log, drawn from the seed."""
    return lab.random("offset").randrange(partition.sent.messages // 2, partition.sent.messages)


def batch_picture(partition: StoppedPartition, offset: int) -> Picture:
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
        origin=Origin("COUNTED", f"{search.segment.path.name} of {describe_host().text()}"),
    )


def batch_words(partition: StoppedPartition, offset: int) -> str:
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


def search_picture(partition: StoppedPartition, offset: int) -> Picture:
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


def search_words(partition: StoppedPartition, offset: int) -> str:
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


def searches(partition: StoppedPartition, lab: Lab) -> list[tuple[int, Search]]:
    """Two hundred searches for offsets drawn from the seed."""
    draw = lab.random("searches")
    offsets = [draw.randrange(partition.sent.messages) for _ in range(200)]
    return [(offset, find(partition.directory, offset)) for offset in offsets]


# The verdict


def invariants(partition: StoppedPartition, found: list[tuple[int, Search]]) -> dict[str, bool]:
    """What has to hold on every machine."""
    segments = read_partition(partition.directory)
    entries = [(segment, entry) for segment in segments for entry in segment.entries]
    return {
        "what a client reads from the middle on is what was sent, byte for byte": (
            partition.received_from_middle == partition.expected_from_middle
        ),
        "every search ends at the batch that holds the offset": all(
            search.batch.first <= offset < search.batch.end for offset, search in found
        ),
        "every index entry is the last offset of the batch at its position": bool(entries)
        and all(offset == last for offset, _, last in (batch_offsets(*pair) for pair in entries)),
        "every batch is whole": all(
            stored.damage is None for segment in segments for stored in stored_batches(segment.path)
        ),
    }


def findings(partition: StoppedPartition, found: list[tuple[int, Search]]) -> list[Finding]:
    """What this lab says about S5."""
    segments = read_partition(partition.directory)
    batches = [batch for segment in segments for batch in segment.batches]
    in_a_row = all(one.end == other.base_offset for one, other in pairwise(segments))
    no_gap = all(one.end == other.first for one, other in pairwise(batches))
    complete = sum(batch.records for batch in batches) == partition.sent.messages
    most_read = max(len(search.walked) for _, search in found)
    return [
        finding(
            "S5",
            Verdict.SUPPORTED if in_a_row and no_gap and complete else Verdict.CONTRADICTED,
            Evidence.COUNTED,
            f"{len(segments)} segments follow each other without a gap and hold {len(batches):,} "
            f"batches with all {partition.sent.messages:,} messages, their offsets and a header "
            f"each. To find one of {len(found)} offsets took at most {most_read} batch headers.",
            Quantity("segments", len(segments)),
            Quantity("batches", len(batches)),
            Quantity("messages", sum(batch.records for batch in batches)),
            Quantity("offset index, part of the log", index_share(segments)),
            Quantity("batch headers read for one offset, at most", most_read),
        )
    ]
