"""The three laws, over all notebooks: the mechanism is in the cell, learners build, a verdict says
what it is about.
"""

from __future__ import annotations

import ast
import json
from typing import Any

import nbformat
import pytest

from zerocopy_lab.classroom.exercises import exercises_of
from zerocopy_lab.classroom.manifest import LabEntry, labs
from zerocopy_lab.conformance.parts import PARTS
from zerocopy_lab.publishing.tidy import EXPLANATION, opened_by_the_reader

NO_PART = {"00", "06", "09", "10", "12", "13", "14"}
"""Labs in which nothing new of a broker is built (in 12, all parts come together)."""

MOST_BARE_LINES = 15

ENTRIES = [pytest.param(entry, id=entry.name) for entry in labs().values()]


def code_of(entry: LabEntry) -> list[Any]:
    notebook = nbformat.read(entry.notebook, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def calls_of(entry: LabEntry, function: str) -> list[ast.Call]:
    """The calls of a verb in the notebook's cells."""
    return [
        node
        for cell in code_of(entry)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function
    ]


# -- 1: the mechanism is in the cell ---------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_cells_name_the_labs_system_calls(entry: LabEntry) -> None:
    assert entry.system_calls, "labs.toml names none"
    cells = [cell.source for cell in code_of(entry) if cell.id != "bootstrap"]
    missing = [name for name in entry.system_calls if not any(name in cell for cell in cells)]
    assert not missing, f"no code cell holds {missing}"
    assert all(len(cell.splitlines()) <= MOST_BARE_LINES for cell in cells)


@pytest.mark.parametrize("entry", ENTRIES)
def test_question_choices_and_what_they_would_mean_stand_together(entry: LabEntry) -> None:
    predictions = calls_of(entry, "predict")
    assert predictions
    for call in predictions:
        question, choices = call.args[:2]
        assert isinstance(ast.literal_eval(question), str)
        meanings = ast.literal_eval(choices)
        assert len(meanings) >= 2
        assert all(meaning.strip() for meaning in meanings.values())


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_guess_folds_a_result_and_is_compared(entry: LabEntry) -> None:
    source = "\n".join(cell.source for cell in code_of(entry))
    tree = ast.parse(source)
    guesses = [
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "predict"
    ]
    assert len(guesses) == len(set(guesses)) == len(calls_of(entry, "predict"))
    for guess in guesses:
        assert f"{guess}.fold()" in source
        assert f"{guess}.compare(" in source


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_explanation_of_what_was_measured_is_opened_by_the_reader(entry: LabEntry) -> None:
    """Run All without a guess puts nothing that tells the outcome before anybody's eyes."""
    notebook = nbformat.read(entry.notebook, as_version=4)
    explained = [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "markdown" and cell.source.startswith(EXPLANATION)
    ]
    assert explained
    assert explained == list(map(opened_by_the_reader, explained)), "labs tidy folds them"


# -- 2: learners build -----------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_lab_has_exercises_with_hints_and_one_of_them_is_code(entry: LabEntry) -> None:
    exercises = exercises_of(entry.id)
    assert len(exercises) >= 3
    assert any(exercise.takes_code for exercise in exercises)
    assert all(len(exercise.hints) == 3 for exercise in exercises)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_lab_builds_its_parts_and_keeps_them(entry: LabEntry) -> None:
    assert (not entry.parts) == (entry.id in NO_PART)
    assert all(PARTS[name].lab == entry.id for name in entry.parts)
    assert [e.part for e in exercises_of(entry.id) if e.part] == list(entry.parts)
    kept = [ast.literal_eval(call.args[0]) for call in calls_of(entry, "keep")]
    assert kept == list(entry.parts)


# -- 3: a verdict says what it is about ------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_stored_solution_says_what_each_verdict_is_about(entry: LabEntry) -> None:
    solved = nbformat.read(entry.solution, as_version=4)
    told = "\n".join(
        str(output.get("data", {}).get("text/plain", ""))
        for cell in solved.cells
        for output in cell.get("outputs", [])
    )
    for claim_id in entry.claims:
        heads = [
            line for line in told.splitlines() if line.startswith((f"{claim_id}:", f"{claim_id} ("))
        ]
        assert heads, claim_id
        assert all("· about " in head for head in heads), json.dumps(heads)
