from __future__ import annotations

import itertools
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
    hint,
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


class Spoken(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def exits() -> None:
    raise SystemExit


def interrupts() -> None:
    raise KeyboardInterrupt


def cannot_be_told() -> None:
    raise Spoken


def never_ends() -> None:
    while True:
        pass


def takes_all_memory() -> list[int]:
    return list(itertools.count())


CALLS_IT = Exercise("77.1", "Write a function.", lambda f, _: passed("?") if f() else failed("!"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (exits, "ended in SystemExit"),
        (interrupts, "ended in KeyboardInterrupt"),
        (cannot_be_told, "ended in Spoken, whose message could not be had"),
        (never_ends, "had no end: it did not come back within 1 s"),
        (takes_all_memory, "ended in MemoryError"),
    ],
)
def test_whatever_a_learners_code_does_is_an_answer_and_not_an_end(
    start: LabMaker, monkeypatch: pytest.MonkeyPatch, answer: Any, told: str
) -> None:
    monkeypatch.setattr(exercises, "_LIMIT_S", 20.0 if answer is takes_all_memory else 1.0)
    grade, _ = grade_of(CALLS_IT._replace(takes_code=True), answer, start())
    assert grade.state is State.FAILED
    assert told in grade.words


def test_an_answer_that_equals_everything_is_not_asked(start: LabMaker) -> None:
    class Agreeable:
        def __eq__(self, _: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    seven = Exercise("77.1", "7?", lambda a, _: passed("!") if a == 7 else failed("?"))
    assert grade_of(seven, Agreeable(), start())[0].state is State.FAILED


def test_results_are_written_by_check_alone(start: LabMaker) -> None:
    lab = start()
    with pytest.raises(TypeError):
        lab.exercises["77.1"] = "passed"  # type: ignore[index]


def test_hints_come_one_after_the_other(
    start: LabMaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hinted = EVEN._replace(hints=("where to look", "how to go about it", "nearly the answer"))
    monkeypatch.setattr(exercises, "exercises_of", lambda lab_id: (hinted,))
    start()
    for number, words in enumerate(hinted.hints, 1):
        hint("77.1")
        told = capsys.readouterr().out
        assert f"hint {number} of 3" in told
        assert words in told
    hint("77.1")
    assert "hint 3 of 3" in capsys.readouterr().out
