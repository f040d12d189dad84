"""check(): what an answer to an exercise is worth, said in words that help.

    check("05.2", my_answer)
    hint("05.2")                 one of three, each says more than the one before

An exercise lives in its lab's lesson (`lessons/`) as a question and a grading function, or as the
name of a part, whose exam then decides; the notebook holds only the id and the learner's answer.
The states are those of `State`. A stub (None, or a function that returns None) is "not
attempted", never an error, so that an untouched notebook runs through from top to bottom.

Grading happens in a child with a time limit (`conformance.child`): an answer that never ends, takes
all memory, exits or raises whatever it likes is a failed answer and shown with its traceback. A
value is made plain first (`conformance.plain_values`), so that nobody's `__eq__` is asked whether
it is right. `check` does not raise; `raising=True`, for graders and tests, raises NotPassed for
everything that has not passed.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from zerocopy_lab.classroom.lab import Lab, running_lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.notebook_output import box, evidence_bundle
from zerocopy_lab.classroom.part_source import NoSource, source_of
from zerocopy_lab.conformance.child import in_a_child
from zerocopy_lab.conformance.part import NotBegun, examine
from zerocopy_lab.conformance.parts import part
from zerocopy_lab.conformance.plain_values import NotPlain, plain

_LIMIT_S = 10.0
_LONGEST_ANSWER = 20_000
VALUE, CODE, NOTHING = "value", "code", "nothing"
CODE_NAME = "answer"
"""What a function that was an answer is called in the source that is kept of it."""


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
    """An exercise: its id ("05.2"), what it asks, and what an answer (never None) is worth.

    `grade` is given the answer in plain builtin types, with `takes_code` a function as it is.
    """

    id: str
    asks: str
    grade: Callable[[Any, Lab], Grade]
    hints: tuple[str, ...] = ()
    takes_code: bool = False
    part: str = ""
    """The name of the part that the answer is to become; its exam is the grade then."""


def building(exercise_id: str, part_name: str, asks: str, hints: tuple[str, ...] = ()) -> Exercise:
    """The exercise to write a part: graded by the exam that our own part passes."""
    wanted = part(part_name)

    def grade(answer: Any, lab: Lab) -> Grade:
        if not callable(answer):
            return failed(f"The answer is a function: {wanted.shape}.")
        found = examine(wanted, lambda: answer, **lab.exam)
        if found.passed is None:
            return NOT_ATTEMPTED
        words = "\n".join([found.words, *found.trace])
        if not found.passed:
            return failed(words)
        return passed(f'{words} keep("{part_name}", ...) stores it.')

    return Exercise(exercise_id, asks, grade, hints, takes_code=True, part=part_name)


class NotPassed(AssertionError):
    """An answer that a caller wanted passed was not."""


def passed(words: str) -> Grade:
    """The answer is right; `words` say what follows from it."""
    return Grade(State.PASSED, words)


def failed(hint: str) -> Grade:
    """The answer is wrong; the hint leads on without giving the answer away."""
    return Grade(State.FAILED, hint)


NOT_ATTEMPTED = Grade(State.NOT_ATTEMPTED, "Put your answer where None is, and run it again.")


def tried(
    function: Any,
    shape: str,
    cases: Iterable[tuple[tuple[Any, ...], Any]],
    wrong: Callable[..., str | None],
    words: str,
) -> Grade:
    """The grade of a function, case by case until one goes wrong.

    A case is (arguments, right). What is not `right`, its type included, is shown to
    `wrong(said, right, *arguments)`, which returns the hint, or None where it is right all the
    same. `shape` is what a function looks like, `words` go with having passed.
    """
    if not callable(function):
        return failed(f"The answer is a function: {shape}.")
    for arguments, right in cases:
        said = function(*copy.deepcopy(arguments))
        if said is None:
            return NOT_ATTEMPTED
        if type(said) is type(right) and said == right:
            continue
        if hint_on_it := wrong(said, right, *arguments):
            return failed(hint_on_it)
    return passed(words)


def check(exercise_id: str, answer: object, *, raising: bool = False) -> State:
    """Grades the answer, shows the result and returns its state. KeyError for an unknown id."""
    lab = running_lab()
    exercise = exercise_of(exercise_id)
    grade, trace = grade_of(exercise, answer, lab)
    kind, given = as_given(answer)
    lab.record_answer(exercise_id, str(grade.state), kind, given)
    label = f"Exercise {exercise_id}: {grade.state}"
    label += f" (practice problem {lab.practice})" if lab.practice else ""
    more = [f'Stuck? hint("{exercise_id}")'] if grade.state is State.FAILED else []
    if kind == NOTHING and grade.state is State.PASSED:
        more = [f"But whoever examines it again finds nothing to examine: {given}."]
    lines = [*grade.words.splitlines(), *trace, *more]
    box(_TONES[grade.state], label, lines, carries=evidence_bundle(lab.evidence()))
    if raising and grade.state is not State.PASSED:
        raise NotPassed(f"{label}: {grade.words}")
    return grade.state


def grade_of(exercise: Exercise, answer: object, lab: Lab) -> tuple[Grade, list[str]]:
    """The grade, and the lines of the traceback if the learner's own code raised."""
    if answer is None or answer is Ellipsis:
        return NOT_ATTEMPTED, []
    if not (exercise.takes_code and callable(answer)):
        try:
            answer = plain(answer)
        except NotPlain as reason:
            return failed(f"Nobody can tell whether this is right: {reason}."), []
    if exercise.part:  # its exam has a child of its own
        return exercise.grade(answer, lab), []
    limit_s, cpu_s = lab.exam.get("limit_s") or _LIMIT_S, lab.exam.get("cpu_s")
    told = in_a_child(lambda: _graded(exercise, answer, lab), limit_s, cpu_s=cpu_s)
    if told.problem is not None:
        verb = "ended in" if told.trace else "had no end:"
        return failed(f"Checking your answer {verb} {told.problem}"), list(told.trace[-6:])
    state, words = told.value
    return Grade(State(state), words), []


def _graded(exercise: Exercise, answer: object, lab: Lab) -> tuple[str, str]:
    try:
        grade = exercise.grade(answer, lab)
    except NotBegun:
        grade = NOT_ATTEMPTED
    return str(grade.state), grade.words


def hint(exercise_id: str) -> None:
    """Shows the next hint: where to look, how to go about it, nearly the answer."""
    lab, exercise = running_lab(), exercise_of(exercise_id)
    taken = lab.take_hint(exercise_id, len(exercise.hints))
    if not exercise.hints:
        box("plain", f"Exercise {exercise_id}", ["A wrong answer is told what is wrong with it."])
        return
    label = f"Exercise {exercise_id}: hint {taken} of {len(exercise.hints)}"
    box("question", label, exercise.hints[:taken])


def as_given(answer: object) -> tuple[str, str]:
    """The answer so that it can be examined again: VALUE and its repr, CODE and a module's source
    that defines it as `answer`, or NOTHING and why there is neither.
    """
    try:
        if callable(answer):
            kind, text = CODE, source_of(answer, CODE_NAME)
        else:
            kind, text = VALUE, repr(plain(answer))
    except (NoSource, NotPlain) as reason:
        return NOTHING, str(reason)
    if len(text) > _LONGEST_ANSWER:
        return NOTHING, f"it is longer than {_LONGEST_ANSWER:,} characters"
    return kind, text


def practice(problem: int | None = None) -> None:
    """A new problem each time it is called: run an exercise's cell again, and its numbers are
    others. `practice(0)` goes back to the learner's own, which alone counts.
    """
    number = running_lab().take_problem(problem)
    again = "Run the cell of the exercise again for its numbers."
    if number:
        box("question", f"Practice problem {number}", [again, "What you answer is not noted."])
    else:
        box("plain", "Your own problem again", [again, "From now on answers count."])


def exercise_of(exercise_id: str) -> Exercise:
    """The exercise with that id; KeyError lists those of its lab."""
    there = {exercise.id: exercise for exercise in exercises_of(exercise_id.partition(".")[0])}
    if exercise_id not in there:
        raise KeyError(f"no exercise {exercise_id!r}; this lab has {', '.join(there) or 'none'}")
    return there[exercise_id]


def exercises_of(lab_id: str) -> tuple[Exercise, ...]:
    """The exercises of a lab: EXERCISES of `<topic>_exercises`, the topic being the notebook's name
    after the number; or those of a course of one's own.

    They are by themselves, because whoever examines answers needs neither pictures nor brokers.
    """
    if lab_id in OF_OTHER_COURSES:
        return OF_OTHER_COURSES[lab_id]
    topic = lab_entry(lab_id).name.partition("_")[2]
    module = importlib.import_module(f"zerocopy_lab.lessons.lab{lab_id}.{topic}_exercises")
    exercises: tuple[Exercise, ...] = module.EXERCISES
    return exercises


OF_OTHER_COURSES: dict[str, tuple[Exercise, ...]] = {}
"""By the lab's id; `own_lab` fills it."""

_TONES = {
    State.NOT_ATTEMPTED: "plain",
    State.PASSED: "good",
    State.FAILED: "bad",
    State.INCONCLUSIVE: "unsure",
    State.UNSUPPORTED: "plain",
}
