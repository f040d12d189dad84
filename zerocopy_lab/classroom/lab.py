"""The lab that a notebook is running: its parameters, its random seed, its directory for results.

A notebook has these parameters and no more:

| name | type | meaning |
|---|---|---|
| FAST | bool | less data and fewer repeats: a lab in at most 30 s |
| SEED | int | what the learner's numbers are drawn from, so that answers are personal |
| OUT_DIR | str | where results and kept parts go; relative paths start beside labs/, else here |
| BROKER | str | "zerocopy_lab", "kafka" (a real one, started here), "HOST:PORT" (one there is) |
| STUDENT | str | whose work it is, "" for nobody in particular (`student`); may be left out |

They are checked here, because a runner will not: `papermill -p FAST false` passes the *string*
"false", which is true, and `-p FSAT True` sets a name that nobody reads.
"""

from __future__ import annotations

import contextlib
import os
import platform
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict

from IPython.core.getipython import get_ipython

from zerocopy_lab import __version__
from zerocopy_lab.checkout import workplace
from zerocopy_lab.classroom.evidence_file import (
    evidence_of,
    evidence_path,
    progress_rows,
    sealed,
    write_evidence,
)
from zerocopy_lab.classroom.manifest import LabEntry, lab_entry
from zerocopy_lab.classroom.notebook_output import box, show_picture
from zerocopy_lab.classroom.student import BadStudent, results_of, seed_of, student_of
from zerocopy_lab.measuring.host import host_facts

if TYPE_CHECKING:
    from zerocopy_lab.pictures.theme import Picture

HEADLESS_VARIABLE = "ZEROCOPY_LAB_HEADLESS"
"""Set in the environment of a kernel that nobody is watching: no widgets, only ordinary figures."""

PARAMETERS: Mapping[str, type] = {
    "FAST": bool,
    "SEED": int,
    "OUT_DIR": str,
    "BROKER": str,
}
OPTIONAL_PARAMETERS: Mapping[str, type] = {"STUDENT": str}

OURS, KAFKA = "zerocopy_lab", "kafka"
_ADDRESS = re.compile(r"[^:\s]+:\d{1,5}")


class ExamTerms(TypedDict, total=False):
    """Of `conformance.part.examine`."""

    seed: int
    limit_s: float
    cpu_s: int


class BadParameter(ValueError):
    """A parameter of the notebook has the wrong name or type; the message says what to write."""


@dataclass(frozen=True, eq=False)
class Lab:
    """One run of one lab.

    What was answered and guessed can be read here and is written by `check` and by predictions
    alone.
    """

    entry: LabEntry
    fast: bool
    seed: int
    out_dir: Path
    headless: bool
    broker: str = OURS
    student: str = ""
    problem: int = 1
    """SEED: the seed itself for nobody in particular, else which of a student's problems."""
    exam: ExamTerms = field(default_factory=lambda: ExamTerms())
    """What exams draw from and how long they may take; nothing: as they do in a notebook."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    began_monotonic_s: float = field(default_factory=time.monotonic)
    _predictions: dict[str, dict[str, str]] = field(default_factory=dict)
    _exercises: dict[str, dict[str, Any]] = field(default_factory=dict)
    _hints: dict[str, int] = field(default_factory=dict)
    _pictures: dict[str, dict[str, str]] = field(default_factory=dict)
    _practice: list[int] = field(default_factory=list)

    @property
    def out_root(self) -> Path:
        """The directory of all labs' results: OUT_DIR, or the student's below it."""
        return self.out_dir.parent

    @property
    def parts_dir(self) -> Path:
        """Where the learner's parts are kept, for all labs together."""
        return self.out_root / "parts"

    @property
    def predictions(self) -> Mapping[str, Mapping[str, str]]:
        """Question -> guess, measured, how."""
        return MappingProxyType(self._predictions)

    @property
    def exercises(self) -> Mapping[str, str]:
        """Exercise id -> state."""
        return MappingProxyType({key: told["state"] for key, told in self._exercises.items()})

    @property
    def pictures(self) -> Mapping[str, Mapping[str, str]]:
        """Name -> words and alt (its description) of what was shown, in order."""
        return MappingProxyType(self._pictures)

    def record_answer(self, exercise_id: str, state: str, kind: str, answer: str) -> None:
        """For `check`: how an answer stands. What is practised is nobody's record."""
        if self.practice:
            return
        worth = self.entry.points.get(exercise_id, 0)
        self._exercises[exercise_id] = {
            "state": state,
            "points": worth if state == "passed" else 0,
            "of": worth,
            "kind": kind,
            "answer": answer,
            "seed": self.seed,
        }
        self.save()

    def take_hint(self, exercise_id: str, most: int) -> int:
        """For `hint`: how many of them the learner has seen with this one."""
        self._hints[exercise_id] = min(self._hints.get(exercise_id, 0) + 1, most)
        return self._hints[exercise_id]

    def record_prediction(self, question: str, guess: str, measured: str, how: str) -> None:
        """For predictions: what was guessed and what came out."""
        self._predictions[question] = {"guess": guess, "measured": measured, "how": how}
        self.save()

    def save(self, conclusion: Mapping[str, Any] | None = None) -> None:
        """Writes the evidence of this lab, adding to what earlier runs left: a stub does not undo
        an answer, nor does a run without a guess undo a guess.
        """
        write_evidence(evidence_path(self.out_root, self.entry), self.evidence(conclusion))

    def evidence(self, conclusion: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What `save` writes."""
        before = evidence_of(self.out_root, self.entry)
        exercises = {
            key: told
            for key, told in self._exercises.items()
            if told["state"] != "not attempted" or key not in before.get("exercises", {})
        }
        guesses = {
            question: told
            for question, told in self._predictions.items()
            if told["guess"] or question not in before.get("predictions", {})
        }
        told = {
            "lab": self.entry.id,
            "student": self.student,
            "problem": self.problem,
            "seed": self.seed,
            "written": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "versions": {"zerocopy_lab": __version__, "Python": platform.python_version()},
            "host": host_facts(self.out_root),
            "exercises": {**before.get("exercises", {}), **exercises},
            "predictions": {**before.get("predictions", {}), **guesses},
            "parts": {name: path.read_text("utf-8") for name, path in self._kept().items()},
            "conclusion": conclusion or before.get("conclusion"),
        }
        return sealed(told)

    def _kept(self) -> dict[str, Path]:
        """The files of the learner's parts."""
        return {path.stem: path for path in sorted(self.parts_dir.glob("*.py"))}

    @property
    def practice(self) -> int:
        """Which problem is being practised; 0: the learner's own."""
        return self._practice[-1] if self._practice else 0

    def take_problem(self, number: int | None) -> int:
        """For `practice`: from now on this problem, the next one for None."""
        self._practice.append(max(self._practice, default=0) + 1 if number is None else number)
        return self.practice

    def random(self, purpose: str) -> random.Random:
        """A generator of its own for each purpose, so that cells may run in any order."""
        practised = f"/practice {self.practice}" if self.practice else ""
        return random.Random(f"{self.seed}/{self.entry.id}/{purpose}{practised}")

    def picture(self, name: str, picture: Picture, words: str) -> None:
        """Shows a picture under a name and its conclusion in words."""
        self._pictures[name] = {"words": words, "alt": picture.alt}
        show_picture(name, picture, words, self.out_dir)

    def seconds(self) -> float:
        """Seconds since this lab began."""
        return time.monotonic() - self.began_monotonic_s


_running: Lab | None = None


def start_lab(lab_id: str, notebook_globals: Mapping[str, object]) -> Lab:
    """Checks the notebook's parameters and makes this lab the one that predict, check, ... speak
    for.

    Call it as `lab = start_lab("05", globals())` right below the parameters. Raises BadParameter.
    """
    check_parameters(notebook_globals)
    if _running is None:  # later, a learner's own names in capitals are nobody's business
        check_for_unknown_parameters(notebook_globals)
    lab = begin(lab_entry(lab_id), notebook_globals)
    _show_head(lab)
    return lab


def begin(entry: LabEntry, parameters: Mapping[str, object]) -> Lab:
    """Makes a lab with these parameters the running one. Raises BadParameter."""
    global _running
    problem, broker = parameters["SEED"], parameters["BROKER"]
    assert isinstance(problem, int)
    assert isinstance(broker, str)
    student = student_of(parameters)
    out_dir = results_of(_writable(str(parameters["OUT_DIR"])), student) / entry.name
    out_dir.mkdir(parents=True, exist_ok=True)
    fast = bool(parameters["FAST"])
    seed, headless = seed_of(student, problem), nobody_is_watching()
    _running = Lab(entry, fast, seed, out_dir, headless, broker, student, problem)
    _running.save()
    return _running


def _writable(out_dir: str) -> Path:
    """OUT_DIR: below `workplace`; in the user's own data where that cannot be written. Raises
    BadParameter.
    """
    chosen = workplace() / out_dir
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    own = [Path(data, "zerocopy_lab", out_dir)] if os.path.isabs(data) else []  # no home: none
    for place in (chosen, *own):
        with contextlib.suppress(OSError):  # what cannot be made is told below
            place.mkdir(parents=True, exist_ok=True)
            if os.access(place, os.W_OK):
                return place
        if Path(out_dir).is_absolute():
            break
    raise BadParameter(
        f"{chosen} cannot be written to: set OUT_DIR to a directory of yours, with its whole path"
    )


def _show_head(lab: Lab) -> None:
    """What the learner has built, and where they are."""
    from zerocopy_lab.classroom.kept_parts import parts_in_words

    rows = progress_rows(lab.out_root)
    begun = [f"{row[0].split()[0]}: {row[1]}" for row in rows if not row[1].startswith("0 ")]
    passed = ", ".join(begun) or "none yet"
    words = [parts_in_words(lab.parts_dir), f"Exercises passed: {passed}."]
    words += [*whose_and_where(lab), f"Broker: {lab.broker}."]
    box("plain", f"Lab {lab.entry.id} has begun", words)


def whose_and_where(lab: Lab) -> list[str]:
    """For whoever begins a lab: from whose id its numbers come, where it leaves what it makes."""
    whose = [f"The numbers are {lab.student}'s, problem {lab.problem}."] if lab.student else []
    return [*whose, f"Results and parts: {lab.out_root}."]


def nobody_is_watching() -> bool:
    """Whether widgets are of no use: in a headless run, and in a script, which has no kernel."""
    return os.environ.get(HEADLESS_VARIABLE) == "1" or get_ipython() is None


def running_lab() -> Lab:
    """The lab that was started last; RuntimeError when there is none."""
    if _running is None:
        raise RuntimeError("no lab has begun: run the cells above this one first (start_lab)")
    return _running


def check_parameters(notebook_globals: Mapping[str, object]) -> None:
    """Raises BadParameter for a parameter that is missing or of the wrong type."""
    for name, wanted in {**PARAMETERS, **OPTIONAL_PARAMETERS}.items():
        if name not in notebook_globals:
            if name in OPTIONAL_PARAMETERS:
                continue
            raise BadParameter(f"the notebook does not set {name}; run its parameters cell first")
        value = notebook_globals[name]
        if type(value) is not wanted:  # exact: True is an int, and must not pass as a seed
            found = type(value).__name__
            raise BadParameter(
                f"{name} is {value!r}, of type {found}, and must be {wanted.__name__}"
                + (". Write True or False, with a capital letter." if wanted is bool else ".")
            )
    broker = str(notebook_globals["BROKER"])
    if broker not in (OURS, KAFKA) and not _ADDRESS.fullmatch(broker):
        raise BadParameter(f'BROKER is {broker!r}; write "{OURS}", "{KAFKA}" or "HOST:PORT"')
    try:
        student_of(notebook_globals)
    except BadStudent as reason:
        raise BadParameter(f"STUDENT: {reason}") from None


def check_for_unknown_parameters(notebook_globals: Mapping[str, object]) -> None:
    """Raises BadParameter for a name in capitals that is no parameter.

    A runner sets whatever name it is given, and at the top of a notebook no other capitals exist.
    """
    capitals = {n for n in notebook_globals if n.isupper() and not n.startswith("_")}
    known = [*PARAMETERS, *OPTIONAL_PARAMETERS]
    unknown = sorted(capitals.difference(known))
    if unknown:
        raise BadParameter(
            f"no lab has a parameter {', '.join(unknown)}; there are {', '.join(known)}"
        )
