"""Lab 04 tells copies from calls, whatever the figures are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.labs.outcomes import outcome_of
from zerocopy_lab.classroom.evidence import Verdict
from zerocopy_lab.lessons.lab04 import traditional_path
from zerocopy_lab.lessons.lab04.traditional_path import DeviceReads
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker


def outcome(small: float, large: float, same_chunk: float, direct: float) -> Outcome:
    """CPU seconds per GiB, three rounds with a little noise."""
    costs = {"4 KiB": small, "1 MiB": large, "sendfile, 4 KiB": same_chunk, "sendfile": direct}
    noises = {"4 KiB": (1.0, 1.05, 0.95), "sendfile, 4 KiB": (1.0, 0.95, 1.05)}
    return outcome_of(
        {
            name: [{"broker_cpu_s": cost * each} for each in noises.get(name, (1.0, 1.0, 1.0))]
            for name, cost in costs.items()
        }
    )


@pytest.mark.parametrize(
    ("costs", "verdict", "answer"),
    [
        ((2.0, 0.3, 1.6, 0.2), Verdict.CONTRADICTED, "little: it was the calls"),
        ((2.0, 1.9, 0.4, 0.2), Verdict.SUPPORTED, "nearly all of it: it is the copies"),
        ((2.0, 1.1, 1.1, 0.2), Verdict.INCONCLUSIVE, "about half"),
    ],
)
def test_copies_and_calls_are_told_apart(
    costs: tuple[float, float, float, float], verdict: Verdict, answer: str
) -> None:
    measured = outcome(*costs)
    found = {each.part: each for each in traditional_path.findings("not counted", measured)}
    assert found["what the loop loses, it loses to copies"].verdict is verdict
    assert traditional_path.worth_answer(traditional_path.share_of_calls(measured)) == answer


@pytest.mark.parametrize(
    ("loop", "direct", "verdict"),
    [
        ((90, 100, 95), (10, 12, 11), Verdict.SUPPORTED),
        ((1, 2, 1), (400, 450, 430), Verdict.CONTRADICTED),
        ((10, 50, 30), (20, 40, 30), Verdict.INCONCLUSIVE),
    ],
)
def test_switches_are_judged_by_their_counts(
    loop: tuple[int, ...], direct: tuple[int, ...], verdict: Verdict
) -> None:
    cost = {"broker_cpu_s": 1.0}
    figures = {
        "4 KiB": [{**cost, "broker_switches": float(each)} for each in loop],
        "1 MiB": [cost] * 3,
        "sendfile, 4 KiB": [cost] * 3,
        "sendfile": [{"broker_cpu_s": 0.5, "broker_switches": float(each)} for each in direct],
    }
    found = {each.part: each for each in traditional_path.findings("x", outcome_of(figures))}
    assert found["it switches context again and again"].verdict is verdict


@pytest.mark.parametrize(
    ("reads", "verdict"),
    [
        (DeviceReads(1 << 20, 0, 1 << 20), Verdict.CONTRADICTED),
        (DeviceReads(1 << 20, 1 << 20, 1 << 20), Verdict.INCONCLUSIVE),
        (DeviceReads(1 << 20, 0, 0), Verdict.INCONCLUSIVE),  # the eviction did nothing
        ("it is on tmpfs", Verdict.NOT_TESTABLE),
    ],
)
def test_the_disks_move_is_judged_by_the_device_bytes(
    reads: DeviceReads | str, verdict: Verdict
) -> None:
    found = traditional_path.findings(reads, outcome(2.0, 0.3, 1.6, 0.2))
    [moves] = [each for each in found if each.part == "every byte is moved four times"]
    assert moves.verdict is verdict


def test_device_reads_of_a_real_broker(tmp_path: Path) -> None:
    with RunningBroker(tmp_path) as broker:
        flight_events.produce(
            broker.bootstrap, traditional_path.TOPIC, flight_events.repeated(9000)
        )
    reads = traditional_path.device_reads(tmp_path)
    if isinstance(reads, DeviceReads):
        assert reads.warm_bytes == 0
        assert reads.cold_bytes >= reads.log_bytes // 2
    else:
        assert reads, "a reason"


def test_what_could_not_be_counted_is_shown_as_recorded() -> None:
    words = traditional_path.ledger_words("it is on tmpfs")
    assert "could not be counted here: it is on tmpfs Recorded on " in words
    assert "after an eviction" in words
    [moves] = traditional_path.findings("it is on tmpfs", outcome(2.0, 0.3, 1.6, 0.2))[:1]
    assert (moves.verdict, moves.words) == (Verdict.NOT_TESTABLE, words)
