"""Lab 07: its exercises, its counts and costs from made-up values, and its producers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from zerocopy_lab.classroom.evidence import Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.subject import THIS_BROKER
from zerocopy_lab.conformance import accumulator as part
from zerocopy_lab.conformance.accumulator import (
    ProducerLimits,
    WaitingRecord,
    accumulator,
    simulated,
)
from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import examine
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab07 import batching as lesson
from zerocopy_lab.lessons.lab07 import batching_exercises, costs, counts, frontier, race
from zerocopy_lab.lessons.lab07.costs import Costs, Load
from zerocopy_lab.lessons.lab07.counts import Counts
from zerocopy_lab.lessons.lab07.frontier import SeenSetting
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker

CASES = 10_000
ALONE = Counts(100, 100, 200, 100, 101, 210, 100, 25_870)
COMPANY = Counts(1, 1, 2, 2, 3, 8, 1, 19_867)
QUICK = {
    name: SeenSetting((2e-6, 2.1e-6, 2e-6), (10.0, 11.0, 12.0)) for name in frontier.SETTINGS
} | {"one by one": SeenSetting((1e-4, 1.1e-4, 1e-4), (0.2, 0.2, 0.3))}


def made_up(*, batch: float, byte: float, message: float) -> Costs:
    """What a broker with exactly these costs (seconds) would have shown."""
    loads = costs.loads(100)
    seen = {
        name: tuple(
            load.times * (batch + byte * len(load.batch) + message * load.messages) * noise
            for noise in (1.0, 1.01, 0.99)
        )
        for name, load in loads.items()
    }
    return Costs(loads, seen)


@pytest.fixture(params=[1, 2, 3, 4, 5])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(lab_entry("07"), True, request.param, tmp_path / "07", True)


def state_and_hint(exercise_id: str, answer: Any, lab: Lab) -> tuple[State, str]:
    grade, trace = grade_of(exercise_of(exercise_id), answer, lab)
    assert trace == []
    return grade.state, grade.words


# -- the accumulator -------------------------------------------------------------------------------


def at_once(
    waiting: Sequence[WaitingRecord], in_flight: int, linger: float, size: int, most: int, _: Any
) -> int:
    """Ignores linger.ms."""
    return accumulator(waiting, in_flight, 0, size, most, 1e9)


def never_full(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    linger: float,
    size: int,
    most: int,
    now: float,
) -> int:
    """Waits for linger.ms though the batch is full."""
    due = bool(waiting) and now - waiting[0].arrived_ms >= linger
    return accumulator(waiting, in_flight, linger, size, most, now) if due else 0


def everything(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    linger: float,
    size: int,
    most: int,
    now: float,
) -> int:
    """Ignores batch.size when it sends."""
    return len(waiting) if accumulator(waiting, in_flight, linger, size, most, now) else 0


def impatient(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    linger: float,
    size: int,
    most: int,
    now: float,
) -> int:
    """Ignores what is in flight."""
    return accumulator(waiting, 0, linger, size, most, now)


def one_by_one(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    linger: float,
    size: int,
    most: int,
    now: float,
) -> int:
    return min(accumulator(waiting, in_flight, linger, size, most, now), 1)


def test_no_right_accumulator_fails() -> None:
    draw = random.Random(3)
    for _ in range(CASES):
        waiting, in_flight, limits, now_ms = part.drawn_moment(draw)
        answer = accumulator(waiting, in_flight, *limits, now_ms)
        assert answer == part.by_trying(waiting, in_flight, limits, now_ms)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (at_once, "has not waited for linger.ms"),
        (never_full, "whatever linger.ms says"),
        (everything, "more than fits"),
        (impatient, "wait for an answer"),
        (one_by_one, "take as many as fit"),
        (lambda *_: 7, "how many of the oldest"),
        (lambda *_: True, "how many of the oldest"),
        (lambda waiting, *_: waiting.clear() or 0, "changed the list"),
    ],
)
def test_a_wrong_accumulator_is_told_what_is_wrong(wrong: Any, hint: str) -> None:
    found = [examine(part.PART, lambda: wrong, seed=seed) for seed in range(8)]
    assert not any(each.passed for each in found)
    assert any(hint in each.words for each in found)


def test_one_that_never_sends_is_found_in_simulated_time() -> None:
    with pytest.raises(NotConforming, match="never sent"):
        simulated(lambda *_: 0, [WaitingRecord(1, 0.0)], ProducerLimits(5, 100, 1), 1.0)
    with pytest.raises(NotConforming, match="in flight"):
        simulated(impatient, [WaitingRecord(100, 0.0)] * 2, ProducerLimits(0, 100, 1), 1.0)


def test_simulated_time_by_hand() -> None:
    """Two fit; the third waits for its linger, the fourth for an answer."""
    coming = [
        WaitingRecord(50, 0.0),
        WaitingRecord(50, 1.0),
        WaitingRecord(50, 2.0),
        WaitingRecord(100, 8.0),
    ]
    sent = simulated(accumulator, coming, ProducerLimits(5, 100, 1), 4.0)
    assert [(batch.at_ms, batch.records) for batch in sent] == [(1.0, 2), (7.0, 1), (11.0, 1)]


# -- exercises -------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise_id", ["07.1", "07.2", "07.3"])
def test_a_stub_is_not_attempted(exercise_id: str, lab: Lab) -> None:
    assert state_and_hint(exercise_id, None, lab)[0] is State.NOT_ATTEMPTED


def test_the_accumulator_exercise(lab: Lab) -> None:
    assert state_and_hint("07.1", accumulator, lab)[0] is State.PASSED
    assert state_and_hint("07.1", at_once, lab)[0] is State.FAILED


def test_messages_together(lab: Lab) -> None:
    gap, size, linger, batch = stream = batching_exercises.stream_question(lab)
    right = min(linger // gap + 1, batch // size)
    assert state_and_hint("07.2", right, lab)[0] is State.PASSED
    assert state_and_hint("07.2", right + 1, lab)[0] is State.FAILED
    for wrong, hint in ((linger // gap, "the first message too"), (batch // size, "So many fit")):
        if wrong != right:
            assert hint in state_and_hint("07.2", wrong, lab)[1] or stream.batch_bytes == 1000


def test_where_bytes_cost_as_much_as_the_batch(lab: Lab) -> None:
    batch_us, byte_ns, size = batching_exercises.costs_question(lab)
    right = batch_us * 1000 / (byte_ns * size)
    for answer in (right, round(right), int(right) + 1):
        assert state_and_hint("07.3", answer, lab)[0] is State.PASSED
    assert "How many messages" in state_and_hint("07.3", right * size, lab)[1]
    assert state_and_hint("07.3", right * 3, lab)[0] is State.FAILED
    assert state_and_hint("07.3", "many", lab)[0] is State.FAILED


# -- verdicts --------------------------------------------------------------------------------------


def verdicts(
    alone: Counts = ALONE,
    company: Counts = COMPANY,
    spent: Costs | Unmeasured | None = None,
    found: dict[str, SeenSetting] = QUICK,
) -> dict[str, Any]:
    seen = spent or made_up(batch=4e-5, byte=2e-9, message=0)
    return {f.part: f.verdict for f in lesson.findings(THIS_BROKER, alone, company, seen, found)}


def test_what_is_right_is_supported() -> None:
    found = verdicts()
    assert found.pop(lesson.OF_ITS_OWN) is Verdict.INCONCLUSIVE
    assert set(found.values()) == {Verdict.SUPPORTED}


def test_a_producer_that_ignores_batches_contradicts() -> None:
    found = verdicts(company=ALONE)
    assert {found[part] for part in (lesson.CLIENT, lesson.BROKER, lesson.PACKETS)} == {
        Verdict.CONTRADICTED
    }
    assert found[lesson.COST] is Verdict.SUPPORTED


def test_a_linger_that_is_ignored_gains_nothing() -> None:
    slow = dict.fromkeys(QUICK, QUICK["one by one"])
    usual, found = verdicts(), verdicts(found=slow)
    changed = {part: found[part] for part in found if found[part] != usual[part]}
    assert changed == {lesson.GAIN: Verdict.INCONCLUSIVE}


def test_a_broker_that_looks_at_each_message() -> None:
    looks = made_up(batch=4e-5, byte=2e-9, message=5e-6)
    assert verdicts(spent=looks)[lesson.OF_ITS_OWN] is Verdict.CONTRADICTED
    only_messages = made_up(batch=0, byte=0, message=5e-6)
    assert verdicts(spent=only_messages)[lesson.COST] is not Verdict.SUPPORTED


def test_what_was_not_counted_is_no_verdict() -> None:
    why = Unmeasured("no perf and no strace")
    blind = ALONE._replace(
        client_sends=why, client_receives=why, broker_sends=why, broker_receives=why, segments=why
    )
    found = verdicts(blind, blind, Unmeasured("it runs elsewhere"))
    assert [found[part] for part in (lesson.CLIENT, lesson.BROKER, lesson.PACKETS)] == [
        Verdict.NOT_TESTABLE
    ] * 3
    assert found[lesson.COST] is Verdict.NOT_TESTABLE
    assert costs.cost_answer(Unmeasured("")) is None
    assert "it runs elsewhere" in costs.costs_words(Unmeasured("it runs elsewhere"))


# -- costs -----------------------------------------------------------------------------------------


def test_the_three_costs_come_out_of_the_loads() -> None:
    seen = made_up(batch=4e-5, byte=2e-9, message=1e-6)
    assert costs.per_byte_s(seen).median == pytest.approx(2e-9, rel=0.1)
    assert costs.per_message_s(seen).median == pytest.approx(1e-6, rel=0.1)
    assert costs.per_batch_s(seen).median == pytest.approx(4e-5, rel=0.1)
    assert "comes out" in costs.costs_words(seen)


def test_a_sum_that_does_not_come_out_is_said() -> None:
    seen = made_up(batch=4e-5, byte=2e-9, message=0)
    seen.cpu_s[costs.LARGE] = tuple(cpu_s * 4 for cpu_s in seen.cpu_s[costs.LARGE])
    assert "does not come out, such a batch is dearer" in costs.costs_words(seen)


def test_loads_differ_in_one_thing_each() -> None:
    loads: dict[str, Load] = costs.loads(100)
    assert len(loads[costs.LARGE].batch) == len(loads[costs.COMPANY].batch)
    assert loads[costs.SMALL].messages == loads[costs.LARGE].messages == 1
    assert loads[costs.COMPANY].messages == costs.TOGETHER


# -- frontier and widget ---------------------------------------------------------------------------


def test_a_longer_linger_is_a_longer_wait_and_fewer_batches() -> None:
    unmeasured = Unmeasured("elsewhere")
    points = [frontier.computed(unmeasured, linger, 1024, 1000) for linger in (0, 5, 20, 100)]
    waits = [point.latency_ms.median for point in points]
    rates = [point.messages_per_s for point in points]
    assert waits == sorted(waits)
    assert rates == sorted(rates)
    words = frontier.draw_frontier_words(unmeasured, 20, 1024, 1000)
    assert "linger.ms=20" in words


def test_compression_gains_with_company() -> None:
    for curve in frontier._compression():
        ratios = [value.median for _, value in curve.points]
        assert ratios[0] > 1  # a message alone becomes larger, whatever the codec
        assert ratios[-1] < ratios[0]


# -- producers -------------------------------------------------------------------------------------


def test_an_accumulated_stream_arrives_whole(tmp_path: Path) -> None:
    arriving = part.drawn_arrivals(random.Random(2), 200, 0.3)
    events = list(flight_events.repeated(200))
    with RunningBroker(tmp_path / "data") as broker:
        run = race.send_accumulated(broker, events, arriving, accumulator)
        alone = race.send_accumulated(broker, events, arriving, one_by_one)
        counted = counts._in_the_log(broker, "none")
    assert run.unchanged
    assert alone.unchanged
    assert run.batches < alone.batches == 200
    assert run.latency_ms.n == 200
    assert counted == (0, 0)


def test_a_clock_too_coarse_for_one_batch_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "cpu_seconds", lambda _: 7.0)
    with RunningBroker() as broker:
        seen = costs.measure(broker, Lab(lab_entry("07"), True, 1, tmp_path / "07", True))
    assert isinstance(seen, Unmeasured)
    assert "too coarsely" in seen.reason
