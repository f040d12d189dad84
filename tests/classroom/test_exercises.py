from __future__ import annotations

from typing import Any

import pytest

from tests.classroom.conftest import LabMaker
from zerocopy_lab.classroom import exercises
from zerocopy_lab.classroom.exercises import (
    Exercise,
    Grade,
    NotPassed,
    State,
    check,
    failed,
    grade_of,
    passed,
)


def grade_even(answer: Any, lab: object) -> Grade:
    return passed("An even one.") if answer % 2 == 0 else failed("Halve it: what is left over?")


EVEN = Exercise("77.1", "Name an even number.", grade_even)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "exercises_of", lambda lab_id: (EVEN,))


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, State.NOT_ATTEMPTED),
        (..., State.NOT_ATTEMPTED),
        (4, State.PASSED),
        (3, State.FAILED),
        ("four", State.FAILED),  # the grading raises TypeError: shown, never raised
    ],
)
def test_every_answer_has_a_state(start: LabMaker, answer: object, state: State) -> None:
    lab = start()
    assert check("77.1", answer) is state
    assert lab.exercises == {"77.1": str(state)}


def test_a_failed_answer_is_told_its_hint(
    start: LabMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    start()
    check("77.1", 3)
    assert "Halve it: what is left over?" in capsys.readouterr().out


def test_an_exception_of_the_learner_is_shown_with_its_traceback(start: LabMaker) -> None:
    grade, trace = grade_of(EVEN, "four", start())
    assert "TypeError" in grade.words
    assert any("grade_even" in line for line in trace)


def test_check_raises_only_when_asked_to(start: LabMaker) -> None:
    start()
    with pytest.raises(NotPassed, match="Halve it"):
        check("77.1", 3, raising=True)
    assert check("77.1", 4, raising=True) is State.PASSED


def test_an_unknown_exercise_is_a_mistake_of_the_lab(start: LabMaker) -> None:
    start()
    with pytest.raises(KeyError, match=r"no exercise '77\.9'; this lab has 77\.1"):
        check("77.9", 1)
