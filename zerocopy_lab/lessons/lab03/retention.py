"""Lab 03: what retention deletes, when, and what is kept longer than one thinks.

Three months of real flights are given timestamps that end now, so that "30 days" means something.
The broker that BROKER names has them, and its limits are really set; a copy of the files is looked
at with limits moved back and forth and nothing deleted (`segments_under`). What should go is told
by the oracle of this lab's part, which is none of the broker's code.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.kept_parts import is_kept
from zerocopy_lab.classroom.lab import KAFKA, Lab
from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.classroom.subject import Subject, about
from zerocopy_lab.conformance.retention import SegmentFacts, by_trying
from zerocopy_lab.inspect.segment_info import SegmentInfo, segments_of
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.lessons.lab03.retention_exercises import (
    disk_question,
    oldest_question,
)
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.pictures.segment_map import segment_map
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.running.topic_admin import alter_topic, create_topic

__all__ = ["create_topic", "disk_question", "oldest_question"]

TOPIC, OLD_TOPIC = "flights", "old-flights"
DAY_MS = 86_400_000
RETENTION_DAYS = 30
_SETTLE_S = 30
_SMALL_BATCHES = {"batch.size": 16 << 10, "linger.ms": 5}
_BEHIND_IT = 8000
"""Flights behind one message from the future: more than one segment holds."""


def looks_every_second(which: str) -> dict[str, str]:
    """Settings with which a broker looks after its logs every second; ours does so anyway."""
    if which != KAFKA:
        return {}
    return {"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "1000"}


class FilledLog(NamedTuple):
    """A filled partition: its directory `live` belongs to a broker, `copy` is for looking."""

    live: Path
    copy: Path
    now_ms: int  # when the last flight left, by its shifted timestamp
    sent: int
    written_by: Subject


def fill(broker: RunningBroker, lab: Lab) -> FilledLog:
    """Three months of flights into a topic without limits."""
    now_ms = time.time_ns() // 1_000_000
    events = flight_events.flight_events()[:: 2 if lab.fast else 1]
    unlimited = {
        "segment.bytes": str(1 << 20),  # the least that a Kafka 4 takes
        "segment.ms": str(1000 * DAY_MS),
        "retention.ms": "-1",
        "file.delete.delay.ms": "1000",
    }
    create_topic(broker.bootstrap, TOPIC, settings=unlimited)
    _produce_with_times(broker.bootstrap, TOPIC, events, ends_ms=now_ms)
    live = broker.data_dir / f"{TOPIC}-0"
    copy = broker.data_dir.with_name("copy") / live.name
    return FilledLog(live, copy, now_ms, len(events), about(broker))


def _produce_with_times(
    bootstrap: str, topic: str, events: Sequence[bytes], ends_ms: int | None
) -> None:
    """Sends events with their moment of departure as the timestamp, shifted to end at `ends_ms`."""
    from confluent_kafka import Producer

    shift_ms = 0 if ends_ms is None else ends_ms - departed_ms(events[-1])
    producer = Producer({"bootstrap.servers": bootstrap, **_SMALL_BATCHES})
    for event in events:
        timestamp_ms = departed_ms(event) + shift_ms
        flight_events.enqueue(producer, topic, event, partition=0, timestamp=timestamp_ms)
    flight_events.flush(producer)


def departed_ms(event: bytes) -> int:
    """When a flight left, in milliseconds since 1970."""
    return int(datetime.fromisoformat(json.loads(event)["departed"]).timestamp() * 1000)


# Looking, with nothing deleted


def segments_under(log: FilledLog, retention_ms: int, retention_bytes: int) -> list[SegmentInfo]:
    """What this kit's rule says of every segment under these limits (-1: no limit)."""
    if not log.copy.exists():  # the broker has stopped: its files are complete
        shutil.copytree(log.live, log.copy)
    logs = LogDirectories.open([log.copy.parent])
    try:
        limits = {"retention.ms": str(retention_ms), "retention.bytes": str(retention_bytes)}
        logs.alter_settings(TOPIC, limits)
        return segments_of(logs.find(TOPIC, 0), log.now_ms)
    finally:
        logs.close()


def limits_picture(log: FilledLog, days: int, kib: int) -> Picture:
    """The timeline under both limits; 0 stands for "no limit", as a slider has no -1."""
    retention_ms, retention_bytes = _limits(days, kib)
    segments = segments_under(log, retention_ms, retention_bytes)
    gone = sum(segment.deletable for segment in segments)
    return segment_map(
        segments,
        now_ms=log.now_ms,
        retention_ms=retention_ms,
        retention_bytes=retention_bytes,
        origin=Origin("COUNTED", describe_host().text()),
        title=f"{gone} of {len(segments)} segments may go, the oldest first",
    )


def limits_words(log: FilledLog, days: int, kib: int) -> str:
    """The conclusion under that picture."""
    segments = segments_under(log, *_limits(days, kib))
    kept = [segment for segment in segments if not segment.deletable]
    oldest_days = (log.now_ms - kept[0].first_ms) / DAY_MS if kept else 0.0
    return (
        f"{len(segments) - len(kept)} of {len(segments)} segments may go. What stays goes back "
        f"{oldest_days:.1f} days and has {byte_count(sum(s.size_bytes for s in kept))}."
    )


def _limits(days: int, kib: int) -> tuple[int, int]:
    return (days * DAY_MS or -1, kib << 10 or -1)


def a_size_worth_setting(log: FilledLog) -> int:
    """retention.bytes for the live broker: 2.5 of the newest segments, in whole KiB."""
    sizes = [s.size_bytes for s in segments_under(log, -1, -1)]
    return (sum(sizes[-3:]) - sizes[-3] // 2) >> 10 << 10


# The live broker


class Left(NamedTuple):
    """What a broker has left after a limit was set, from its files and through a client."""

    gone: tuple[int, ...]  # base offsets of the segments that are no longer there
    kept: tuple[int, ...]
    expected_gone: tuple[int, ...]  # by the part's oracle, and not by the broker
    kept_bytes: int
    oldest_offset: int  # the log start, as a client is told
    end_offset: int
    oldest_age_days: float  # of the first message that a client gets
    readable: int  # messages that a client gets
    young_enough: int  # messages that no limit allows to delete
    active_survives: bool

    @property
    def follows_the_rule(self) -> bool | None:
        """Whether exactly those segments went that had to; None where none had to."""
        if self.gone != self.expected_gone:
            return False
        return True if self.gone else None


def set_limit(log: FilledLog, bootstrap: str, *, retention_ms: int, retention_bytes: int) -> Left:
    """Sets both limits, waits until the broker has followed, and looks.

    It waits for the files that the rule expects, for at most 30 s: a broker that deletes others
    instead is seen by what it left.
    """
    there = _bases(log.live)
    before = [s for s in segments_under(log, -1, -1) if s.base_offset in there]
    limits = {"retention.ms": str(retention_ms), "retention.bytes": str(retention_bytes)}
    expected = expected_gone(before, log.now_ms, retention_ms, retention_bytes)
    alter_topic(bootstrap, TOPIC, limits)
    _wait_for(bootstrap, log.live, before, expected)
    kept = sorted(_bases(log.live))
    ages_ms = _ages_ms(bootstrap, log.now_ms)
    start, end = _watermarks(bootstrap)
    had_to_stay = [s for s in before if s.base_offset not in expected]
    return Left(
        gone=tuple(s.base_offset for s in before if s.base_offset not in kept),
        kept=tuple(kept),
        expected_gone=expected,
        kept_bytes=sum(path.stat().st_size for path in log.live.glob("*.log")),
        oldest_offset=start,
        end_offset=end,
        oldest_age_days=ages_ms[0] / DAY_MS if ages_ms else 0.0,
        readable=len(ages_ms),
        young_enough=sum(s.next_offset - s.base_offset for s in had_to_stay),
        active_survives=bool(before) and before[-1].base_offset in kept,
    )


def expected_gone(
    segments: Sequence[SegmentInfo], now_ms: int, retention_ms: int, retention_bytes: int
) -> tuple[int, ...]:
    """Base offsets of the segments that should go, by the plainest way to the answer."""
    facts = [SegmentFacts(s.base_offset, s.size_bytes, s.largest_ms) for s in segments]
    count = by_trying(facts, retention_ms, retention_bytes, now_ms)
    return tuple(segment.base_offset for segment in segments[:count])


def _wait_for(
    bootstrap: str, directory: Path, before: Sequence[SegmentInfo], expected: Sequence[int]
) -> None:
    """Until of these segments exactly the expected ones have gone, or more than those and the log
    begins where the files do; for at most 30 s.
    """
    all_of_them = {segment.base_offset for segment in before}
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline:
        there = _bases(directory)
        gone = all_of_them - there
        if gone == set(expected):
            return
        if gone > set(expected) and there and _watermarks(bootstrap)[0] == min(there):
            return
        time.sleep(0.05)


def _bases(directory: Path) -> set[int]:
    return {int(path.stem) for path in directory.glob("*.log")}


def _watermarks(bootstrap: str, topic: str = TOPIC) -> tuple[int, int]:
    """The first offset that a client may read, and the one behind the last."""
    from confluent_kafka import OFFSET_END, TopicPartition

    consumer = flight_events.assigned_consumer(bootstrap, topic, OFFSET_END)  # to fetch nothing
    try:
        start, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        return start, end
    finally:
        consumer.close()


def _ages_ms(bootstrap: str, now_ms: int) -> list[int]:
    """How old every message is that a client gets, from the first on."""
    from confluent_kafka import OFFSET_BEGINNING

    config = {"enable.partition.eof": True}
    consumer = flight_events.assigned_consumer(bootstrap, TOPIC, OFFSET_BEGINNING, config)
    ages: list[int] = []
    try:
        while message := consumer.poll(20):
            if message.error():
                return ages  # the end of the partition
            ages.append(now_ms - message.timestamp()[1])
        raise flight_events.NotDelivered(f"{TOPIC}: no end after {len(ages)} messages")
    finally:
        consumer.close()


def load_old_flights(bootstrap: str, topic: str = OLD_TOPIC) -> tuple[int, int]:
    """Loads flights of 2013, with their own timestamps, into a new topic that keeps 7 days; how
    many were sent, and how many are left once the broker has looked after its logs (or after 30 s).

    It may look while the last ones are still under way, so some being gone is not the end.
    """
    create_topic(bootstrap, topic, settings={"retention.ms": str(7 * DAY_MS)})
    events = flight_events.flight_events()[:1000]
    _produce_with_times(bootstrap, topic, events, ends_ms=None)
    deadline = time.monotonic() + _SETTLE_S
    while (start := _watermarks(bootstrap, topic)[0]) < len(events) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(events), len(events) - start


def old_answer(left: int) -> tuple[int | None, str]:
    """The number of the notebook's choice, or why nobody can tell yet."""
    if left == 0:
        return 2, ""
    return None, f"{left:,} were still there after {_SETTLE_S} s: for how long, nobody saw."


def behind_the_future(bootstrap: str, topic: str) -> tuple[int, int]:
    """Flights of 2013 into a topic whose first message is from the future: how many messages it
    has then, and how many are left after the broker has looked after all its logs.
    """
    _produce_with_times(bootstrap, topic, flight_events.flight_events()[:_BEHIND_IT], ends_ms=None)
    for number in (1, 2):  # two looks: between them lies a whole one, at every log
        load_old_flights(bootstrap, f"{OLD_TOPIC}-{number}")
    start, end = _watermarks(bootstrap, topic)
    return end, end - start


# The learner's own


def show_yours(log: FilledLog, lab: Lab) -> None:
    """The kept rule in a broker that keeps 30 days, on a copy of the files: what does it delete?"""
    if not is_kept("retention", lab.parts_dir):
        return
    limit_ms = RETENTION_DAYS * DAY_MS
    before = segments_under(log, -1, -1)
    expected = expected_gone(before, log.now_ms, limit_ms, -1)
    with ScratchDirectory("03-yours") as scratch:
        directory = shutil.copytree(log.copy, scratch.path / log.copy.name)
        settings = {"log.retention.ms": str(limit_ms)}
        with RunningBroker(scratch.path, parts=lab.parts_dir, settings=settings) as broker:
            _wait_for(broker.bootstrap, directory, before, expected)
            gone = {s.base_offset for s in before} - _bases(directory)
            complaint = "" if gone == set(expected) else broker.log_tail()
    told = f"With a limit of {RETENTION_DAYS} days {_segments(gone)} went, of {len(before)}."
    right = "As it should be." if not complaint else f"By the rule {len(expected)}. {complaint}"
    box("good" if not complaint else "bad", "Your rule in a broker", [told, right])


# The verdict


def invariants(log: FilledLog, by_time: Left, by_size: Left) -> dict[str, bool]:
    """What has to hold whatever a broker deletes."""
    both = (by_time, by_size)
    stored = sum(s.next_offset - s.base_offset for s in segments_under(log, -1, -1))
    return {
        "before any limit everything that was sent is in the files": stored == log.sent,
        "a client is told the first offset that is left": all(
            left.oldest_offset == left.kept[0] for left in both
        ),
        "a client gets every message that is left": all(
            left.readable == left.end_offset - left.oldest_offset for left in both
        ),
    }


def findings(log: FilledLog, by_time: Left, by_size: Left, retention_bytes: int) -> list[Finding]:
    """What this lab says about S4: both limits work, and both are lower bounds."""
    days, bytes_left = by_time.oldest_age_days, by_size.kept_bytes
    limits = (
        (
            by_time,
            Aspect("S4", log.written_by, "by time"),
            Quantity("limit", RETENTION_DAYS, "days"),
            Quantity("oldest message left", days, "days"),
            f"the oldest message left is {days:.1f} days old",
        ),
        (
            by_size,
            Aspect("S4", log.written_by, "by size"),
            Quantity("limit", retention_bytes, "bytes"),
            Quantity("left", bytes_left, "bytes"),
            f"{bytes_left:,} bytes are left",
        ),
    )
    return [
        aspect.counted(
            left.follows_the_rule,
            f"With a limit of {limit.value:,} {limit.unit} {_in_words(left)}, and {told}.",
            Quantity("segments deleted", len(left.gone)),
            Quantity("by the rule", len(left.expected_gone)),
            rest,
            limit,
        )
        for left, aspect, limit, rest, told in limits
    ]


def _in_words(left: Left) -> str:
    """What went, and how that differs from the rule."""
    lost = left.young_enough - left.readable
    if left.follows_the_rule is None:
        return "no segment had to go and none went"
    if left.follows_the_rule:
        return f"{_segments(left.gone)} went, just those that the rule takes"
    told = f"{_segments(left.gone)} went where the rule takes {len(left.expected_gone)}"
    if left.gone and not left.active_survives:
        told += ", the active one among them"
    return told + (f", with {lost:,} messages that had to stay" if lost > 0 else "")


def _segments(gone: Sequence[int] | set[int]) -> str:
    return f"{len(gone)} segment{'' if len(gone) == 1 else 's'}"
