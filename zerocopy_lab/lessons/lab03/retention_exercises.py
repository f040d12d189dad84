"""The exercises of lab 03: the rule as a function, the oldest message, the disk it takes.

`deleted_by_rule` is this lab's own statement of Kafka's rule, in ten lines and without the broker's
code, so that the lab can tell when the broker does something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import NOT_ATTEMPTED, Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.inspect.segment_info import SegmentInfo

Rule = Callable[[Sequence[SegmentInfo], int, int, int], Sequence[int] | None]


def deleted_by_rule(
    segments: Sequence[SegmentInfo], now_ms: int, retention_ms: int, retention_bytes: int
) -> list[int]:
    """Base offsets of the segments to delete, oldest first (-1: no limit).

    Source: Kafka's `UnifiedLog.deleteRetentionMsBreachedSegments` and `...SizeBreachedSegments`.
    A log whose active segment is too old as well would be rolled first: not this function's case.
    """
    excess_bytes = sum(segment.size_bytes for segment in segments) - retention_bytes
    deleted = []
    for segment in segments[:-1]:  # the last one is active
        too_old = retention_ms >= 0 and now_ms - segment.largest_ms > retention_ms
        too_much = retention_bytes >= 0 and excess_bytes >= segment.size_bytes
        if not (too_old or too_much):
            break
        deleted.append(segment.base_offset)
        excess_bytes -= segment.size_bytes
    return deleted


class RuleCase(NamedTuple):
    """A log and limits, and what an answer that fails here has probably forgotten."""

    segments: list[SegmentInfo]
    retention_ms: int
    retention_bytes: int
    forgotten: str


_NOW_MS = 1_000_000


def rule_cases(lab: Lab) -> list[RuleCase]:
    """Logs drawn from the seed; each but the last is made for one mistake."""
    draw = lab.random("rule")
    age = [900_000, 700_000, 500_000, 300_000, 100_000]
    size = draw.randrange(1000, 5000)
    plain = _log([(a, a - 80_000, size) for a in age])
    straggler = _log([(a, a - 80_000 if n != 1 else 50_000, size) for n, a in enumerate(age)])
    return [
        RuleCase(plain, -1, -1, "-1 means: no limit."),
        RuleCase(plain, 450_000, -1, "a segment is as old as its *youngest* message (largest_ms)."),
        RuleCase(
            straggler,
            350_000,
            -1,
            "oldest first, without gaps: one that stays keeps all behind it.",
        ),
        RuleCase(plain, 0, -1, "the last segment is active and stays."),
        RuleCase(
            plain,
            -1,
            2 * size + size // 2,
            "by size, only what is too much as a whole goes: more is kept, never less.",
        ),
        RuleCase(plain, -1, 2 * size, "an excess of exactly one segment is enough to delete it."),
        RuleCase(plain, 600_000, 2 * size, "either limit is enough to delete a segment."),
    ]


def _log(spans: Sequence[tuple[int, int, int]]) -> list[SegmentInfo]:
    """Segments from (age of the first message, age of the youngest, bytes)."""
    last = len(spans) - 1
    return [
        SegmentInfo(
            100 * n, 100 * (n + 1), size, 1, 1, _NOW_MS - old, _NOW_MS - young, n == last, False, ""
        )
        for n, (old, young, size) in enumerate(spans)
    ]


def _grade_rule(answer: Any, lab: Lab) -> Grade:
    if not callable(answer):
        return failed(
            "A function is wanted: my_rule(segments, now_ms, retention_ms, retention_bytes)."
        )
    for case in rule_cases(lab):
        limits = case.retention_ms, case.retention_bytes
        given = answer(list(case.segments), _NOW_MS, *limits)
        if given is None:
            return NOT_ATTEMPTED
        right = deleted_by_rule(case.segments, _NOW_MS, *limits)
        if list(given) != right:
            return failed(
                f"With retention.ms={limits[0]} and retention.bytes={limits[1]} your function "
                f"deletes {list(given)}, Kafka {right}. Remember: {case.forgotten}"
            )
    return passed("That is Kafka's rule, both limits together.")


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
    Exercise("03.1", "Which segments does Kafka delete?", _grade_rule, takes_code=True),
    Exercise("03.2", "How old can a message become?", _grade_oldest),
    Exercise("03.3", "How much disk does the topic take at most?", _grade_disk),
)
