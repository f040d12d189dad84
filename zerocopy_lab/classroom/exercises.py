"""check(): what an answer to an exercise is worth, said in words that help.

    check("05.2", my_answer)

An exercise lives in its lab's lesson (`lessons/`) as a question and a grading function;
the notebook holds only the id and the learner's answer. The states are those of `State`. A stub
(None, or a function that returns None) is "not attempted", never an error, so that an untouched
notebook runs through from top to bottom.

`check` does not raise: a learner's exception is a failed answer and is shown with its traceback.
`raising=True`, for graders and tests, raises NotPassed for everything that has not passed.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from zerocopy_lab.classroom.lab import Lab, running_lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.notebook_output import box


class State(StrEnum):
    """How an answer stands."""

    NOT_ATTEMPTED = "not attempted"
    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported here"


class Grade(NamedTuple):
    """A state and the words that go with it: for a failed answer, the hint."""

    state: State
    words: str


class Exercise(NamedTuple):
    """An exercise: its id ("05.2"), what it asks, and what an answer (never None) is worth."""

    id: str
    asks: str
    grade: Callable[[Any, Lab], Grade]


class NotPassed(AssertionError):
    """An answer that a caller wanted passed was not."""


def passed(words: str) -> Grade:
    """The answer is right; `words` say what follows from it."""
    return Grade(State.PASSED, words)


def failed(hint: str) -> Grade:
    """The answer is wrong; the hint leads on without giving the answer away."""
    return Grade(State.FAILED, hint)


NOT_ATTEMPTED = Grade(State.NOT_ATTEMPTED, "Put your answer where None is, and run it again.")


def check(exercise_id: str, answer: object, *, raising: bool = False) -> State:
    """Grades the answer, shows the result and returns its state. KeyError for an unknown id."""
    lab = running_lab()
    exercise = exercise_of(exercise_id)
    grade, trace = grade_of(exercise, answer, lab)
    lab.exercises[exercise_id] = str(grade.state)
    label = f"Exercise {exercise_id}: {grade.state}"
    box(_TONES[grade.state], label, [grade.words, *trace])
    if raising and grade.state is not State.PASSED:
        raise NotPassed(f"{label}: {grade.words}")
    return grade.state


def grade_of(exercise: Exercise, answer: object, lab: Lab) -> tuple[Grade, list[str]]:
    """The grade, and the lines of the traceback if the learner's own code raised."""
    if answer is None or answer is Ellipsis:
        return NOT_ATTEMPTED, []
    try:
        return exercise.grade(answer, lab), []
    except Exception as error:  # the learner's code or a value of an unexpected type
        words = f"Checking your answer ended in {type(error).__name__}: {error}"
        return failed(words), traceback.format_exc().splitlines()[-6:]


def exercise_of(exercise_id: str) -> Exercise:
    """The exercise with that id; KeyError lists those of its lab."""
    there = {exercise.id: exercise for exercise in exercises_of(exercise_id.partition(".")[0])}
    if exercise_id not in there:
        raise KeyError(f"no exercise {exercise_id!r}; this lab has {', '.join(there) or 'none'}")
    return there[exercise_id]


def exercises_of(lab_id: str) -> tuple[Exercise, ...]:
    """The exercises of a lab: EXERCISES of the lesson that is named like its notebook."""
    topic = lab_entry(lab_id).name.partition("_")[2]
    lesson = importlib.import_module(f"zerocopy_lab.lessons.lab{lab_id}.{topic}")
    exercises: tuple[Exercise, ...] = lesson.EXERCISES
    return exercises


_TONES = {
    State.NOT_ATTEMPTED: "plain",
    State.PASSED: "good",
    State.FAILED: "bad",
    State.INCONCLUSIVE: "unsure",
    State.UNSUPPORTED: "plain",
}
