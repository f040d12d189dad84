"""The editions for nbgrader and Otter-Grader, by the tools themselves: generated, answered, graded,
exported. One small lab; a student who answers and one who does not.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from zerocopy_lab.__main__ import main
from zerocopy_lab.classroom.manifest import LabEntry, lab_entry, labs
from zerocopy_lab.publishing.grade_formats import FORMATS
from zerocopy_lab.publishing.graders import BEGIN, nbgrader_edition, otter_edition
from zerocopy_lab.publishing.grading import GradedAnswer, StudentReport
from zerocopy_lab.publishing.headless import read_notebook
from zerocopy_lab.publishing.tidy import EXERCISE_KEY, answers_of

ROOT = Path(__file__).resolve().parents[2]
ENTRY = lab_entry("00")
FULL_POINTS = float(sum(ENTRY.points.values()))
NEEDED_TO_ANSWER = {"parameters", "bootstrap"}

Tool = Callable[..., str]


@pytest.fixture(scope="module")
def tool() -> Tool:
    """Runs `python -m NAME ...` with the graders on top of this environment; what it said."""
    wanted = ROOT / "requirements-graders.txt"
    place = ROOT / "out" / "graders" / hashlib.sha256(wanted.read_bytes()).hexdigest()[:16]
    if not (place / "installed").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--no-deps", "--upgrade", "--target", str(place), "-r", str(wanted)]
        installed = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if installed.returncode:
            pytest.skip(f"nbgrader and Otter cannot be installed: {installed.stderr[-300:]}")
        (place / "installed").touch()
    found = os.pathsep.join([str(place), str(ROOT)])
    programs = os.pathsep.join([str(place / "bin"), os.environ["PATH"]])  # alembic, for nbgrader
    ours = {"PYTHONPATH": found, "PATH": programs, "JUPYTER_PREFER_ENV_PATH": "1"}

    def run(directory: Path, *words: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=directory,
            env={**os.environ, **ours},
            capture_output=True,
            text=True,
            timeout=200,
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode == 0, said[-3000:]
        return said

    return run


def answered(handed_out: Path, *, is_whole: bool, answers: dict[str, str]) -> Any:
    """A submission: with these answers, and whole or without what no exercise needs."""
    notebook = read_notebook(handed_out)
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get(EXERCISE_KEY), cell.source)
    if not is_whole:
        notebook.cells = [cell for cell in notebook.cells if _counts(cell)]
    return notebook


def _counts(cell: Any) -> bool:
    is_needed = cell.id in NEEDED_TO_ANSWER or cell.id.startswith("exercise-")
    return cell.cell_type == "code" and is_needed


def submit(notebook: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nbgrader_hands_out_grades_and_exports(tool: Tool, tmp_path: Path) -> None:
    course, name = tmp_path / "course", ENTRY.name
    assert main(["labs", "release", "--only", ENTRY.id, "--nbgrader", str(course)]) == 0
    tool(course, "nbgrader", "generate_assignment", name)
    handed_out = course / "release" / name / f"{name}.ipynb"
    sources = {c.id: c.source for c in read_notebook(ENTRY.notebook).cells}
    for cell in read_notebook(handed_out).cells:
        if EXERCISE_KEY in cell.metadata:  # nbgrader leaves an empty line where a solution was
            assert _lines(cell.source) == _lines(sources[cell.id])
            assert BEGIN not in cell.source
    answers = answers_of(read_notebook(ENTRY.solution))
    for student, is_whole, hers in (("ada", True, answers), ("bob", False, {})):
        place = course / "submitted" / student / name / f"{name}.ipynb"
        submit(answered(handed_out, is_whole=is_whole, answers=hers), place)
    tool(course, "nbgrader", "autograde", name)
    tool(course, "nbgrader", "export")
    with (course / "grades.csv").open() as table:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(table)}
        assert scores == {"ada": FULL_POINTS, "bob": 0.0}
    assert (course / "autograded/ada" / name / "out" / "evidence" / f"{name}.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_otter_grades(tool: Tool, tmp_path: Path) -> None:
    assert main(["labs", "release", "--only", ENTRY.id, "--otter", str(tmp_path)]) == 0
    assignment = tmp_path / ENTRY.name
    tool(assignment, "otter", "generate")
    right = answers_of(read_notebook(ENTRY.solution))
    half = {ENTRY.exercises[0]: right[ENTRY.exercises[0]]}
    handed_out = assignment / f"{ENTRY.name}.ipynb"
    submission = tmp_path / "submitted" / handed_out.name
    submit(answered(handed_out, is_whole=False, answers=half), submission)
    archive = str(assignment / "autograder.zip")
    words = ["otter", "run", "--no-logo", "-a", archive, "-o", str(tmp_path), str(submission)]
    tool(tmp_path, *words)
    results = json.loads((tmp_path / "results.json").read_text())["tests"]
    scores = {each["name"]: each["score"] for each in results if "score" in each}
    first, *others = ENTRY.exercises
    assert scores == {first: ENTRY.points[first], **dict.fromkeys(others, 0)}


def _lines(source: str) -> list[str]:
    return [line for line in source.splitlines() if line]


@pytest.mark.parametrize("edition", [nbgrader_edition, otter_edition])
def test_every_lab_becomes_coursework_and_always_the_same(
    edition: Callable[[Sequence[LabEntry]], dict[str, str]],
) -> None:
    every = [*labs().values()]
    files = edition(every)
    assert files == edition(every)
    for entry in every:
        [text] = [text for name, text in files.items() if name.endswith(f"{entry.name}.ipynb")]
        notebook = nbformat.reads(text, 4)
        [parameters] = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
        assert {"FAST = True", 'OUT_DIR = "out"'} <= set(parameters.source.splitlines())
        assert "../" not in "".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def test_points_and_time_are_those_of_the_list() -> None:
    every = [*labs().values()]
    files = nbgrader_edition(every)
    for entry in every:
        cells = nbformat.reads(files[f"source/{entry.name}/{entry.name}.ipynb"], 4).cells
        marks = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
        graded = [mark["points"] for mark in marks if mark["grade"]]
        assert graded == [entry.points[each] for each in entry.exercises]
    longest_s = max(entry.timeout_s for entry in every)
    assert f"c.Execute.timeout = {longest_s}\n" in files["nbgrader_config.py"]


THEIR_EXPORT = """
import csv, datetime
from nbgrader.api import Gradebook
from nbgrader.plugins.export import CsvExportPlugin

with open("ours.csv") as file:
    rows = list(csv.DictReader(file))
with Gradebook("sqlite:///gradebook.db") as book:
    name, most = rows[0]["assignment"], float(rows[0]["max_score"])
    book.add_assignment(name)
    book.add_notebook("lab", name)
    book.add_grade_cell("points", "lab", name, max_score=most, cell_type="code")
    for row in rows:
        book.add_student(row["student_id"])
        when = datetime.datetime.fromisoformat(row["timestamp"])
        book.add_submission(name, row["student_id"], timestamp=when)
        book.find_grade("points", "lab", name, row["student_id"]).auto_score = float(row["score"])
        book.db.commit()
    CsvExportPlugin(to="theirs.csv").export(book)
"""


def test_labs_grade_writes_what_nbgrader_would_export(tool: Tool, tmp_path: Path) -> None:
    points = {"ada": [1, 1, 2], "bob": [1, 0, 0]}
    reports = [
        StudentReport(
            student,
            (ENTRY,),
            {
                each: GradedAnswer("passed" if earned else "failed", earned, ENTRY.points[each])
                for each, earned in zip(ENTRY.exercises, told, strict=True)
            },
            (),
            {ENTRY.id: "2027-03-01T10:20:30+00:00"},
        )
        for student, told in points.items()
    ]
    [ours] = FORMATS["nbgrader"](reports).values()
    (tmp_path / "ours.csv").write_text(ours)
    (tmp_path / "their_export.py").write_text(THEIR_EXPORT)
    tool(tmp_path, "their_export")
    theirs = (tmp_path / "theirs.csv").read_text()
    assert sorted(csv.reader(theirs.splitlines())) == sorted(csv.reader(ours.splitlines()))
