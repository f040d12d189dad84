"""Lab 03: its own statement of the rule against the broker's, its exercises, its sabotage."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerocopy_lab.classroom.evidence import Likeness, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.subject import THIS_BROKER, kafka_here
from zerocopy_lab.conformance.retention import SegmentFacts, by_trying
from zerocopy_lab.lessons.lab03 import retention as lesson
from zerocopy_lab.lessons.lab03.retention import DAY_MS, FilledLog, Left
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker

NOW_MS = 2_000_000_000_000
MESSAGES = 90 * 24 // 3
LEFT = Left((0, 10), (20, 30), (0, 10), 900, 20, 35, 31.5, 15, 15, True)
LOG = FilledLog(Path(), Path(), NOW_MS, 35, THIS_BROKER)


@pytest.fixture(params=[1, 2, 3, 4])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(lab_entry("03"), True, request.param, tmp_path, True)


def ninety_days(root: Path, now_ms: int) -> FilledLog:
    """Ninety days in segments of some days each, as the lab's own broker would leave them."""
    live = root / "live" / f"{lesson.TOPIC}-0"
    filled = FilledLog(live, root / "copy" / live.name, now_ms, MESSAGES, THIS_BROKER)
    logs = LogDirectories.open([live.parent], clock_ms=lambda: now_ms)
    unlimited = {"retention.ms": "-1", "segment.bytes": "5000", "segment.ms": str(1000 * DAY_MS)}
    logs.create_topic(lesson.TOPIC, 1, unlimited)
    for hours in range(90 * 24, 0, -3):
        record = Record(0, now_ms - hours * DAY_MS // 24, None, b"x" * 50, ())
        logs.find(lesson.TOPIC, 0).append(memoryview(bytearray(build_batch([record]))))
    logs.close()
    return filled


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> FilledLog:
    return ninety_days(tmp_path_factory.mktemp("lab03"), NOW_MS)


@settings(max_examples=25, deadline=None)
@given(days=st.integers(0, 95), kib=st.integers(0, 100))
def test_the_lab_and_the_broker_agree_on_the_rule(log: FilledLog, days: int, kib: int) -> None:
    retention_ms, retention_bytes = days * DAY_MS, kib << 10 or -1
    told = lesson.segments_under(log, retention_ms, retention_bytes)
    expected = lesson.expected_gone(told, NOW_MS, retention_ms, retention_bytes)
    assert tuple(s.base_offset for s in told if s.deletable) == expected


def test_looking_deletes_nothing(log: FilledLog) -> None:
    there = sorted(log.live.glob("*.log"))
    assert all(s.deletable for s in lesson.segments_under(log, 10 * DAY_MS, -1)[:5])
    assert [path.name for path in there] == [p.name for p in sorted(log.copy.glob("*.log"))]
    assert sorted(log.live.glob("*.log")) == there
    assert not any(s.deletable for s in lesson.segments_under(log, -1, -1))


def test_the_picture_and_the_words_of_two_limits(log: FilledLog) -> None:
    picture = lesson.limits_picture(log, 45, 0)
    assert f"retention.ms {45 * DAY_MS}" in picture.alt
    assert "days old" in picture.alt
    assert "segments may go" in lesson.limits_words(log, 45, 0)
    assert lesson.limits_words(log, 0, 0).startswith("0 of ")


def test_the_size_that_is_set_cuts_a_segment_in_two(log: FilledLog) -> None:
    limit_bytes = lesson.a_size_worth_setting(log)
    told = lesson.segments_under(log, -1, limit_bytes)
    kept_bytes = sum(s.size_bytes for s in told if not s.deletable)
    assert any(s.deletable for s in told)
    assert kept_bytes > limit_bytes


TAKES_THE_ACTIVE_ONE = '''\
"""Python imports this module by itself at its start: in every broker, a limit takes everything."""

import sys

if "serve" in sys.orig_argv:
    from zerocopy_lab.log.upkeep import retention

    ours = retention.judge

    def judge(segments, settings, log_start_offset, now_ms):
        for each in ours(segments, settings, log_start_offset, now_ms):
            goes = settings.retention_ms >= 0 and each.segment.size_bytes > 0
            yield each._replace(deletable=goes)

    retention.judge = judge
'''


@pytest.mark.parametrize("sabotage", [False, True])
def test_a_broker_that_takes_the_active_segment_gets_a_verdict_and_no_error(
    sabotage: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sabotage:
        (tmp_path / "sitecustomize.py").write_text(TAKES_THE_ACTIVE_ONE)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    filled = ninety_days(tmp_path, time.time_ns() // 1_000_000)
    with RunningBroker(filled.live.parent) as broker:
        by_time, by_size = (
            lesson.set_limit(filled, broker.bootstrap, retention_ms=ms, retention_bytes=size)
            for ms, size in ((30 * DAY_MS, -1), (-1, lesson.a_size_worth_setting(filled)))
        )
    assert all(lesson.invariants(filled, by_time, by_size).values())
    found = lesson.findings(filled, by_time, by_size, 1)[0]
    assert found.verdict is (Likeness.DOES_OTHERWISE if sabotage else Likeness.DOES_SO)
    assert ("the active one among them" in found.words) is sabotage


def test_old_flights_are_given_the_time_to_go_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker looks while they are loaded: the first ones go, the last ones at its next look."""
    starts = iter([0, 80, 80, 1000])
    for name in ("create_topic", "_produce_with_times"):
        monkeypatch.setattr(lesson, name, lambda *_, **__: None)
    monkeypatch.setattr(lesson, "_watermarks", lambda *_: (next(starts), 1000))
    assert lesson.load_old_flights("nowhere") == (1000, 0)
    assert lesson.old_answer(0) == (2, "")


def test_old_flights_that_stay_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("create_topic", "_produce_with_times"):
        monkeypatch.setattr(lesson, name, lambda *_, **__: None)
    monkeypatch.setattr(lesson, "_watermarks", lambda *_: (80, 1000))
    monkeypatch.setattr(lesson, "_SETTLE_S", 0.1)
    assert lesson.load_old_flights("nowhere") == (1000, 920)
    assert lesson.old_answer(920)[0] is None


def test_a_sound_broker_is_an_illustration_and_a_sound_kafka_a_verdict() -> None:
    found = lesson.findings(LOG, LEFT, LEFT, 800)
    assert [f.verdict for f in found] == [Likeness.DOES_SO] * 2
    assert "31.5 days" in found[0].words
    of_kafka = lesson.findings(LOG._replace(written_by=kafka_here("4.2.0")), LEFT, LEFT, 800)
    assert [f.verdict for f in of_kafka] == [Verdict.SUPPORTED] * 2


@pytest.mark.parametrize(
    ("sabotage", "words"),
    [
        ({"gone": (0, 10, 20, 30), "active_survives": False, "readable": 0}, "the active one"),
        ({"gone": (0, 10, 20), "kept": (30,), "readable": 5}, "10 messages that had to stay"),
        ({"gone": ()}, "0 segments went where the rule takes 2"),
    ],
)
def test_a_broker_that_deletes_otherwise_is_told_so_in_a_verdict(
    sabotage: dict[str, Any], words: str
) -> None:
    kafkas = LOG._replace(written_by=kafka_here("4.2.0"))
    otherwise = LEFT._replace(**sabotage)
    by_time, by_size, *_ = lesson.findings(kafkas, otherwise, otherwise, 800)
    assert by_time.verdict is by_size.verdict is Verdict.CONTRADICTED
    assert words in by_time.words


def test_where_nothing_had_to_go_nothing_was_shown() -> None:
    idle = LEFT._replace(gone=(), expected_gone=())
    assert lesson.findings(LOG, idle, LEFT, 800)[0].verdict is Likeness.UNCLEAR


@pytest.mark.parametrize(
    ("odd", "broken"),
    [
        ({"readable": 14}, "a client gets every message that is left"),
        ({"oldest_offset": 0, "readable": 35}, "a client is told the first offset that is left"),
    ],
)
def test_what_no_broker_may_do_breaks_an_invariant(
    odd: dict[str, Any], broken: str, log: FilledLog
) -> None:
    assert all(lesson.invariants(log, LEFT, LEFT).values())
    assert not lesson.invariants(log, LEFT._replace(**odd), LEFT)[broken]


# -- exercises -------------------------------------------------------------------------------------


def state_and_hint(exercise_id: str, answer: Any, lab: Lab) -> tuple[State, str]:
    grade, _ = grade_of(exercise_of(exercise_id), answer, lab)
    return grade.state, grade.words


@pytest.mark.parametrize("exercise_id", ["03.1", "03.2", "03.3"])
def test_a_stub_is_not_attempted_and_nonsense_fails(exercise_id: str, lab: Lab) -> None:
    stub = (lambda *_: None) if exercise_id == "03.1" else None
    assert state_and_hint(exercise_id, stub, lab)[0] is State.NOT_ATTEMPTED
    assert state_and_hint(exercise_id, "nonsense", lab)[0] is State.FAILED


def my_rule(segments: Any, retention_ms: int, retention_bytes: int, now_ms: int) -> int:
    """As the stored solution."""
    excess_bytes = sum(segment.size_bytes for segment in segments) - retention_bytes
    for number, segment in enumerate(segments):
        too_old = retention_ms >= 0 and now_ms - segment.youngest_ms > retention_ms
        too_much = retention_bytes >= 0 and excess_bytes >= segment.size_bytes
        if segment.size_bytes == 0 or not (too_old or too_much):
            return number
        excess_bytes -= segment.size_bytes
    return len(segments)


def test_all_five_go_when_even_the_active_one_is_too_old(lab: Lab) -> None:
    """retention.ms=0, the youngest record 20 s old: the broker rolls, and all of them go."""
    ages_ms = (820_000, 620_000, 420_000, 220_000, 20_000)
    five = [SegmentFacts(100 * n, 2000, NOW_MS - age) for n, age in enumerate(ages_ms)]
    assert by_trying(five, 0, -1, NOW_MS) == my_rule(five, 0, -1, NOW_MS) == 5
    assert state_and_hint("03.1", my_rule, lab)[0] is State.PASSED


def spares_the_active_one(segments: Any, *limits: int) -> int:
    return min(my_rule(segments, *limits), len(segments) - 1)


def leaves_gaps(segments: Any, retention_ms: int, retention_bytes: int, now_ms: int) -> int:
    return sum(0 <= retention_ms < now_ms - segment.youngest_ms for segment in segments)


def list_of_bases(segments: Any, *limits: int) -> list[int]:
    return [segment.base_offset for segment in segments[: my_rule(segments, *limits)]]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (spares_the_active_one, "The active segment may go too"),
        (leaves_gaps, "your answer is"),
        (list_of_bases, "The answer is a number"),
    ],
)
def test_a_typical_mistake_fails(answer: Any, hint: str, lab: Lab) -> None:
    state, words = state_and_hint("03.1", answer, lab)
    assert state is State.FAILED
    assert hint in words


def test_how_old_a_message_becomes(lab: Lab) -> None:
    q = lesson.oldest_question(lab)
    assert q.segment_mib / q.mib_a_day > q.segment_days
    assert state_and_hint("03.2", q.retention_days + q.segment_days, lab)[0] is State.PASSED
    assert "may" in state_and_hint("03.2", q.retention_days, lab)[1]
    filled = q.retention_days + q.segment_mib / q.mib_a_day
    state, hint = state_and_hint("03.2", filled, lab)
    assert state is State.FAILED
    assert "segment.ms" in hint


def test_how_much_disk_it_takes(lab: Lab) -> None:
    partitions, retention_mib, segment_mib = lesson.disk_question(lab)
    right = partitions * (retention_mib + segment_mib)
    assert state_and_hint("03.3", right, lab)[0] is State.PASSED
    assert "at least" in state_and_hint("03.3", partitions * retention_mib, lab)[1]
    assert "each partition" in state_and_hint("03.3", retention_mib, lab)[1]
    assert state_and_hint("03.3", 1, lab)[0] is State.FAILED
