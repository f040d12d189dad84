"""Notebooks as they are stored: without outputs, with the list's headings and links, the same for
everybody.

`labs tidy` rewrites the student notebooks. `labs solve` runs the solved ones and stores them with
outputs, so that they can be read where nothing runs: every cell comes from the student notebook,
except those whose `exercise` metadata says that the solution has its own, and what a runner
leaves behind (its parameters cell, its metadata, widget state) is taken out, because viewers
refuse notebooks over it.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from zerocopy_lab.classroom.lab import OURS
from zerocopy_lab.classroom.manifest import LabEntry
from zerocopy_lab.classroom.navigation import HEADING_CELL_ID, NEXT_CELL_ID, heading, way_on
from zerocopy_lab.classroom.notebook_output import EVIDENCE_MIME
from zerocopy_lab.publishing.headless import execute, read_notebook
from zerocopy_lab.running.scratch import ScratchDirectory

EXERCISE_KEY = "exercise"
EXPLANATION = "## What happened"
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def tidied(notebook: Any, entry: LabEntry) -> Any:
    """The student notebook as it is to be stored; changes and returns `notebook`."""
    for cell in notebook.cells:
        cell.metadata = _kept_metadata(cell.metadata)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if cell.cell_type == "markdown":
            cell.source = opened_by_the_reader(cell.source)
        if cell.id == HEADING_CELL_ID:
            cell.source = heading(entry)
        if cell.id == NEXT_CELL_ID:
            cell.source = way_on(entry)
    notebook.metadata = _METADATA
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def opened_by_the_reader(source: str) -> str:
    """An explanation of what was measured gives the outcome away, with Run All too: it is folded.
    (As plain HTML around markdown, which works where nothing runs.)
    """
    title, _, explanation = source.partition("\n\n")
    if title != EXPLANATION or explanation.startswith("<details>"):
        return source
    summary = "Open it when you have seen the result."
    return f"{title}\n\n<details>\n<summary>{summary}</summary>\n\n{explanation}\n\n</details>"


def _kept_metadata(metadata: Any) -> dict[str, Any]:
    """Only what a lab means by it: tags and the exercise that a cell answers."""
    return {key: metadata[key] for key in ("tags", EXERCISE_KEY) if metadata.get(key)}


def store(notebook: Any, path: Path) -> None:
    """Validates a notebook and writes it; nbformat.ValidationError when it is none."""
    import nbformat

    nbformat.validate(notebook)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


def words_cell(source: str, cell_id: str) -> Any:
    """A new markdown cell."""
    import nbformat

    return nbformat.v4.new_markdown_cell(source, id=cell_id)  # type: ignore[no-untyped-call]


def tidy(entry: LabEntry) -> None:
    """Rewrites the student notebook in place."""
    store(tidied(read_notebook(entry.notebook), entry), entry.notebook)


def solve(entry: LabEntry, *, fast: bool, seed: int) -> str | None:
    """Runs the solved notebook and stores it executed; returns what stopped it, or None."""
    with ScratchDirectory("solve") as scratch:
        unsolved, solved = read_notebook(entry.notebook), read_notebook(entry.solution)
        merged, executed = scratch.path / "merged.ipynb", scratch.path / "executed.ipynb"
        store(with_answers(unsolved, answers_of(solved), entry), merged)
        parameters = {
            "FAST": fast,
            "SEED": seed,
            "OUT_DIR": str(scratch.path),
            "BROKER": OURS,
        }
        failure = execute(merged, executed, parameters, timeout_s=entry.timeout_s)
        if failure is None:
            store(readable(read_notebook(executed)), entry.solution)
    return failure


def answers_of(solved: Any) -> dict[str, str]:
    """Exercise id -> the source of the cell that answers it."""
    return {
        cell.metadata[EXERCISE_KEY]: cell.source
        for cell in solved.cells
        if EXERCISE_KEY in cell.metadata
    }


def with_answers(unsolved: Any, answers: dict[str, str], entry: LabEntry) -> Any:
    """The student notebook with its exercise cells answered."""
    for cell in unsolved.cells:
        cell.source = answers.get(cell.metadata.get(EXERCISE_KEY), cell.source)
        if cell.id == HEADING_CELL_ID:  # solutions lie one directory further down
            cell.source = cell.source.replace("(../docs/", "(../../docs/")
        if cell.id == NEXT_CELL_ID:
            cell.source = (
                f"These were the solutions. Back to [the lab itself](../{entry.name}.ipynb)."
            )
    return unsolved


def readable(executed: Any) -> Any:
    """An executed notebook without what papermill and widgets leave in it."""
    executed.cells = [
        cell
        for cell in executed.cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    for cell in executed.cells:
        cell.metadata = _kept_metadata(cell.metadata)
        for output in cell.get("outputs", []):
            _forget_places(output)
            output.get("data", {}).pop(EVIDENCE_MIME, None)
            if "image/png" in output.get("data", {}):
                output["data"].pop("text/html", None)  # the same PNG again: code hosts take either
    executed.metadata = _METADATA
    return executed


def _forget_places(output: Any) -> None:
    """Scratch directories of this run become `…`: they mean nothing to a reader, and are gone."""
    scratch = re.compile(re.escape(tempfile.gettempdir()) + r"/[\w.-]+")
    for holder, keys in (
        (output, ("text",)),
        (output.get("data", {}), ("text/plain", "text/html")),
    ):
        for key in keys:
            if isinstance(holder.get(key), str):
                holder[key] = scratch.sub("…", holder[key])
