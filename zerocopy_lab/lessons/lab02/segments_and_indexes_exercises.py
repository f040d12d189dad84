"""The exercises of lab 02: find the file, read an entry, count the entries."""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab

INTERVAL_BYTES = 4096  # index.interval.bytes


class NameQuestion(NamedTuple):
    """A learner's own listing for exercise 02.1, and the offset that is wanted."""

    names: list[str]
    offset: int


def name_question(lab: Lab) -> NameQuestion:
    """File names of a larger log, drawn from the seed."""
    draw = lab.random("names")
    bases = [0]
    for _ in range(7):
        bases.append(bases[-1] + draw.randrange(150_000, 350_000))
    chosen = draw.randrange(2, 7)
    offset = bases[chosen] + draw.choice([0, draw.randrange(1, 150_000)])
    return NameQuestion([f"{base:020d}.log" for base in bases], offset)


def _grade_name(answer: Any, lab: Lab) -> Grade:
    names, offset = name_question(lab)
    right = [name for name in names if int(name[:20]) <= offset][-1]
    if answer == right:
        return passed("The last name that is not greater: no file was opened for that.")
    if answer in names and names.index(answer) == names.index(right) + 1:
        return failed("A name is the *first* offset in the file. Can it hold a smaller one?")
    if answer in names:
        return failed("Which names are not greater than the offset? Of these, the last.")
    return failed("Answer with one of the file names, as text.")


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
    relative_offset, position = (int.from_bytes(octets[at : at + 4], "big") for at in (0, 4))
    offset = int(segment[:20]) + relative_offset
    little = tuple(int.from_bytes(octets[at : at + 4], "little") for at in (0, 4))
    if answer == (offset, position):
        return passed("Relative offsets are why four bytes are enough.")
    if answer == (relative_offset, position):
        return failed("That offset counts from the segment's base. Where does the base stand?")
    if answer == (position, offset) or answer == (position, relative_offset):
        return failed("Both numbers are there, in the other order: offset first, position second.")
    if isinstance(answer, tuple) and set(little) & set(answer):
        return failed("Kafka's files are big-endian: the highest byte comes first.")
    return failed("A tuple (offset, position): two numbers of four bytes, the first relative.")


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
    Exercise("02.1", "Which file holds your offset?", _grade_name),
    Exercise("02.2", "Where do these eight bytes lead?", _grade_entry),
    Exercise("02.3", "How many entries has this index?", _grade_sparse),
)
