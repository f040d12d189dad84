"""A class of twelve that nobody taught: each gets what they earned, and nothing escapes."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.children import children
from tests.publishing.made_up_class import hand_in, lab_of, right_answer
from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.evidence_file import evidence_path, read_evidence, sealed
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.manifest import SOLUTIONS_DIR, labs
from zerocopy_lab.classroom.notebook_output import EVIDENCE_MIME
from zerocopy_lab.classroom.student import seed_of
from zerocopy_lab.commands import labs as labs_command
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.publishing import grading
from zerocopy_lab.publishing.grade_formats import table_of
from zerocopy_lab.publishing.grading import StudentReport, Terms, grade_class
from zerocopy_lab.publishing.submissions import submissions_in
from zerocopy_lab.running.confinement import Allowance, require_walls

ONLY = ("02", "10")
WORTH = sum(sum(labs()[each].points.values()) for each in ONLY)
TERMS = Terms("a secret of this test", answer_cpu_s=1)

pytestmark = [pytest.mark.namespaces, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _walls() -> None:
    try:
        require_walls()
    except Unavailable as reason:
        pytest.skip(str(reason))


def doing(deed: str, exercise_id: str = "02.1") -> dict[str, tuple[str, str] | None]:
    """One answer is a function that does this before it says anything."""
    return {exercise_id: ("code", f"def answer(*given):\n    {deed}\n    return 0\n")}


def hard_coded(student: str, out_dir: Path) -> tuple[str, str]:
    """What 10.1 answered to the tables of this student's own seed, written down."""
    exercise, lab = exercise_of("10.1"), lab_of(student, labs()["10"], out_dir)
    namespace: dict[str, Any] = {}
    exec(right_answer("10.1", lab)[1], namespace)
    seen: dict[str, int] = {}

    def answer(costs: Mapping[int, Any]) -> int:
        seen[repr(costs)] = namespace["answer"](costs)
        return seen[repr(costs)]

    exercise.grade(answer, lab)
    source = f"SEEN = {seen!r}\n\ndef answer(costs):\n    return SEEN[repr(costs)]\n"
    exec(source, namespace)
    assert grade_of(exercise, namespace["answer"], lab)[0].state is State.PASSED, "in her notebook"
    return "code", source


MEASURED = {
    "findings": [
        {
            "about": {"kind": "the kernel here"},
            "quantities": [{"name": "a call", "value": 1.25, "low": 1.1, "high": 1.5, "n": 7}],
        },
        {
            "about": {"kind": "recorded elsewhere"},
            "quantities": [{"name": "theirs", "value": 2.5, "low": 2.1, "high": 2.9, "n": 7}],
        },
    ],
    "figures": [],
}


def measured(seed: int) -> dict[str, Any]:
    """A conclusion with a figure that nobody else has."""
    drawn = random.Random(seed).uniform(1, 2)
    told: dict[str, Any] = json.loads(json.dumps(MEASURED))
    told["findings"][0]["quantities"][0] |= {"value": drawn, "low": drawn / 2, "high": drawn * 2}
    return told


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


class Class:
    """The class, graded once for all tests here."""

    def __init__(self, place: Path, listener: socket.socket) -> None:
        self.students = place / "students"
        self.canary = place / "canary"
        port = listener.getsockname()[1]
        everybody: dict[str, dict[str, tuple[str, str] | None]] = {
            "ada-right": {},
            "bob-half": {"02.1": None, "02.3": None, "10.2": None},
            "cyd-wrong": {
                "02.1": ("code", "def answer(a, b, c):\n    return 0\n"),
                "02.2": ("value", "(1, 2)"),
                "02.3": ("value", "'many'"),
                "10.1": ("code", "def answer(costs):\n    return -1\n"),
                "10.2": ("value", "-5"),
                "10.3": ("value", "{'tls'}"),
            },
            "fay-endless": doing("while True: pass"),
            "gus-forks": doing("import os\n    while True: os.fork()"),
            "hal-network": doing(
                f"import socket\n    socket.create_connection(('127.0.0.1', {port}), 2)"
            ),
            "ivy-solution": doing(
                f"open({str(SOLUTIONS_DIR)!r} + '/02_segments_and_indexes.ipynb')"
            ),
            "jon-writes": doing(f"open({str(self.canary)!r}, 'w').write('was here')"),
            "kim-patches": {
                "02.1": (
                    "code",
                    "import zerocopy_lab.classroom.exercises as e\n"
                    "e.check = e.grade_of = lambda *_, **__: 'passed'\n"
                    "def answer(a, b, c):\n    return 0\n",
                )
            },
        }
        for number, (student, changes) in enumerate(everybody.items()):
            hand_in(student, place, changes, only=ONLY, conclusion=measured(number))
        (self.students / "dot-empty").mkdir()
        hand_in(
            "eve-hard-coded", place, {"10.1": hard_coded("eve-hard-coded", place)}, only=ONLY
        )  # fmt: skip
        self._copy("ada-right", "lea-copies")
        self._from_another_seed("max-other-seed", place)
        submissions = submissions_in(self.students)
        self.reports = {each.student: each for each in grade_class(submissions, TERMS)}

    def _copy(self, of: str, by: str) -> None:
        """A classmate's files with another name in them, sealed again."""
        shutil.copytree(self.students / of, self.students / by)
        for path in (self.students / by).rglob("*.json"):
            told = read_evidence(path.read_bytes().replace(of.encode(), by.encode()))
            path.write_text(json.dumps(sealed(told)))

    def _from_another_seed(self, student: str, place: Path) -> None:
        """Right answers to the numbers of SEED = 2."""
        for lab_id in ONLY:
            entry = labs()[lab_id]
            lab = lab_of(student, entry, place, problem=2)
            for exercise_id in entry.exercises:
                lab.record_answer(exercise_id, "passed", *right_answer(exercise_id, lab))

    def of(self, student: str) -> StudentReport:
        return self.reports[student]


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> Class:
    return Class(tmp_path_factory.mktemp("class"), listener)


LOSES_THE_PART = WORTH - labs()["02"].points["02.1"]


@pytest.mark.parametrize(
    ("student", "points", "note"),
    [
        ("ada-right", WORTH, "02: 1 of 1 measured figures equal lea-copies's"),
        ("bob-half", WORTH - 6, None),
        ("cyd-wrong", 0, "02.2: handed in as passed, failed: Two numbers of four bytes each"),
        ("dot-empty", 0, None),
        ("eve-hard-coded", WORTH - 2, "10.1: handed in as passed, failed: "),
        ("fay-endless", LOSES_THE_PART, "it had no end after 1 s of the processor's time"),
        ("gus-forks", LOSES_THE_PART, "it reached for os.fork"),
        ("hal-network", LOSES_THE_PART, "it reached for socket."),
        ("ivy-solution", LOSES_THE_PART, "it reached for open"),
        ("jon-writes", LOSES_THE_PART, "it reached for open"),
        ("kim-patches", LOSES_THE_PART, "it reached for import zerocopy_lab"),
        ("lea-copies", None, "02: its numbers are not those of this student's seed"),
        ("max-other-seed", None, "10: its numbers are not those of this student's seed"),
    ],
)
def test_each_gets_what_was_earned(
    graded: Class, student: str, points: int | None, note: str | None
) -> None:
    report = graded.of(student)
    assert report.of == WORTH
    if points is None:  # code is nobody's own; of the values those that were drawn are
        drawn = ("02.2", "02.3")
        assert {each for each in drawn if report.answers[each].points} == set()
        assert report.points < WORTH
    else:
        assert report.points == points
    if note is None:
        assert report.notes == ()
    else:
        assert any(note in each for each in report.notes), report.notes


def test_nothing_escaped(graded: Class, listener: socket.socket) -> None:
    assert not graded.canary.exists()
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert children() == []


def test_only_who_shares_figures_is_told_so(graded: Class) -> None:
    told = {
        student
        for student, report in graded.reports.items()
        if any("measured figures" in note for note in report.notes)
    }
    assert told == {"ada-right", "lea-copies"}


def test_the_same_secret_gives_the_same_grades_and_another_other_numbers() -> None:
    again = Terms("a secret of this test")
    assert TERMS.hidden_seed_for("ada", "02.1") == again.hidden_seed_for("ada", "02.1")
    assert TERMS.hidden_seed_for("ada", "02.1") != TERMS.hidden_seed_for("bob", "02.1")
    assert TERMS.hidden_seed_for("ada", "02.1") != Terms("x").hidden_seed_for("ada", "02.1")


def test_the_table_says_it_all_and_moves_no_cursor(graded: Class) -> None:
    table = table_of([graded.of("bob-half"), graded.of("jon-writes")])
    heading, of, bob, jon, empty, *notes = table.splitlines()
    assert heading.split() == ["student", "02", "10", "total"]
    assert of.split() == ["of", "6", "4", "10"]
    assert (bob.split()[-1], jon.split()[-1], empty) == ("4", "6", "")
    assert all(note.startswith("jon-writes: ") for note in notes)
    report = graded.of("bob-half")._replace(notes=("\x1b[2J\x07",))
    assert "\x1b" not in table_of([report])


# -- notebooks -------------------------------------------------------------------------------------

PARAMETERS = 'FAST = False\nSEED = 1\nOUT_DIR = "out"\nBROKER = "zerocopy_lab"\nSTUDENT = ""'
BEGIN = 'from zerocopy_lab.classroom.notebook import *\nlab = start_lab("02", globals())'


def notebook_of(path: Path, *sources: str) -> Path:
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in (BEGIN, *sources)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"language_info": {"name": "python"}}), path)
    return path


def attack(deed: str, name: str) -> str:
    return f"try:\n    found[{name!r}] = repr({deed})\nexcept OSError as error:\n    " + (
        f"found[{name!r}] = type(error).__name__"
    )


def test_a_notebook_is_run_between_walls_and_its_check_is_not_believed(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary, port = tmp_path / "canary", listener.getsockname()[1]
    notebook_of(
        tmp_path / "submitted" / "mallory" / "02.ipynb",
        "import os, socket\nfound = {}",
        attack(f"socket.create_connection(('127.0.0.1', {port}), 2)", "network"),
        attack(f"os.listdir({str(SOLUTIONS_DIR)!r})", "solutions"),
        attack(f"os.listdir({str(tmp_path)!r})", "other submissions"),
        attack(f"open({str(canary)!r}, 'w')", "write"),
        attack(f"open({str(LABS_DIR / 'mallory')!r}, 'w')", "write into the checkout"),
        "import threading\nthreading.Event().wait()",
        "check('02.3', found)\nlab._exercises['02.3']['state'] = 'passed'",
        "from zerocopy_lab.classroom import exercises\n"
        "exercises.grade_of = lambda *_: (exercises.passed('of course'), [])\n"
        "check('02.2', (1, 2))",
        "1 / 0",
        "while os.fork(): pass\nos._exit(0)",
    )
    terms = TERMS._replace(cell_s=10, notebook_limits=Allowance(seconds=120, processes=60))
    read: list[Any] = []
    odd = grading._what_is_odd

    def read_and_odd(told: Any, *more: Any) -> Iterator[str]:
        read.append(told)
        return odd(told, *more)

    monkeypatch.setattr(grading, "_what_is_odd", read_and_odd)
    [report] = grade_class(submissions_in(tmp_path / "submitted"), terms)
    assert report.points == 0
    assert report.answers["02.2"].state == "failed"
    [evidence] = read
    found = eval(evidence["exercises"]["02.3"]["answer"])
    assert found["solutions"] == "[]"
    assert found["network"] == "ConnectionRefusedError"
    assert found["other submissions"] == "FileNotFoundError"
    assert {found["write"], found["write into the checkout"]} <= {
        *("FileNotFoundError", "PermissionError", "OSError"),
    }
    told = "\n".join(report.notes)
    assert "ZeroDivisionError" in told
    assert "KeyboardInterrupt" in told, "the endless cell was interrupted, and the rest ran"
    assert "02.2: handed in as passed, failed" in told
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not canary.exists()
    assert children() == []


def test_an_executed_notebook_carries_its_evidence(tmp_path: Path) -> None:
    """What was written last counts, also where the clock has not moved in between."""
    lab = lab_of("ada", labs()["02"], tmp_path)
    before = lab.evidence()
    lab.record_answer("02.2", "passed", *right_answer("02.2", lab))
    after = {key: value for key, value in lab.evidence().items() if key != "digest"}
    told = [before, sealed({**after, "written": before["written"]})]
    outputs = [new_output("display_data", {EVIDENCE_MIME: each}) for each in told]
    path = tmp_path / "submitted" / "ada" / "any" / "name.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[new_code_cell("check(...)", outputs=outputs)]), path)
    [report] = grade_class(submissions_in(tmp_path / "submitted"), TERMS)
    assert (report.student, report.points, report.notes) == ("ada", 1, ())


# -- what is handed in -----------------------------------------------------------------------------


def test_a_file_that_was_changed_says_so_and_earns_nothing_more(tmp_path: Path) -> None:
    hand_in("ada", tmp_path, {"02.2": ("value", "(1, 2)")}, only=("02",))
    path = evidence_path(tmp_path / "students" / "ada", labs()["02"])
    path.write_text(path.read_text().replace('"points": 4', '"points": 40'))
    [report] = grade_class(submissions_in(tmp_path / "students"), TERMS)
    assert report.points == 5
    assert "02: the file was changed after it was written" in report.notes


def test_whatever_lies_among_submissions_is_passed_by_in_words(tmp_path: Path) -> None:
    place = tmp_path / "submitted"
    ada = place / "ada"
    hand_in("ada", tmp_path, only=("02",))
    shutil.copytree(tmp_path / "students" / "ada" / "evidence", ada)
    (ada / "notes.json").write_text("{}")
    (ada / "huge.json").write_bytes(b" " * (5 << 20))
    (ada / "deep.ipynb").write_text('{"cells": ' + "[" * 100_000)
    (ada / "other.ipynb").write_text('{"cells": []}')
    (ada / "link.json").symlink_to("/etc/passwd")
    os.mkfifo(ada / "pipe.json")
    (place / ".hidden").mkdir()
    [submission] = submissions_in(place)
    assert (submission.student, set(submission.labs)) == ("ada", {"02"})
    told = "\n".join(submission.notes)
    assert "notes.json was passed by: its schema is not" in told
    assert "huge.json was passed by: it has more than" in told
    assert "deep.ipynb was passed by: it is no notebook" in told
    assert "other.ipynb was passed by: it is no lab" in told
    assert "link" not in told
    assert "pipe" not in told


def test_another_courses_lab_is_passed_by_in_words(tmp_path: Path) -> None:
    hand_in("ada", tmp_path, only=("02",))
    place = tmp_path / "students" / "ada"
    told = read_evidence(evidence_path(place, labs()["02"]).read_bytes())
    (place / "week4.json").write_text(json.dumps(sealed({**told, "lab": "week4"})))
    [report] = grade_class(submissions_in(tmp_path / "students"), TERMS)
    assert (report.points, report.of) == (6, 6)
    assert "week4 is no lab of this kit: not examined" in report.notes


def test_whose_a_file_is_says_its_place_then_its_content(tmp_path: Path) -> None:
    hand_in("ada", tmp_path, only=("10",))
    evidence = evidence_path(tmp_path / "students" / "ada", labs()["10"])
    place = tmp_path / "submitted"
    for folder in ("Ada Lovelace_17_assignsubmission_file", "Bob"):
        (place / folder).mkdir(parents=True)
        shutil.copy(evidence, place / folder)
    shutil.copy(evidence, place / "mine.json")
    told = json.loads(evidence.read_text())
    (place / "sly.json").write_text(json.dumps({**told, "student": "../../sly"}))
    found = {each.student: each for each in submissions_in(place)}
    assert list(found) == ["ada", "bob", "sly"]
    [only] = submissions_in(place / "Bob", "cyd")
    assert only.student == "cyd"


@pytest.mark.parametrize("seed", [1, 7])
def test_a_class_without_ids_has_one_seed(tmp_path: Path, seed: int) -> None:
    lab = lab_of("", labs()["02"], tmp_path, problem=seed)
    lab.record_answer("02.2", "passed", *right_answer("02.2", lab))
    shutil.copytree(tmp_path / "evidence", tmp_path / "submitted" / "ada")
    [report] = grade_class(submissions_in(tmp_path / "submitted"), TERMS._replace(one_seed=seed))
    assert (report.points, report.notes) == (1, ())
    assert seed_of("", seed) == seed


def test_the_command_writes_what_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hand_in("ada", tmp_path, {"10.3": None}, only=("10",))

    def grade(*words: str) -> int:
        parser = argparse.ArgumentParser()
        labs_command.add_arguments(parser)
        return labs_command.run(parser.parse_args(["grade", *words]))

    place = str(tmp_path / "students")
    assert grade(place) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["ada", "3", "3"]
    out = tmp_path / "grades.csv"
    assert grade(place, "--format", "canvas", "--out", str(out)) == 0
    assert out.read_text().startswith("Student,ID,")
    assert grade(place, "--format", "classroom50", "--only", "02,10") == 2
    assert "several files" in capsys.readouterr().err
    assert grade(place, "--format", "classroom50", "--only", "02,10", "--out", str(tmp_path)) == 0
    assert (tmp_path / "ada" / "10_limits.json").exists()
    assert grade(str(tmp_path / "nowhere")) == 2
    assert grade(place, "--only", "99") == 2
    assert "no lab '99'" in capsys.readouterr().err
