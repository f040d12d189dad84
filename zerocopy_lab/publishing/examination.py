"""Examining answers again, between walls: a program that `grading` starts once for each student.

It reads from standard input, as JSON, answers as evidence files hold them, each with the seed of
its student and a seed that the student does not know, and says for each one line of JSON: id,
state, words. Values are compared with what the student's own seed asks for; code is examined with
numbers from the other seed, so that what was written down for the numbers in the notebook fails.

What raises, hangs, lies or takes all memory is dealt with by `conformance.child`; children cannot
look into this process, nor write what it says.
"""

from __future__ import annotations

import ast
import ctypes
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.classroom.exercises import (
    CODE,
    VALUE,
    Exercise,
    Grade,
    State,
    exercise_of,
    failed,
    grade_of,
)
from zerocopy_lab.classroom.lab import ExamTerms, Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.conformance.child import OUT_OF_TIME
from zerocopy_lab.publishing.watched_code import later

_MOST_WORDS: Final = 600
_SET_DUMPABLE: Final = 4


class Question(NamedTuple):
    """One answer to examine; the fields of the input."""

    exercise: str
    kind: str
    answer: str
    seed: int
    hidden_seed: int


LIMIT_S: Final = 60.0
"""What a clock ends is not judged: it may have been the machine. So this is generous."""


def graded_again(question: Question, cpu_s: int) -> Grade:
    """What the answer is worth, after so much of the processor's time at most. Never raises for
    the answer's sake.
    """
    exercise = exercise_of(question.exercise)
    terms = ExamTerms(seed=question.hidden_seed, limit_s=LIMIT_S, cpu_s=cpu_s)
    if question.kind == VALUE:
        return _graded_value(exercise, question, _lab(exercise, question.seed, terms))
    if question.kind != CODE:
        return Grade(State.INCONCLUSIVE, f"there is nothing to examine: {question.answer}")
    if not exercise.takes_code:
        return failed("The answer is no function.")
    return _graded_code(exercise, question, _lab(exercise, question.hidden_seed, terms))


def _graded_value(exercise: Exercise, question: Question, lab: Lab) -> Grade:
    try:
        value = ast.literal_eval(question.answer)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return failed("The answer is no value that can be read.")
    return grade_of(exercise, value, lab)[0]


def _graded_code(exercise: Exercise, question: Question, lab: Lab) -> Grade:
    with tempfile.TemporaryFile() as flag:
        answer = later(question.answer, question.exercise, flag.fileno())
        grade, _ = grade_of(exercise, answer, lab)
        flag.seek(0)
        reached_for = flag.readline().decode(errors="replace").strip()
    if reached_for:
        words = f"look at it: while it was examined it reached for {reached_for}"
        return Grade(State.INCONCLUSIVE, words)
    if OUT_OF_TIME in grade.words:
        return Grade(State.INCONCLUSIVE, f"a clock ended it, so look at it: {grade.words}")
    return grade


def _lab(exercise: Exercise, seed: int, terms: ExamTerms) -> Lab:
    entry = lab_entry(exercise.id.partition(".")[0])
    nowhere = Path(tempfile.gettempdir()) / entry.name
    return Lab(entry, True, seed, nowhere, True, exam=terms)


def main() -> None:
    """Reads the questions, says the grades."""
    if sys.platform == "linux":  # no child may look into this process: prctl(2)
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    cpu_s = int(sys.argv[1])
    for question in [Question(**each) for each in json.load(sys.stdin)]:
        grade = graded_again(question, cpu_s)
        told = {"exercise": question.exercise, "state": str(grade.state)}
        line = json.dumps({**told, "words": grade.words[:_MOST_WORDS]})
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
