"""Part `retention` (lab 03): which segments go, given how old and how large they are.

    retention(segments, retention_ms, retention_bytes, now_ms) -> how many of the oldest go

Oldest first and without gaps: the first segment that stays keeps all behind it, so a number says
it all. A segment is as old as its *youngest* record. By size a segment goes when what is over the
limit is at least the whole of it. -1 means no limit. The last segment is the active one; by the
same rules it may be too old or too much, unless it is empty: the broker then begins a new one
before it deletes it. Source: Kafka's `UnifiedLog.deletableSegments` and its callers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part, require_argument_kept
from zerocopy_lab.conformance.plain_values import plain


class SegmentFacts(NamedTuple):
    """What retention may know of a segment."""

    base_offset: int
    size_bytes: int
    youngest_ms: int
    """The largest timestamp of its records (of its file, if it has none)."""


RetentionRule = Callable[[Sequence[SegmentFacts], int, int, int], int]

_CASES = 600
_NOW_MS = 1_700_000_000_000


def retention(
    segments: Sequence[SegmentFacts], retention_ms: int, retention_bytes: int, now_ms: int
) -> int:
    """Ours, for one cell: the oldest as long as one of the limits is passed."""
    excess_bytes = sum(segment.size_bytes for segment in segments) - retention_bytes
    for number, segment in enumerate(segments):
        is_empty_and_active = not segment.size_bytes and number + 1 == len(segments)
        too_old = 0 <= retention_ms < now_ms - segment.youngest_ms
        too_much = retention_bytes >= 0 and excess_bytes >= max(segment.size_bytes, 1)
        if is_empty_and_active or not (too_old or too_much):
            return number
        excess_bytes -= segment.size_bytes
    return len(segments)


def by_trying(
    segments: Sequence[SegmentFacts], retention_ms: int, retention_bytes: int, now_ms: int
) -> int:
    """The oracle: the largest number for which each segment that goes had a reason to go."""
    return max(
        count
        for count in range(len(segments) + 1)
        if all(
            _has_a_reason(segments, number, retention_ms, retention_bytes, now_ms)
            for number in range(count)
        )
    )


def _has_a_reason(
    segments: Sequence[SegmentFacts], number: int, limit_ms: int, limit_bytes: int, now_ms: int
) -> bool:
    segment, kept = segments[number], segments[number:]
    if number == len(segments) - 1 and segment.size_bytes == 0:
        return False
    if limit_ms != -1 and segment.youngest_ms + limit_ms < now_ms:
        return True
    left_without_it_bytes = sum(each.size_bytes for each in kept[1:])
    return limit_bytes != -1 and left_without_it_bytes >= limit_bytes and segment.size_bytes > 0


def drawn_segments(draw: random.Random) -> list[SegmentFacts]:
    """A log of up to eight segments; youngest records mostly ascend, with stragglers."""
    segments, base_offset, age_ms = [], draw.randrange(10_000), draw.randrange(1, 2_000_000)
    count = draw.randrange(1, 9)
    for number in range(count):
        empty_and_active = number + 1 == count and draw.random() < 0.2
        size_bytes = 0 if empty_and_active else draw.choice((1000, 1000, draw.randrange(1, 5000)))
        youngest_ms = _NOW_MS - (age_ms if draw.random() < 0.85 else draw.randrange(2_000_000))
        segments.append(SegmentFacts(base_offset, size_bytes, youngest_ms))
        base_offset += draw.randrange(1, 5000)
        age_ms = draw.randrange(age_ms + 1)
    return segments


def drawn_limits(segments: Sequence[SegmentFacts], draw: random.Random) -> tuple[int, int]:
    """Limits in milliseconds and bytes: none, far off, and exactly at the edge."""
    ages_ms = [_NOW_MS - segment.youngest_ms for segment in segments]
    total_bytes = sum(segment.size_bytes for segment in segments)
    edge_bytes = sum(segment.size_bytes for segment in segments[draw.randrange(len(segments)) :])
    limit_ms = draw.choice(
        (-1, -1, 0, draw.choice(ages_ms), max(draw.choice(ages_ms) - 1, 0), 10**9)
    )
    limit_bytes = draw.choice(
        (-1, -1, 0, edge_bytes, edge_bytes + 1, draw.randrange(total_bytes + 1))
    )
    return limit_ms, limit_bytes


def _exam(rule: RetentionRule, draw: random.Random) -> str:
    for _ in range(_CASES):
        segments = drawn_segments(draw)
        limits = drawn_limits(segments, draw)
        given = list(segments)
        answer = plain(rule(given, *limits, _NOW_MS))
        if answer is None:
            raise NotBegun
        require_argument_kept(given == segments, "the list of segments")
        right = by_trying(segments, *limits, _NOW_MS)
        if type(answer) is not int or answer != right:
            raise NotConforming(_in_words(segments, limits, answer, right))
    return f"{_CASES} logs and limits nobody had seen, the edges among them."


def _in_words(
    segments: Sequence[SegmentFacts], limits: tuple[int, int], answer: object, right: int
) -> str:
    told = ", ".join(
        f"{segment.size_bytes} B/{(_NOW_MS - segment.youngest_ms) / 1000:g} s old"
        for segment in segments
    )
    return (
        f"Segments, oldest first: {told}. With retention.ms={limits[0]} and "
        f"retention.bytes={limits[1]} your answer is {answer!r}. "
        + _hint(segments, limits, answer, right)
    )


def _hint(
    segments: Sequence[SegmentFacts], limits: tuple[int, int], answer: object, right: int
) -> str:
    if type(answer) is not int or not 0 <= answer <= len(segments):
        return "The answer is a number: how many of the oldest segments go."
    if limits == (-1, -1):
        return "-1 means: no limit."
    if answer > right:
        stays = segments[right]
        if right == len(segments) - 1 and stays.size_bytes == 0:
            return "The active segment is empty: there is nothing in it to delete."
        too_old = 0 <= limits[0] < _NOW_MS - stays.youngest_ms
        if not too_old and limits[1] < 0:
            return "One that is not too old stays, and keeps everything behind it (no gaps)."
        return "By size only what is too much *as a whole* goes: more is kept, never less."
    goes = segments[answer]
    if answer == len(segments) - 1:
        return "The active segment may go too: the broker begins a new one first."
    if 0 <= limits[0] < _NOW_MS - goes.youngest_ms:
        return "The next one is too old as well: its youngest record is past the limit."
    return "Without the next one at least the limit is still there: an exact fit is enough."


PART = Part(
    "retention",
    "03",
    "how many of the oldest segments go",
    "retention(segments, retention_ms, retention_bytes, now_ms) -> count",
    retention,
    _exam,
)
