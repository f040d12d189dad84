"""Lab 02, what finding an offset costs a broker: the bytes that it reads, the entries it looks at.

Both are counted in the broker's own search, not in the lab's. The bytes by `/proc/PID/io`, in any
broker whose process is here: whatever it reads from files and does not send was read to find
something. (What is mapped into memory, as a real Kafka's indexes are, does not show there.) The
entries with columns that count, in the look-up of this kit's own index.
"""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.subject import THIS_BROKER, Subject
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.conformance.index_lookup import CountedColumn
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab02.file_reading import SegmentFiles, read_partition
from zerocopy_lab.log.index_files import offset_index_from
from zerocopy_lab.plain_words import byte_count
from zerocopy_lab.records.batch import HEADER_BYTES, read_header
from zerocopy_lab.running.running_broker import RunningBroker

_ROUNDS = 5


class Reads(NamedTuple):
    """Of offsets nobody had asked for: bytes read for one and not sent, by rounds; what a walk from
    the beginnings of their files would read in headers alone; were the right batches sent.
    """

    bytes_each: Spread
    whole_walk_bytes: float
    offsets: int
    right: bool

    @property
    def scans(self) -> bool:
        """Whether it reads like somebody who has no index: half of all headers, and more."""
        return self.bytes_each.median > self.whole_walk_bytes / 2


def count_reads(broker: RunningBroker, topic: str, directory: Path, lab: Lab) -> Reads | Unmeasured:
    """Asks a broker that was just started for offsets all over its log, one batch each."""
    segments = read_partition(directory)
    offsets = _drawn_offsets(segments, lab.random("reads"), 100 if lab.fast else 400)
    rounds = [offsets[first::_ROUNDS] for first in range(_ROUNDS)]
    found: list[float] = []
    try:
        with Wire(broker.host, broker.port) as wire:
            for segment in segments:  # it opens files and loads indexes: once, for all that come
                fetch(wire, topic, 0, segment.base_offset, max_bytes=1)
            right = True
            for asked in rounds:
                before, sent_bytes = _read_bytes(broker.pid), 0
                for offset in asked:
                    answer = fetch(wire, topic, 0, offset, max_bytes=1)
                    right = right and _begins_with_the_batch_of(offset, answer.records)
                    sent_bytes += len(answer.records)
                found.append((_read_bytes(broker.pid) - before - sent_bytes) / len(asked))
    except OSError as error:
        return Unmeasured(f"the bytes that a process reads cannot be counted here: {error}.")
    walks = [_whole_walk_bytes(segments, offset) for offset in offsets]
    return Reads(
        spread(max(each, 0.0) for each in found), statistics.mean(walks), len(walks), right
    )


def _drawn_offsets(
    segments: tuple[SegmentFiles, ...], draw: random.Random, count: int
) -> list[int]:
    """Without those at the segments' beginnings, and none twice: what a broker knows by heart
    tells nothing.
    """
    bases = {segment.base_offset for segment in segments}
    there = [each for each in range(segments[0].base_offset, segments[-1].end) if each not in bases]
    return draw.sample(there, min(count, len(there)))


def _read_bytes(pid: int) -> int:
    """What a process asked its files (and sockets, by read) for, since its start: proc(5), rchar.
    sendfile adds to it, recv and mmap do not. Raises OSError.
    """
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar:")).split()[1])


def _begins_with_the_batch_of(offset: int, records: bytes) -> bool:
    if len(records) < HEADER_BYTES:
        return False
    header = read_header(memoryview(records))
    return header.base_offset <= offset <= header.last_offset


def _whole_walk_bytes(segments: tuple[SegmentFiles, ...], offset: int) -> int:
    home = next(each for each in reversed(segments) if each.base_offset <= offset)
    return HEADER_BYTES * sum(batch.first <= offset for batch in home.batches)


class Looks(NamedTuple):
    """How many entries of an index the look-up of this kit's broker looked at, at most."""

    most: int
    entries: int

    @property
    def scans(self) -> bool:
        """Whether that is more than halving takes (two columns, and some to spare)."""
        return self.most > 2 * math.ceil(math.log2(self.entries + 2)) + 4


def count_looks(directory: Path, lab: Lab) -> Looks:
    """The broker's own look-up in the largest of these indexes, a hundred times."""
    draw = lab.random("looks")
    largest = max(read_partition(directory), key=lambda segment: len(segment.entries))
    index = offset_index_from(largest.path.with_suffix(".index").read_bytes())
    offsets, positions = map(CountedColumn, (index.relative_offsets, index.positions))
    index.relative_offsets, index.positions = offsets, positions  # type: ignore[assignment]
    most = 0
    for _ in range(100):
        offsets.looks = positions.looks = 0
        index.position_before(draw.randrange(largest.end - largest.base_offset))
        most = max(most, offsets.looks + positions.looks)
    return Looks(most, len(offsets))


# -- in words --------------------------------------------------------------------------------------


def show_costs(reads: Reads | Unmeasured, looks: Looks) -> None:
    """A table of what was counted."""
    told = "not counted here" if isinstance(reads, Unmeasured) else reads.bytes_each.text("bytes")
    walk = "" if isinstance(reads, Unmeasured) else f"{reads.whole_walk_bytes:,.0f} bytes"
    rows = [
        ["read for one offset, beyond what was sent (the broker asked)", told],
        ["headers alone, if it walked from the beginning of the file (computed)", walk],
        ["entries looked at for one offset, at most (this kit's look-up)", f"{looks.most}"],
        ["entries in that index", f"{looks.entries:,}"],
    ]
    show_table(["counted", "result"], rows)


def reads_answer(reads: Reads | Unmeasured) -> tuple[int | None, str]:
    """The number of the notebook's choice (nothing, a few KiB, all that lies before), and why there
    is none.
    """
    if isinstance(reads, Unmeasured):
        return None, str(reads)
    if reads.scans:
        return 3, ""
    return 1 if reads.bytes_each.median < 1 else 2, ""


def lookup_finding(reads: Reads | Unmeasured, looks: Looks, subject: Subject) -> Finding:
    """S5, how an offset is found, by the broker that was asked."""
    search = Aspect("S5", subject, "how an offset is found")
    if isinstance(reads, Unmeasured):
        return search.not_testable(str(reads))
    is_ours = subject == THIS_BROKER
    looked = [
        Quantity("index entries looked at, at most", looks.most),
        Quantity("entries in that index", looks.entries),
    ]
    return search.counted(
        reads.right and not (reads.scans or (is_ours and looks.scans)),
        _lookup_words(reads, looks, subject),
        Quantity("bytes read for one offset, beyond those sent", reads.bytes_each, "bytes"),
        Quantity("headers from the beginning of the file on", reads.whole_walk_bytes, "bytes"),
        *(looked if is_ours else []),
    )


def _lookup_words(reads: Reads, looks: Looks, subject: Subject) -> str:
    if not reads.right:
        return (
            f"Of {reads.offsets} offsets asked for, some were answered with another batch, or none."
        )
    words = (
        f"For each of {reads.offsets} offsets it read {byte_count(reads.bytes_each.median)} "
        f"beyond what it sent"
    )
    if reads.scans:
        return f"{words}: as much as walking from the beginning of the file. It scans."
    if subject == THIS_BROKER and looks.scans:
        return f"{words}, but it looked at {looks.most} of {looks.entries} index entries: it scans."
    walk = byte_count(reads.whole_walk_bytes)
    return f"{words}; the headers from the beginning of the file on would be {walk}. It jumps."
