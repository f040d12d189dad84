"""The notebooks as they are stored: in step with the list of labs, tidy, and complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.claims import claims
from zerocopy_lab.classroom.exercises import exercises_of
from zerocopy_lab.classroom.lab import OPTIONAL_PARAMETERS, PARAMETERS
from zerocopy_lab.classroom.manifest import SOLUTIONS_DIR, LabEntry, labs
from zerocopy_lab.classroom.navigation import BOOTSTRAP, heading, way_on
from zerocopy_lab.publishing.tidy import EXERCISE_KEY, answers_of

ENTRIES = [pytest.param(entry, id=entry.name) for entry in labs().values()]
MOST_LINES = 15


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cell_with_id(notebook: Any, cell_id: str) -> Any:
    [cell] = [cell for cell in notebook.cells if cell.id == cell_id]
    return cell


def test_every_notebook_is_listed_and_every_listed_notebook_is_there() -> None:
    names = {entry.name for entry in labs().values()}
    assert {path.stem for path in LABS_DIR.glob("*.ipynb")} == names
    assert {path.stem for path in SOLUTIONS_DIR.glob("*.ipynb")} == names


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_list_names_what_exists(entry: LabEntry) -> None:
    assert entry.name.startswith(f"{entry.id}_")
    assert set(entry.claims) <= set(claims())
    assert set(entry.prerequisites) <= set(labs())
    assert list(entry.exercises) == [exercise.id for exercise in exercises_of(entry.id)]
    assert list(entry.points) == list(entry.exercises)
    assert min(entry.points.values()) > 0


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_student_notebook_is_stored_without_outputs(entry: LabEntry) -> None:
    notebook = read(entry.notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    for cell in code_of(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("entry", ENTRIES)
def test_headings_and_links_are_those_of_the_list(entry: LabEntry) -> None:
    notebook = read(entry.notebook)
    assert cell_with_id(notebook, "heading").source == heading(entry)
    assert cell_with_id(notebook, "next").source == way_on(entry)
    assert cell_with_id(notebook, "bootstrap").source.startswith(BOOTSTRAP)


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_heading_stands_twice_in_a_cell(entry: LabEntry) -> None:
    for cell in read(entry.notebook).cells:
        if cell.cell_type == "markdown":
            headings = [line for line in cell.source.splitlines() if line.startswith("#")]
            assert len(headings) == len(set(headings)), cell.id


@pytest.mark.parametrize("entry", ENTRIES)
def test_parameters_stand_in_the_one_cell_with_that_tag(entry: LabEntry) -> None:
    tagged = [
        c for c in code_of(read(entry.notebook)) if "parameters" in c.metadata.get("tags", [])
    ]
    [cell] = tagged
    assigned = {node.targets[0].id for node in ast.parse(cell.source).body}
    assert assigned == {*PARAMETERS, *OPTIONAL_PARAMETERS}


@pytest.mark.parametrize("entry", ENTRIES)
def test_cells_are_short_and_hold_no_class(entry: LabEntry) -> None:
    for cell in code_of(read(entry.notebook)):
        assert len(cell.source.splitlines()) <= MOST_LINES, cell.id
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.ClassDef)]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_lab_asks_for_a_prediction_has_a_widget_checks_and_concludes(entry: LabEntry) -> None:
    called = [
        node.func.id
        for cell in code_of(read(entry.notebook))
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert {"predict", "explore", "conclude", "start_lab"} <= set(called)
    assert called.count("check") == len(entry.exercises)
    assert called.count("conclude") == 1


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_solutions_are_the_lab_with_its_exercises_answered_and_executed(
    entry: LabEntry,
) -> None:
    unsolved, solved = read(entry.notebook), read(entry.solution)
    assert set(answers_of(solved)) == set(entry.exercises) == set(answers_of(unsolved))
    assert [cell.id for cell in solved.cells] == [cell.id for cell in unsolved.cells]
    for mine, theirs in zip(unsolved.cells, solved.cells, strict=True):
        if EXERCISE_KEY in mine.metadata:
            assert mine.source != theirs.source
        elif mine.id != "next":
            assert mine.source == theirs.source.replace("(../../docs/", "(../docs/")
    assert "widgets" not in solved.metadata
    assert "papermill" not in solved.metadata


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_stored_solutions_passed_without_an_error(entry: LabEntry) -> None:
    solved = read(entry.solution)
    told = ""
    for cell in code_of(solved):
        assert cell.execution_count is not None, f"{cell.id} was not executed"
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            told += str(output.get("data", {}).get("text/plain", ""))
    for exercise in entry.exercises:
        assert f"Exercise {exercise}: passed" in told


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_text_names_what_another_theme_turns_round(entry: LabEntry) -> None:
    """Light and dark change places in a picture under a dark theme: what is dark blue here is light
    blue there.
    """
    for cell in read(entry.notebook).cells:
        told = cell.source if cell.cell_type == "markdown" else ""
        assert not re.search(r"\b(dark|light|pale)(er)? (blue|green|orange|yellow|grey)\b", told)
        assert not re.search(r"\b(white|black) (wedge|bar|line|field|cell)s?\b", told)
