"""Submissions that nobody handed in: made from the stored solutions and from bad intentions."""

from __future__ import annotations

import ast
import io
import linecache
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

from zerocopy_lab.classroom.evidence_file import evidence_path
from zerocopy_lab.classroom.exercises import as_given
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import LabEntry, labs
from zerocopy_lab.classroom.student import results_of, seed_of
from zerocopy_lab.publishing.tidy import answers_of


@cache
def _solutions(lab_id: str) -> tuple[dict[str, str], str]:
    """Exercise id -> the source of its cell, and what the notebook imports."""
    notebook = nbformat.read(labs()[lab_id].solution, as_version=4)
    imports = [
        ast.unparse(node)
        for cell in notebook.cells
        if cell.cell_type == "code"
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return answers_of(notebook), "\n".join(imports)


def lab_of(student: str, entry: LabEntry, out_dir: Path, problem: int = 1) -> Lab:
    results = results_of(out_dir, student) / entry.name
    seed = seed_of(student, problem)
    return Lab(entry, True, seed, results, True, student=student, problem=problem)


def right_answer(exercise_id: str, lab: Lab) -> tuple[str, str]:
    """Kind and text of what the solution's cell answers to this student's numbers."""
    cells, imports = _solutions(lab.entry.id)
    given: dict[str, tuple[str, str]] = {}

    def check(asked: str, answer: object) -> str:
        if asked == exercise_id:
            given[asked] = as_given(answer)
        return "not asked"

    around: dict[str, Any] = {}
    exec(imports, around)
    around |= {"lab": lab, "check": check}
    for each, source in cells.items():  # an answer may lean on those before it
        name = f"<solution {each}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        with redirect_stdout(io.StringIO()):
            exec(compile(source, name, "exec"), around)
        if each == exercise_id:
            break
    return given[exercise_id]


def hand_in(
    student: str,
    out_dir: Path,
    changes: dict[str, tuple[str, str] | None] | None = None,
    *,
    only: tuple[str, ...] = (),
    conclusion: dict[str, Any] | None = None,
) -> Path:
    """All labs' evidence with right answers, but for the `changes` (None: not attempted); `only`
    labs with these ids. The directory.
    """
    changes = changes or {}
    for entry in labs().values():
        if only and entry.id not in only:
            continue
        lab = lab_of(student, entry, out_dir)
        for exercise_id in entry.exercises:
            given = changes.get(exercise_id, ("", ""))
            if given is None:
                lab.record_answer(exercise_id, "not attempted", "value", "None")
                continue
            kind, answer = right_answer(exercise_id, lab) if given == ("", "") else given
            lab.record_answer(exercise_id, "passed", kind, answer)
        lab.save(conclusion)
    return evidence_path(lab.out_root, lab.entry).parent
