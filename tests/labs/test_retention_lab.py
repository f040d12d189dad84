"""Lab 03: its own statement of the rule against the broker's, its exercises, its sabotage."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerocopy_lab.classroom.evidence import Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.inspect.segment_info import SegmentInfo
from zerocopy_lab.lessons.lab03 import retention as lesson
from zerocopy_lab.lessons.lab03.retention import DAY_MS, FilledLog, Left
from zerocopy_lab.lessons.lab03.retention_exercises import deleted_by_rule, rule_cases
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.record import Record, build_batch

NOW_MS = 2_000_000_000_000
LEFT = Left((0, 10), (20, 30), (0, 10), 900, 20, 31.5, 15, 15, True)


@pytest.fixture(params=[1, 2, 3, 4])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(lab_entry("03"), True, request.param, tmp_path, True)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> FilledLog:
    """Ninety days in segments of some days each, as the lab's own broker would leave them."""
    filled = FilledLog(tmp_path_factory.mktemp("lab03"), NOW_MS)
    logs = LogDirectories.open([filled.copy], clock_ms=lambda: NOW_MS)
    unlimited = {"retention.ms": "-1", "segment.bytes": "5000", "segment.ms": str(1000 * DAY_MS)}
    logs.create_topic(lesson.TOPIC, 1, unlimited)
    for hours in range(90 * 24, 0, -3):
        record = Record(0, NOW_MS - hours * DAY_MS // 24, None, b"x" * 50, ())
        logs.find(lesson.TOPIC, 0).append(memoryview(bytearray(build_batch([record]))))
    logs.close()
    return filled


@settings(max_examples=25, deadline=None)
@given(days=st.integers(1, 95), kib=st.integers(0, 100))
def test_the_lab_and_the_broker_agree_on_the_rule(log: FilledLog, days: int, kib: int) -> None:
    retention_ms, retention_bytes = days * DAY_MS, kib << 10 or -1
    told = lesson.segments_under(log, retention_ms, retention_bytes)
    expected = deleted_by_rule(told, NOW_MS, retention_ms, retention_bytes)
    assert [s.base_offset for s in told if s.deletable] == expected


def test_looking_deletes_nothing(log: FilledLog) -> None:
    before = sorted(log.copy.rglob("*.log"))
    assert all(s.deletable for s in lesson.segments_under(log, 10 * DAY_MS, -1)[:5])
    assert sorted(log.copy.rglob("*.log")) == before
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


def test_old_flights_are_given_the_time_to_go_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker looks while they are loaded: the first ones go, the last ones at its next look."""
    starts = iter([0, 80, 80, 1000])
    for name in ("create_topic", "_produce_with_times"):
        monkeypatch.setattr(lesson, name, lambda *_, **__: None)
    monkeypatch.setattr(lesson, "_log_start", lambda *_: next(starts))
    assert lesson.load_old_flights("nowhere") == (1000, 0)


def test_old_flights_that_stay_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("create_topic", "_produce_with_times"):
        monkeypatch.setattr(lesson, name, lambda *_, **__: None)
    monkeypatch.setattr(lesson, "_log_start", lambda *_: 80)
    monkeypatch.setattr(lesson, "_SETTLE_S", 0.1)
    assert lesson.load_old_flights("nowhere") == (1000, 920)


def test_a_sound_broker_supports_both_parts() -> None:
    assert all(lesson.invariants(LEFT, LEFT).values())
    found = lesson.findings(LEFT, LEFT, 800)
    assert [f.verdict for f in found] == [Verdict.SUPPORTED] * 2
    assert "31.5 days" in found[0].words


@pytest.mark.parametrize(
    ("sabotage", "broken"),
    [
        ({"active_survives": False}, "the active segment stayed"),
        ({"gone": (0, 10, 20), "kept": (30,)}, "the segments that went are exactly those"),
        ({"gone": ()}, "the segments that went are exactly those"),
        ({"readable": 14}, "no message went that had to stay"),
        ({"oldest_offset": 0}, "a client is told the first offset that is left"),
    ],
)
def test_a_broker_that_deletes_otherwise_breaks_an_invariant(
    sabotage: dict[str, Any], broken: str
) -> None:
    invariants = lesson.invariants(LEFT._replace(**sabotage), LEFT)
    assert any(name.startswith(broken) and not holds for name, holds in invariants.items())


def test_a_limit_without_effect_contradicts_its_part() -> None:
    idle = LEFT._replace(gone=(), expected_gone=())
    assert lesson.findings(idle, LEFT, 800)[0].verdict is Verdict.CONTRADICTED
    assert lesson.findings(LEFT, idle, 800)[1].verdict is Verdict.CONTRADICTED


def state_and_hint(exercise_id: str, answer: Any, lab: Lab) -> tuple[State, str]:
    grade, _ = grade_of(exercise_of(exercise_id), answer, lab)
    return grade.state, grade.words


@pytest.mark.parametrize("exercise_id", ["03.1", "03.2", "03.3"])
def test_a_stub_is_not_attempted_and_nonsense_fails(exercise_id: str, lab: Lab) -> None:
    stub = (lambda *_: None) if exercise_id == "03.1" else None
    assert state_and_hint(exercise_id, stub, lab)[0] is State.NOT_ATTEMPTED
    assert state_and_hint(exercise_id, "nonsense", lab)[0] is State.FAILED


def test_the_rule_itself_passes(lab: Lab) -> None:
    assert state_and_hint("03.1", deleted_by_rule, lab)[0] is State.PASSED


def wrong_rule(
    segments: list[SegmentInfo], now_ms: int, retention_ms: int, retention_bytes: int, mistake: str
) -> list[int]:
    """The rule with one typical mistake."""
    excess = sum(s.size_bytes for s in segments) - retention_bytes
    gone = []
    for s in segments if mistake == "active" else segments[:-1]:
        age_ms = now_ms - (s.first_ms if mistake == "first" else s.largest_ms)
        old = (retention_ms >= 0 or mistake == "no limit") and age_ms > retention_ms
        much = excess > 0 if mistake == "part" else excess >= s.size_bytes
        if mistake == "more than":
            much = excess > s.size_bytes
        if old or (retention_bytes >= 0 and much):
            gone.append(s.base_offset)
            excess -= s.size_bytes
        elif mistake != "gaps":
            break
    return gone


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ("no limit", "no limit"),
        ("first", "youngest"),
        ("gaps", "without gaps"),
        ("active", "active"),
        ("part", "as a whole"),
        ("more than", "exactly one segment"),
    ],
)
def test_every_typical_mistake_has_its_hint(mistake: str, hint: str, lab: Lab) -> None:
    answer = partial(wrong_rule, mistake=mistake)
    state, words = state_and_hint("03.1", answer, lab)
    assert state is State.FAILED
    assert hint in words


def test_the_last_case_needs_both_limits(lab: Lab) -> None:
    case = rule_cases(lab)[-1]
    both = deleted_by_rule(case.segments, 1_000_000, case.retention_ms, case.retention_bytes)
    by_time = deleted_by_rule(case.segments, 1_000_000, case.retention_ms, -1)
    assert len(both) > len(by_time) > 0


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
