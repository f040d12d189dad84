"""Lab 00: prices from known CPU times, and what it says of them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.labs.outcomes import outcome_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.lessons.lab00 import start_here as lesson
from zerocopy_lab.lessons.lab00 import start_here_exercises as exercises
from zerocopy_lab.measuring import comparison
from zerocopy_lab.measuring.calibration import AGAIN, ASK, CALL, FAR, NEAR, Calibration, prices

CALLS, COPIED_BYTES = 1_000_000, 1 << 30
CPU_S = {
    CALL: (0.05, 0.052, 0.048),
    AGAIN: (0.051, 0.05, 0.05),
    ASK: (0.25, 0.252, 0.248),  # so 200 ns a system call
    NEAR: (0.02, 0.02, 0.02),
    FAR: (0.12, 0.12, 0.12),
}


@pytest.fixture
def calibration() -> Calibration:
    figures = {name: [{"cpu_s": each} for each in cpu_s] for name, cpu_s in CPU_S.items()}
    return prices(outcome_of(figures), CALLS, COPIED_BYTES)


def test_the_prices_are_what_the_loops_differ_by(calibration: Calibration) -> None:
    assert calibration.system_call_ns.median == pytest.approx(200)
    assert calibration.near_ns_per_kib.median == pytest.approx(19.07, abs=0.01)
    assert calibration.turn_ns.median == pytest.approx(50)
    assert lesson.bracket(calibration.bytes_per_call.median) == 3
    assert "One system call takes 200 ns" in lesson.costs_words(calibration)


def test_the_same_loop_twice_is_inconclusive_and_the_kernel_is_dearer(
    calibration: Calibration, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson.show_two_verdicts(calibration)
    told = capsys.readouterr().out
    same, other = told[: told.index("With and without")], told[told.index("With and without") :]
    assert "“call it again” took 1.02 (0.962-1.04, n=3) times the CPU time" in same
    assert "The verdict: inconclusive." in same
    assert "“ask the kernel” took 5 (4.85-5.17, n=3) times the CPU time" in other
    assert "The verdict: dearer." in other


@pytest.mark.parametrize(("calls", "copies", "seconds"), [(2, 2, 0.145), (1, 0, 0.052)])
def test_a_loop_costs_its_calls_and_its_copies(
    calibration: Calibration, calls: int, copies: int, seconds: float
) -> None:
    cost = lesson.loop_seconds_per_gib(calibration, chunk_bytes=4096, calls=calls, copies=copies)
    assert cost.median == pytest.approx(seconds, abs=0.001)


# -- the exercises ---------------------------------------------------------------------------------


def test_no_verdict_is_rare_among_the_drawn_rounds() -> None:
    draw = random.Random(11)
    verdicts = [exercises.right_verdict(exercises.rounds_of(draw)) for _ in range(1000)]
    assert min(verdicts.count(word) for word in exercises.WORDS) > 100


def test_the_learners_own_rounds_overlap_and_every_verdict_occurs(
    lab_of: Callable[[str, int], Lab],
) -> None:
    verdicts = set()
    for seed in range(40):
        pairs = exercises.seven_rounds(lab_of("00", seed))
        first, second = zip(*pairs, strict=True)
        assert min(first) <= max(second)
        assert min(second) <= max(first)
        verdicts.add(exercises.right_verdict(pairs))
    assert verdicts == set(exercises.WORDS)


@pytest.mark.parametrize("p", [1 / 64, 1 / 49, 0.3, 1.0])
def test_how_often_chance_would_do_it_is_never_rounded_towards_certainty(p: float) -> None:
    words = comparison._how_often(p)
    if p == 1.0:
        assert words == "in every experiment"
    else:
        assert words == f"once in {int(1 / p + 1e-9)} experiments"
