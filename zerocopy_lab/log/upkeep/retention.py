"""Which segments may go, oldest first, and why the others stay.

| reason | a segment may go when |
|---|---|
| start offset | the next segment begins at or before the log start offset (DeleteRecords) |
| time | its largest timestamp (without any: the file's) is older than retention.ms |
| size | what is more than retention.bytes is at least the whole of it |

Time and size count only where cleanup.policy has delete.

Only whole segments go, in order, without gaps: the first that must stay keeps all behind it. So a
log always keeps somewhat more than it was asked to. The active segment stays; if even its last
record is too old, the log is rolled first. Source: Kafka's `UnifiedLog.deleteOldSegments`.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from operator import attrgetter
from typing import NamedTuple
from weakref import WeakKeyDictionary

from zerocopy_lab.log.atomic_file import passes
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.plain_words import byte_count, duration
from zerocopy_lab.records.fields import time_in_words

_LOGGER = logging.getLogger(__name__)
_ACTIVE = "active: records are written to it"
NO_LIE_MS = (
    3_600_000  # two clocks may differ by that (the default of message.timestamp.after.max.ms)
)
_BEHIND = "behind a segment that stays"


class Judgement(NamedTuple):
    """What retention says of a segment."""

    segment: Segment
    active: bool
    deletable: bool
    why: str


def retain(log: PartitionLog, now_ms: int) -> None:
    """Delete the segments that may go. Raises OSError, and why the log is offline."""
    with log.staying():
        verdicts = judge(log.segments, log.settings, log.log_start_offset, now_ms)
        old = list(takewhile(attrgetter("deletable"), verdicts))
        if _rule is not None and log.settings.deletes:
            old = _by_rule(_rule, log, old, now_ms)
        for verdict in old:
            _LOGGER.info("%s goes: %s", verdict.segment.path, verdict.why)
        count = len(old)
        if old and count == len(log.segments):
            try:
                log.roll()
            except OSError as error:
                if not passes(error) or count == 1:
                    raise
                count -= 1  # no room for a new segment: the active one stays until there is
        if count:
            log.drop_oldest(count, now_ms)
        _warn_of_the_future(log, now_ms)


_FROM_THE_FUTURE: WeakKeyDictionary[PartitionLog, int] = WeakKeyDictionary()
"""The base offset of the segment that was last warned about: each is named once."""


def _warn_of_the_future(log: PartitionLog, now_ms: int) -> None:
    """A record whose clock was wrong by years keeps its segment, and all behind it, for as long."""
    oldest = log.segments[0]
    if len(log.segments) == 1 or not log.settings.deletes or log.settings.retention_ms < 0:
        return
    newest_ms = oldest.last_change_ms()
    if newest_ms <= now_ms + NO_LIE_MS or _FROM_THE_FUTURE.get(log) == oldest.base_offset:
        return
    _FROM_THE_FUTURE[log] = oldest.base_offset
    _LOGGER.warning(
        "%s has a record from the future, of %s: retention.ms will not delete it, nor what lies "
        "behind it, before then. DeleteRecords does; message.timestamp.after.max.ms=%d refuses "
        "more than that today",
        oldest.path,
        time_in_words(newest_ms),
        log.settings.message_timestamp_after_max_ms,
    )


Rule = Callable[[Sequence[tuple[int, int, int]], int, int, int], int]
"""Base offset, bytes and youngest millisecond of each segment, both limits, now: how many go."""

_rule: Rule | None = None


def seat_rule(rule: Rule) -> None:
    """For this whole process: let this function decide what time and size take away.

    `serve --parts` seats a learner's function, which must never ask for more than `judge` does.
    """
    global _rule
    _rule = rule


def _by_rule(rule: Rule, log: PartitionLog, old: list[Judgement], now_ms: int) -> list[Judgement]:
    """Those before the log start offset, and of the others as many as the rule says."""
    bases = [segment.base_offset for segment in log.segments[1:]]
    deleted = bisect_right(bases, log.log_start_offset)
    rest = log.segments[deleted:]
    facts = [(each.base_offset, each.size_bytes, each.last_change_ms()) for each in rest]
    limits = log.settings.retention_ms, log.settings.retention_bytes
    return old[: deleted + rule(facts, *limits, now_ms)]


def judge(
    segments: Sequence[Segment], settings: TopicSettings, log_start_offset: int, now_ms: int
) -> Iterator[Judgement]:
    """A verdict on every segment, oldest first; the deletable ones come before all others. Raises
    OSError.
    """
    excess_bytes = sum(segment.size_bytes for segment in segments) - settings.retention_bytes
    keeps_rest = False
    for number, segment in enumerate(segments):
        is_active = number + 1 == len(segments)
        next_offset = None if is_active else segments[number + 1].base_offset
        why = _why_deletable(segment, next_offset, settings, log_start_offset, excess_bytes, now_ms)
        if keeps_rest:
            yield Judgement(segment, is_active, False, _ACTIVE if is_active else _BEHIND)
        elif why and not (is_active and not segment.size_bytes):
            excess_bytes -= segment.size_bytes
            yield Judgement(segment, is_active, True, why)
        else:
            keeps_rest = True
            yield Judgement(
                segment, is_active, False, _why_kept(segment, is_active, settings, excess_bytes)
            )


def _why_deletable(
    segment: Segment,
    next_offset: int | None,
    settings: TopicSettings,
    log_start_offset: int,
    excess_bytes: int,
    now_ms: int,
) -> str:
    if next_offset is not None and next_offset <= log_start_offset:
        return f"all its records lie before the log start offset {log_start_offset}"
    if not settings.deletes:
        return ""
    if next_offset is not None and not segment.size_bytes:
        return "it is empty: compaction took all its records"
    if settings.retention_ms >= 0:
        age_ms = now_ms - segment.last_change_ms()
        if age_ms > settings.retention_ms:
            limit = f"{duration(settings.retention_ms)} (retention.ms={settings.retention_ms})"
            return f"youngest record {duration(age_ms)} old, limit {limit}"
    if settings.retention_bytes >= 0 and excess_bytes >= max(segment.size_bytes, 1):
        limit_bytes = settings.retention_bytes
        limit = f"{byte_count(limit_bytes)} (retention.bytes={limit_bytes})"
        return f"{byte_count(excess_bytes)} too many, limit {limit}"
    return ""


def _why_kept(segment: Segment, is_active: bool, settings: TopicSettings, excess_bytes: int) -> str:
    if is_active:
        return _ACTIVE
    if not settings.deletes:
        return "cleanup.policy=compact: kept, but compacted"
    if settings.retention_bytes >= 0 and 0 < excess_bytes < segment.size_bytes:
        too_many, all_of_it = byte_count(excess_bytes), byte_count(segment.size_bytes)
        return f"only {too_many} of its {all_of_it} are too many"
    return "young enough, and the log is small enough"
