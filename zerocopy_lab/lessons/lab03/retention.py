"""Lab 03: what retention deletes, when, and what is kept longer than one thinks.

Three months of real flights are given timestamps that end now, so that "30 days" means something.
One copy of the files is looked at with limits moved back and forth and nothing deleted
(`segments_under`); the other belongs to a live broker whose limits are really set.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.evidence import Evidence, Finding, Quantity, Verdict, finding
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.inspect.segment_info import SegmentInfo, segments_of
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.lessons.lab03.retention_exercises import (
    EXERCISES,
    deleted_by_rule,
    disk_question,
    oldest_question,
)
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.pictures.segment_map import segment_map
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import scratch_directory
from zerocopy_lab.running.topic_admin import alter_topic, create_topic

__all__ = ["EXERCISES", "disk_question", "oldest_question"]

TOPIC, OLD_TOPIC = "flights", "old-flights"
DAY_MS = 86_400_000
RETENTION_DAYS = 30
_SETTLE_S = 30
_SMALL_BATCHES = {"batch.size": 16 << 10, "linger.ms": 5}

AGE_QUESTION = (
    f"retention.ms is set to {RETENTION_DAYS} days. How old is the oldest message that is left?"
)
AGE_CHOICES = (f"{RETENTION_DAYS} days at most", f"more than {RETENTION_DAYS} days")
SIZE_QUESTION = "retention.bytes is set to less than what there is. How much is left?"
SIZE_CHOICES = ("that much at most", "more than that")
OLD_QUESTION = (
    "A topic keeps messages for 7 days. Today you load a file of old flights into it. How long do "
    "they stay?"
)
OLD_CHOICES = (
    "7 days from now",
    "until somebody looks, some seconds or minutes",
    "for ever, they are too old to be counted",
)


class FilledLog(NamedTuple):
    """The files of a filled partition, twice: `live` for a broker, `copy` for looking."""

    root: Path
    now_ms: int  # when the last flight left, by its shifted timestamp

    @property
    def live(self) -> Path:
        """The data directory for the broker."""
        return self.root / "live"

    @property
    def copy(self) -> Path:
        """The same, as it was before any limit."""
        return self.root / "copy"


def fill(lab: Lab) -> FilledLog:
    """Three months of flights into a topic without limits; the broker is stopped afterwards."""
    log = FilledLog(scratch_directory("03"), time.time_ns() // 1_000_000)
    events = flight_events.flight_events()[:: 6 if lab.fast else 1]
    unlimited = {
        "segment.bytes": str((256 << 10) if lab.fast else (1 << 20)),
        "segment.ms": str(1000 * DAY_MS),
        "retention.ms": "-1",
        "file.delete.delay.ms": "1000",
    }
    with RunningBroker(log.live) as broker:
        create_topic(broker.bootstrap, TOPIC, settings=unlimited)
        _produce_with_times(broker.bootstrap, TOPIC, events, ends_ms=log.now_ms)
    shutil.copytree(log.live, log.copy)
    return log


def _produce_with_times(
    bootstrap: str, topic: str, events: Sequence[bytes], ends_ms: int | None
) -> None:
    """Sends events with their moment of departure as the timestamp, shifted to end at `ends_ms`."""
    from confluent_kafka import Producer

    shift_ms = 0 if ends_ms is None else ends_ms - departed_ms(events[-1])
    producer = Producer({"bootstrap.servers": bootstrap, **_SMALL_BATCHES})
    for event in events:
        timestamp_ms = departed_ms(event) + shift_ms
        while True:
            try:
                producer.produce(topic, event, partition=0, timestamp=timestamp_ms)
                break
            except BufferError:
                producer.poll(1)
    if left := producer.flush(60):
        raise flight_events.NotDelivered(f"{left} of {len(events)} were not stored within 60 s")


def departed_ms(event: bytes) -> int:
    """When a flight left, in milliseconds since 1970."""
    return int(datetime.fromisoformat(json.loads(event)["departed"]).timestamp() * 1000)


# Looking, with nothing deleted


def segments_under(log: FilledLog, retention_ms: int, retention_bytes: int) -> list[SegmentInfo]:
    """What the broker's own rule says of every segment under these limits (-1: no limit)."""
    logs = LogDirectories.open([log.copy])
    try:
        limits = {"retention.ms": str(retention_ms), "retention.bytes": str(retention_bytes)}
        logs.alter_settings(TOPIC, limits)
        return segments_of(logs.find(TOPIC, 0), log.now_ms)
    finally:
        logs.close()


def limits_picture(log: FilledLog, days: int, kib: int) -> Picture:
    """The timeline under both limits; 0 stands for "no limit", as a slider has no -1."""
    retention_ms, retention_bytes = _limits(days, kib)
    return segment_map(
        segments_under(log, retention_ms, retention_bytes),
        now_ms=log.now_ms,
        retention_ms=retention_ms,
        retention_bytes=retention_bytes,
        origin=Origin("COUNTED", describe_host().text()),
    )


def limits_words(log: FilledLog, days: int, kib: int) -> str:
    """The conclusion under that picture."""
    segments = segments_under(log, *_limits(days, kib))
    kept = [segment for segment in segments if not segment.deletable]
    oldest_days = (log.now_ms - kept[0].first_ms) / DAY_MS
    return (
        f"{len(segments) - len(kept)} of {len(segments)} segments may go. What stays goes back "
        f"{oldest_days:.1f} days and has {byte_count(sum(s.size_bytes for s in kept))}."
    )


def _limits(days: int, kib: int) -> tuple[int, int]:
    return (days * DAY_MS or -1, kib << 10 or -1)


def a_size_worth_setting(log: FilledLog) -> int:
    """retention.bytes for the live broker: 3.5 of the newest segments, in whole KiB."""
    sizes = [s.size_bytes for s in segments_under(log, -1, -1)]
    return (sum(sizes[-4:]) - sizes[-4] // 2) >> 10 << 10


# The live broker


class Left(NamedTuple):
    """What a live broker has left after a limit was set, from its files and through a client."""

    gone: tuple[int, ...]  # base offsets of the segments that are no longer there
    kept: tuple[int, ...]
    expected_gone: tuple[int, ...]  # by the rule, worked out here and not in the broker
    kept_bytes: int
    oldest_offset: int  # the log start, as a client is told
    oldest_age_days: float  # of the first message that a client gets
    readable: int  # messages that a client gets
    young_enough: int  # messages that no limit allows to delete
    active_survives: bool


def set_limit(log: FilledLog, bootstrap: str, *, retention_ms: int, retention_bytes: int) -> Left:
    """Sets both limits, waits until the broker has followed, and looks.

    It waits for the files that the rule expects, for at most 30 s: a broker that deletes others
    instead is seen by what it left.
    """
    directory = log.live / f"{TOPIC}-0"
    all_of_them = segments_under(log, -1, -1)
    before = [s for s in all_of_them if s.base_offset in _bases(directory)]
    expected = deleted_by_rule(before, log.now_ms, retention_ms, retention_bytes)
    limits = {"retention.ms": str(retention_ms), "retention.bytes": str(retention_bytes)}
    alter_topic(bootstrap, TOPIC, limits)
    deadline = time.monotonic() + _SETTLE_S
    wanted = {segment.base_offset for segment in before} - set(expected)
    while _bases(directory) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    kept = sorted(_bases(directory))
    ages_ms = _ages_ms(bootstrap, log.now_ms)
    kept_by_rule = [s for s in before if s.base_offset not in expected]
    return Left(
        gone=tuple(s.base_offset for s in before if s.base_offset not in kept),
        kept=tuple(kept),
        expected_gone=tuple(expected),
        kept_bytes=sum(path.stat().st_size for path in directory.glob("*.log")),
        oldest_offset=_log_start(bootstrap),
        oldest_age_days=ages_ms[0] / DAY_MS if ages_ms else 0.0,
        readable=len(ages_ms),
        young_enough=sum(s.next_offset - s.base_offset for s in kept_by_rule),
        active_survives=before[-1].base_offset in kept,
    )


def _bases(directory: Path) -> set[int]:
    return {int(path.stem) for path in directory.glob("*.log")}


def _log_start(bootstrap: str, topic: str = TOPIC) -> int:
    """The first offset that a client may read."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look"})
    try:
        start: int = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[0]
        return start
    finally:
        consumer.close()


def _ages_ms(bootstrap: str, now_ms: int) -> list[int]:
    """How old every message is that a client gets, from the first on."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "look", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
    ages: list[int] = []
    try:
        while message := consumer.poll(20):
            if message.error():
                return ages  # the end of the partition
            ages.append(now_ms - message.timestamp()[1])
        raise flight_events.NotDelivered(f"{TOPIC}: no end after {len(ages)} messages")
    finally:
        consumer.close()


def load_old_flights(bootstrap: str) -> tuple[int, int]:
    """Loads old flights, with their own timestamps, into a topic that keeps 7 days; returns how
    many were sent, and how many are left once the broker has looked after its logs (or after 30 s).

    It may look while the last ones are still under way, so some being gone is not the end.
    """
    create_topic(bootstrap, OLD_TOPIC, settings={"retention.ms": str(7 * DAY_MS)})
    events = flight_events.flight_events()[:1000]
    _produce_with_times(bootstrap, OLD_TOPIC, events, ends_ms=None)
    deadline = time.monotonic() + _SETTLE_S
    while (left := len(events) - _log_start(bootstrap, OLD_TOPIC)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(events), left


# The verdict


def invariants(by_time: Left, by_size: Left) -> dict[str, bool]:
    """What has to hold on every machine."""
    both = (by_time, by_size)
    return {
        "the segments that went are exactly those of the rule": all(
            left.gone == left.expected_gone for left in both
        ),
        "the active segment stayed": all(left.active_survives for left in both),
        "no message went that had to stay": all(
            left.readable >= left.young_enough for left in both
        ),
        "a client is told the first offset that is left": all(
            left.oldest_offset == left.kept[0] for left in both
        ),
    }


def findings(by_time: Left, by_size: Left, retention_bytes: int) -> list[Finding]:
    """What this lab says about S4: both limits work, and both are lower bounds."""
    return [
        finding(
            "S4",
            Verdict.SUPPORTED if by_time.gone else Verdict.CONTRADICTED,
            Evidence.COUNTED,
            f"With a limit of {RETENTION_DAYS} days, {_segments(by_time.gone)} went, and the "
            f"oldest message left is {by_time.oldest_age_days:.1f} days old: whole segments go, "
            "once their youngest message is too old.",
            Quantity("segments deleted", len(by_time.gone)),
            Quantity("oldest message left", by_time.oldest_age_days, "days"),
            Quantity("limit", RETENTION_DAYS, "days"),
            part="by time",
        ),
        finding(
            "S4",
            Verdict.SUPPORTED if by_size.gone else Verdict.CONTRADICTED,
            Evidence.COUNTED,
            f"With a limit of {retention_bytes:,} bytes, {_segments(by_size.gone)} went and "
            f"{by_size.kept_bytes:,} bytes are left: only what is too much as a whole goes.",
            Quantity("segments deleted", len(by_size.gone)),
            Quantity("left", by_size.kept_bytes, "bytes"),
            Quantity("limit", retention_bytes, "bytes"),
            part="by size",
        ),
    ]


def _segments(gone: Sequence[int]) -> str:
    return f"{len(gone)} segment{'' if len(gone) == 1 else 's'}"
