"""The exercises of lab 03: the rule as a part, the oldest message, the disk it takes."""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, failed, passed
from zerocopy_lab.classroom.lab import Lab


class OldestQuestion(NamedTuple):
    """A topic for exercise 03.2."""

    mib_a_day: int
    segment_mib: int
    segment_days: int  # segment.ms
    retention_days: int


def oldest_question(lab: Lab) -> OldestQuestion:
    """A slow topic, whose segments are rolled by time before they are full; drawn from the seed."""
    draw = lab.random("oldest")
    return OldestQuestion(
        draw.randrange(20, 90), 1024, draw.randrange(3, 8), draw.randrange(10, 40)
    )


def _grade_oldest(answer: Any, lab: Lab) -> Grade:
    question = oldest_question(lab)
    fills_in_days = question.segment_mib / question.mib_a_day
    if answer == question.retention_days + question.segment_days:
        return passed("The first message of a segment waits until the last one is too old.")
    if answer == question.retention_days:
        return failed("That is when a message *may* go. What else is in its segment?")
    if (
        isinstance(answer, int | float)
        and abs(answer - question.retention_days - fills_in_days) < 1
    ):
        return failed("At that rate the segment is not full before segment.ms closes it.")
    return failed(
        "How long does a segment stay open? Its first message is that much older than its last."
    )


class DiskQuestion(NamedTuple):
    """A topic for exercise 03.3."""

    partitions: int
    retention_mib: int  # retention.bytes
    segment_mib: int


def disk_question(lab: Lab) -> DiskQuestion:
    """Drawn from the seed."""
    draw = lab.random("disk")
    return DiskQuestion(
        draw.randrange(4, 30), draw.choice([2048, 5120, 10240]), draw.choice([256, 512, 1024])
    )


def _grade_disk(answer: Any, lab: Lab) -> Grade:
    partitions, retention_mib, segment_mib = disk_question(lab)
    if answer == partitions * (retention_mib + segment_mib):
        return passed(
            "A partition goes just short of one segment over its limit. (And deleted files stay "
            "for file.delete.delay.ms.)"
        )
    if answer == partitions * retention_mib:
        return failed("That is what is kept at least. When does the oldest segment go?")
    if answer in (retention_mib, retention_mib + segment_mib):
        return failed("retention.bytes is a limit for each partition, not for the topic.")
    return failed(
        "First one partition: how far beyond the limit can it grow before a whole segment is too "
        "much?"
    )


EXERCISES = (
    building(
        "03.1",
        "retention",
        "Which segments does Kafka delete?",
        (
            "Go from the oldest on and stop at the first that has to stay. What you have passed by "
            "then is the answer: a number.",
            "Too old: now_ms - youngest_ms is more than retention_ms. Too much: what is over "
            "retention_bytes is at least the whole segment; then that much less is over it. Either "
            "is enough; a limit of -1 is none.",
            "Add up all sizes first: excess = total - retention_bytes. For each segment: if it is "
            "the last and empty, or neither too old nor too much, return its number; else take "
            "its size from excess. At the end return len(segments): the active one may go too.",
        ),
    ),
    Exercise(
        "03.2",
        "How old can a message become?",
        _grade_oldest,
        (
            "A segment goes when its *youngest* message is too old. Which message of it is the "
            "oldest by then?",
            "How long is a segment open: until it is full, or until segment.ms? Work out both.",
            "The shorter of the two, and retention_days on top of it.",
        ),
    ),
    Exercise(
        "03.3",
        "How much disk does the topic take at most?",
        _grade_disk,
        (
            "retention.bytes is a limit for each partition.",
            "The oldest segment goes when what is over the limit is at least the whole of it. How "
            "much can be over it until then?",
            "Just short of one segment more in each partition: partitions * (limit + segment).",
        ),
    ),
)
