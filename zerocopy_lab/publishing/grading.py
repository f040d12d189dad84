"""What a class's submissions are worth: every answer examined again, nothing taken on trust.

    reports = grade_class(submissions_in(Path("submitted")), Terms(secret="..."))

Values are held against the numbers of the student whose submission it is, so another's answers and
another's seed do not help. Code is examined with numbers drawn from a secret, so a hard-coded
answer fails; the same secret gives the same numbers again when somebody asks. What an evidence file
claims (states, points) is compared with what was found, and a difference is told. Figures that were
*measured* and are the same to the last digit in two submissions are told, too, and not judged: two
friends on one machine, or a copy; a conversation finds out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from zerocopy_lab.classroom.evidence_file import BadEvidence, is_as_written, read_evidence
from zerocopy_lab.classroom.exercises import State
from zerocopy_lab.classroom.manifest import SOLUTIONS_DIR, LabEntry, labs
from zerocopy_lab.classroom.student import seed_of
from zerocopy_lab.classroom.subject import SubjectKind
from zerocopy_lab.publishing.examination import Question
from zerocopy_lab.publishing.submissions import HandedIn, Submission
from zerocopy_lab.running.confinement import Allowance, run_confined

_EXAMINATION = ("-m", "zerocopy_lab.publishing.examination")
_RUN = ("-m", "zerocopy_lab.publishing.submission_run")


class Terms(NamedTuple):
    """How a class is graded. `one_seed`: nobody has numbers of their own, all have this seed's."""

    secret: str
    problem: int = 1
    one_seed: int | None = None
    rerun: bool = False
    """Runs notebooks again although they carry evidence."""
    limits: Allowance = Allowance(seconds=600)
    notebook_limits: Allowance = Allowance(seconds=600)
    cell_s: int = 60
    answer_cpu_s: int = 5
    """Of the processor's time, for one answer. Ours take little more than one at most."""
    walls: bool = True
    hidden: tuple[Path, ...] = ()
    """Directories that no submission may see, the solutions aside."""
    at_once: int = os.cpu_count() or 1

    def seed_for(self, student: str) -> int:
        """The seed of the numbers that this student was given."""
        if self.one_seed is not None:
            return self.one_seed
        return seed_of(student, self.problem)

    def hidden_seed_for(self, student: str, exercise_id: str) -> int:
        """What code is examined with: known to nobody who does not know the secret."""
        words = f"{student}/{exercise_id}".encode()
        return int.from_bytes(hmac.digest(self.secret.encode(), words, hashlib.sha256)[:8])


class GradedAnswer(NamedTuple):
    """One exercise: how its answer stands now, what it earns, and why."""

    state: str
    points: int
    of: int
    words: str = ""


class StudentReport(NamedTuple):
    """One student: exercise id -> grade, for all labs that count; and what a teacher should see."""

    student: str
    labs: tuple[LabEntry, ...]
    answers: Mapping[str, GradedAnswer]
    notes: tuple[str, ...]
    handed_in: Mapping[str, str]
    """Lab id -> when its evidence was written."""

    def points_in(self, entry: LabEntry) -> int:
        """What this lab earned."""
        return sum(self.answers[each].points for each in entry.exercises)

    @property
    def points(self) -> int:
        """Of all labs."""
        return sum(map(self.points_in, self.labs))

    @property
    def of(self) -> int:
        """What all labs are worth."""
        return sum(sum(entry.points.values()) for entry in self.labs)


def grade_class(
    submissions: Sequence[Submission],
    terms: Terms,
    only: Sequence[LabEntry] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> list[StudentReport]:
    """A report for each student, in their order. `only` these labs count, none: all that somebody
    handed in. `progress` is told each student who has been examined. Raises Unavailable where
    submissions cannot be shut in.
    """

    def graded(submission: Submission) -> tuple[StudentReport, dict[str, dict[str, Any]]]:
        evidence, notes = _evidence_of(submission, counted, terms)
        report = _report(submission.student, evidence, notes, counted, terms)
        progress(submission.student)
        return report, evidence

    there = {lab for each in submissions for lab in each.labs}
    counted = tuple(only) or tuple(entry for entry in labs().values() if entry.id in there)
    with ThreadPoolExecutor(terms.at_once) as pool:
        class_ = list(pool.map(graded, submissions))
    twins = _equal_measurements({report.student: evidence for report, evidence in class_})
    return [
        report._replace(notes=(*report.notes, *twins.get(report.student, ())))
        for report, _ in class_
    ]


def _evidence_of(
    submission: Submission, counted: Sequence[LabEntry], terms: Terms
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Lab id -> evidence, as handed in or after a run of the notebook; and what there is to say."""
    found, notes = {}, list(submission.notes)
    for entry in counted:
        handed_in = submission.labs.get(entry.id)
        if handed_in is None:
            continue
        evidence = handed_in.evidence
        if evidence is None or (terms.rerun and handed_in.path.suffix == ".ipynb"):
            evidence, problems = _run(handed_in, submission.student, entry, terms)
            notes += [f"{entry.id}: {problem}" for problem in problems]
        if evidence is not None:
            found[entry.id] = evidence
            notes += _what_is_odd(evidence, submission.student, entry, terms)
    others = sorted(set(submission.labs) - {entry.id for entry in labs().values()})
    notes += [f"{lab} is no lab of this kit: not examined" for lab in others]
    return found, notes


def _run(
    handed_in: HandedIn, student: str, entry: LabEntry, terms: Terms
) -> tuple[dict[str, Any] | None, list[str]]:
    asked = {
        "notebook": handed_in.notebook or handed_in.path.read_text(encoding="utf-8"),
        "lab": entry.id,
        "student": "" if terms.one_seed is not None else student,
        "problem": terms.problem if terms.one_seed is None else terms.one_seed,
        "cell_s": terms.cell_s,
    }
    given = json.dumps(asked).encode()
    hidden = (SOLUTIONS_DIR, *terms.hidden)
    ran = run_confined(_RUN, given, terms.notebook_limits, hidden, walls=terms.walls)
    if ran.problem is not None:
        return None, [f"its notebook was run: {ran.problem}"]
    try:
        told = json.loads(ran.said)
        problems = [f"its notebook was run: {str(each)[:300]}" for each in told["problems"]]
        if told["evidence"] is None:
            return None, [*problems, "its notebook was run and left no evidence"]
        return read_evidence(told["evidence"]), problems
    except (ValueError, KeyError, TypeError, BadEvidence) as error:
        return None, [f"its notebook was run, and what came of it cannot be read: {error}"]


def _what_is_odd(
    evidence: Mapping[str, Any], student: str, entry: LabEntry, terms: Terms
) -> Iterator[str]:
    if not is_as_written(evidence):
        yield f"{entry.id}: the file was changed after it was written"
    if evidence["student"] != student and terms.one_seed is None:
        yield f"{entry.id}: it says that it is {evidence['student'] or 'nobody'}'s"
    right = terms.seed_for(student)
    if any(each["seed"] != right and _is_begun(each) for each in evidence["exercises"].values()):
        yield f"{entry.id}: its numbers are not those of this student's seed"
    if unknown := sorted(set(evidence["exercises"]) - set(entry.exercises)):
        yield f"{entry.id}: there are no exercises {', '.join(unknown)[:100]}"


def _is_begun(answer: Mapping[str, Any]) -> bool:
    return bool(answer["state"] != State.NOT_ATTEMPTED)


def _report(
    student: str,
    evidence: Mapping[str, Mapping[str, Any]],
    notes: list[str],
    counted: tuple[LabEntry, ...],
    terms: Terms,
) -> StudentReport:
    questions = [
        Question(
            exercise_id,
            answer["kind"],
            answer["answer"],
            terms.seed_for(student),
            terms.hidden_seed_for(student, exercise_id),
        )
        for entry in counted
        if entry.id in evidence
        for exercise_id, answer in evidence[entry.id]["exercises"].items()
        if exercise_id in entry.exercises and _is_begun(answer)
    ]
    found, problem = _examined(questions, terms)
    answers = {}
    for entry in counted:
        said = evidence.get(entry.id, {}).get("exercises", {})
        for exercise_id in entry.exercises:
            of = entry.points.get(exercise_id, 0)
            state, words = found.get(exercise_id, (State.NOT_ATTEMPTED, ""))
            if exercise_id not in found and any(q.exercise == exercise_id for q in questions):
                state, words = State.INCONCLUSIVE, f"not examined: {problem}"
            points = of if state == State.PASSED else 0
            answers[exercise_id] = GradedAnswer(str(state), points, of, words)
            if said.get(exercise_id, {}).get("state") == State.PASSED and not points:
                notes.append(f"{exercise_id}: handed in as passed, {state}: {_first_line(words)}")
            elif state == State.INCONCLUSIVE:
                notes.append(f"{exercise_id}: {_first_line(words)}")
    written = {lab: str(told["written"]) for lab, told in evidence.items()}
    return StudentReport(student, counted, answers, tuple(dict.fromkeys(notes)), written)


def _first_line(words: str) -> str:
    return "".join(words.splitlines()[:1])[:200]


def _examined(
    questions: Sequence[Question], terms: Terms
) -> tuple[dict[str, tuple[State, str]], str]:
    """Exercise id -> state and words, as far as the examination came, and what stopped it."""
    if not questions:
        return {}, ""
    given = json.dumps([each._asdict() for each in questions]).encode()
    hidden = (SOLUTIONS_DIR, *terms.hidden)
    ran = run_confined(
        [*_EXAMINATION, str(terms.answer_cpu_s)], given, terms.limits, hidden, walls=terms.walls
    )
    found: dict[str, tuple[State, str]] = {}
    for line in ran.said.splitlines():
        try:
            told = json.loads(line)
            found.setdefault(str(told["exercise"]), (State(told["state"]), str(told["words"])))
        except (ValueError, KeyError, TypeError):
            break  # it was stopped in the middle of a line
    return found, ran.problem or "its examination ended before"


def _equal_measurements(
    everybody: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, list[str]]:
    """Student -> which of their measured figures are another's, too."""
    notes: dict[str, list[str]] = {}
    for lab in sorted({lab for evidence in everybody.values() for lab in evidence}):
        measured = {
            student: set(_measured(evidence[lab].get("conclusion")))
            for student, evidence in everybody.items()
            if lab in evidence
        }
        for student, mine in measured.items():
            for other, theirs in measured.items():
                same = mine & theirs
                if other != student and same:
                    notes.setdefault(student, []).append(
                        f"{lab}: {len(same)} of {len(mine)} measured figures equal {other}'s"
                    )
    return notes


def _measured(conclusion: object) -> Iterator[tuple[str, float, float, float]]:
    """Name, median, low and high of what was repeated here; what was recorded is everybody's."""
    if not isinstance(conclusion, dict):
        return
    findings = [each for each in _listed(conclusion, "findings") if not _is_elsewhere(each)]
    for quantity in (
        *(quantity for found in findings for quantity in _listed(found, "quantities")),
        *_listed(conclusion, "figures"),
    ):
        figures = [quantity.get(key) for key in ("value", "low", "high")]
        if all(isinstance(each, float) for each in figures) and quantity.get("low") != quantity.get(
            "high"
        ):
            yield (str(quantity.get("name")), *figures)  # type: ignore[misc]


def _is_elsewhere(found: Mapping[str, Any]) -> bool:
    about = found.get("about")
    kind = about.get("kind") if isinstance(about, dict) else None
    return kind in (SubjectKind.RECORDED.value, SubjectKind.CITED.value)


def _listed(told: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    found = told.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
