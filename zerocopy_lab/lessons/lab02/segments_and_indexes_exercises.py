"""The exercises of lab 02: the look-up as a part, an entry read, the entries counted."""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, failed, passed
from zerocopy_lab.classroom.lab import Lab

INTERVAL_BYTES = 4096  # index.interval.bytes


class EntryQuestion(NamedTuple):
    """Eight bytes for exercise 02.2, and the name of the segment that their index belongs to."""

    octets: bytes
    segment: str


def entry_question(lab: Lab) -> EntryQuestion:
    """An index entry, drawn from the seed."""
    draw = lab.random("entry")
    relative_offset, position = draw.randrange(300, 60_000), draw.randrange(5_000, 900_000)
    octets = relative_offset.to_bytes(4, "big") + position.to_bytes(4, "big")
    return EntryQuestion(octets, f"{draw.randrange(100_000, 2_000_000):020d}.index")


def _grade_entry(answer: Any, lab: Lab) -> Grade:
    octets, segment = entry_question(lab)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return failed("Two numbers are wanted: (offset, position).")
    given = tuple(answer)
    relative_offset, position = (int.from_bytes(octets[at : at + 4], "big") for at in (0, 4))
    offset = int(segment[:20]) + relative_offset
    little = {int.from_bytes(octets[at : at + 4], "little") for at in (0, 4)}
    if given == (offset, position):
        return passed("Relative offsets are why four bytes are enough.")
    if given == (relative_offset, position):
        return failed("That offset counts from the segment's base. Where does the base stand?")
    if given in ((position, offset), (position, relative_offset)):
        return failed("Both numbers are there, in the other order: offset first, position second.")
    if any(each in little for each in given):
        return failed("Kafka's files are big-endian: the highest byte comes first.")
    return failed("Two numbers of four bytes each, the first relative to the name of the file.")


class SparseQuestion(NamedTuple):
    """Batches of one size for exercise 02.3."""

    batch_bytes: int
    batches: int
    interval_bytes: int


def sparse_question(lab: Lab) -> SparseQuestion:
    """Drawn from the seed, so that the interval is no multiple of a batch."""
    draw = lab.random("sparse")
    return SparseQuestion(draw.randrange(300, 3000), draw.randrange(200, 900), INTERVAL_BYTES)


def entries_needed(question: SparseQuestion) -> int:
    """Kafka's rule: an entry for a batch when more than the interval has been written since the
    last entry, looked at before the batch is added. A segment's first batch never gets one.
    """
    entries = since_last_bytes = 0
    for _ in range(question.batches):
        if since_last_bytes > question.interval_bytes:
            entries, since_last_bytes = entries + 1, 0
        since_last_bytes += question.batch_bytes
    return entries


def _grade_sparse(answer: Any, lab: Lab) -> Grade:
    question = sparse_question(lab)
    right = entries_needed(question)
    log_bytes = question.batches * question.batch_bytes
    if not isinstance(answer, int | float):
        return failed("A number of entries is wanted.")
    if answer == right:
        return passed("The interval is exceeded, not met: the index is a little sparser than that.")
    if answer == question.batches:
        return failed("That is an entry for every batch. But the index is sparse.")
    if abs(answer - log_bytes / question.interval_bytes) <= 1:
        return failed(
            "Entries point at whole batches: how many must be written until *more* than the "
            "interval has gone by?"
        )
    return failed(
        "Walk along: add up the batches, note an entry when the sum exceeds the interval, and "
        "start again from 0."
    )


EXERCISES = (
    building(
        "02.1",
        "index_lookup",
        "Find where to begin reading, without looking at every entry.",
        (
            "The offsets ascend. Which entries can you leave out after one look at the middle one?",
            "You want the last entry whose offset is not greater than the one asked for. Before "
            "the first entry the answer is the beginning of the file: 0.",
            "bisect.bisect_right(relative_offsets, relative_offset) counts the entries that are "
            "not greater. Import bisect inside your function.",
        ),
    ),
    Exercise(
        "02.2",
        "Where do these eight bytes lead?",
        _grade_entry,
        (
            "Four bytes and four bytes. The table above says what each of them is.",
            'struct.unpack(">ii", octets) takes them apart. The first counts from the offset in '
            "the name of the file.",
            "int(index_name[:20]) is the base offset: add it to the first number, leave the other "
            "as it is.",
        ),
    ),
    Exercise(
        "02.3",
        "How many entries has this index?",
        _grade_sparse,
        (
            "Does the first batch get one? Nothing had been written before it.",
            "How many batches must be written until their sum is *more* than the interval? The "
            "next one gets an entry, and counting starts again with it.",
            "Write the loop: for each batch, if since > interval: entries += 1 and since = 0; then "
            "since += batch_bytes.",
        ),
    ),
)
