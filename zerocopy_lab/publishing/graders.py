"""The labs as coursework for two graders: nbgrader's sources, and Otter-Grader's assignments.

Both get one assignment for each lab, in fast mode. A submission leaves what it makes beside itself,
so that nobody's part runs in another's broker. Points come from `labs/labs.toml`, for an answer
that `check` passes; there are no points for a clock.

    NBGRADER/nbgrader_config.py, source/05_zero_copy/05_zero_copy.ipynb
    OTTER/05_zero_copy/05_zero_copy.ipynb, tests/05.1.py, otter_config.json

nbgrader clears what stands between its marks and keeps the rest, so the stub stands in front of
the marks and the solution between them: what its `generate_assignment` hands out is our stub, and
what it runs as the source is solved. The cell that gives the points is nbgrader's own kind
(locked, its value is the credit); it never raises, so *Run All* goes on behind it.

Left out: telling an answer from a changed `check`. A notebook that grades itself can be made to
lie, whoever runs it; `labs grade` asks again outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zerocopy_lab.classroom.manifest import LabEntry, labs
from zerocopy_lab.publishing.editions import GLOSSARY, glossary, student_notebook, text_of
from zerocopy_lab.publishing.exercise_cells import ExerciseCell, own_statements, taken_apart
from zerocopy_lab.publishing.headless import read_notebook
from zerocopy_lab.publishing.tidy import EXERCISE_KEY, answers_of

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_SCHEMA_VERSION = 3  # of nbgrader's metadata of a cell, nbgrader/nbgraderformat/v3.py
_AT_LEISURE, _FAST = "FAST = False", "FAST = True"


def nbgrader_edition(chosen: Sequence[LabEntry]) -> dict[str, str]:
    """A course's configuration and the source of an assignment for each lab. Raises NotAStub."""
    files = {"nbgrader_config.py": _nbgrader_config()}
    for entry in chosen:
        directory = f"source/{entry.name}"
        files[f"{directory}/{entry.name}.ipynb"] = text_of(_nbgrader_source(entry))
        files[f"{directory}/{GLOSSARY}"] = glossary()
    return files


def otter_edition(chosen: Sequence[LabEntry]) -> dict[str, str]:
    """A directory for each lab, ready for `otter generate` and `otter run`. Raises NotAStub."""
    files = {}
    for entry in chosen:
        notebook = _coursework(entry)
        notebook.metadata = {**notebook.metadata, "otter": {"assignment_name": entry.name}}
        files[f"{entry.name}/{GLOSSARY}"] = glossary()
        files[f"{entry.name}/otter_config.json"] = _otter_config(entry)
        for cell, pieces in _exercises(notebook):
            cell.metadata["otter"] = {"tests": [pieces.exercise_id]}
            points = entry.points[pieces.exercise_id]
            test = _OTTER_TEST.format(id=pieces.exercise_id, answer=pieces.answer, points=points)
            files[f"{entry.name}/tests/{pieces.exercise_id}.py"] = test
        files[f"{entry.name}/{entry.name}.ipynb"] = text_of(notebook)
    return files


def _coursework(entry: LabEntry) -> Any:
    """A lab alone in its directory, with the parameters of a graded run."""
    notebook = student_notebook(entry, [entry])
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            if _AT_LEISURE not in cell.source.splitlines():
                raise ValueError(f"lab {entry.id} does not set its parameters by {_AT_LEISURE}")
            cell.source = cell.source.replace(_AT_LEISURE, _FAST)
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(f"../docs/{GLOSSARY}", GLOSSARY)
    return notebook


def _exercises(notebook: Any) -> Iterator[tuple[Any, ExerciseCell]]:
    for cell in notebook.cells:
        if EXERCISE_KEY in cell.metadata:
            yield cell, taken_apart(cell.metadata[EXERCISE_KEY], cell.source)


def _nbgrader_source(entry: LabEntry) -> Any:
    notebook = _coursework(entry)
    answers = answers_of(read_notebook(entry.solution))
    cells_of_points: dict[str, Any] = {}
    for cell, stub in _exercises(notebook):
        exercise_id = stub.exercise_id
        answer = own_statements(stub, taken_apart(exercise_id, answers[exercise_id]))
        cell.source = "\n".join([stub.before.rstrip(), "", BEGIN, answer, END, stub.check])
        cell.metadata["nbgrader"] = _nbgrader(f"{cell.id}-answer", solution=True)
        points = entry.points[exercise_id]
        source = _POINTS.format(id=exercise_id, answer=stub.answer, points=points)
        graded = _code_cell(source.strip(), f"{cell.id}-points")
        graded.metadata["nbgrader"] = {
            **_nbgrader(graded.id, grade=True, locked=True),
            "points": points,
        }
        cells_of_points[cell.id] = graded
    notebook.cells = [
        each for cell in notebook.cells for each in (cell, cells_of_points.get(cell.id)) if each
    ]
    return notebook


def _code_cell(source: str, cell_id: str) -> Any:
    import nbformat

    return nbformat.v4.new_code_cell(source, id=cell_id)  # type: ignore[no-untyped-call]


def _nbgrader(
    grade_id: str, *, grade: bool = False, solution: bool = False, locked: bool = False
) -> Mapping[str, object]:
    return {
        "grade": grade,
        "grade_id": grade_id,
        "locked": locked,
        "schema_version": _SCHEMA_VERSION,
        "solution": solution,
        "task": False,
    }


def _nbgrader_config() -> str:
    longest_s = max(entry.timeout_s for entry in labs().values())
    return _NBGRADER_CONFIG.format(timeout_s=longest_s)


def _otter_config(entry: LabEntry) -> str:
    return json.dumps({"assignment_name": entry.name, "show_stdout": True}, indent=2) + "\n"


_POINTS = """\
# Worth {points}, if it is right: nbgrader reads the value of this cell.
from zerocopy_lab.classroom.exercises import check

{points} * (check("{id}", {answer}) == "passed")
"""

_NBGRADER_CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "zerocopy_lab"
# Of one cell, in seconds: the longest that a lab allows itself. nbgrader's own 30 are too few.
c.Execute.timeout = {timeout_s}
# Stubs stand in front of the solutions already; nothing is to be put in their place.
c.ClearSolutions.code_stub = {{"python": ""}}
"""

_OTTER_TEST = """\
OK_FORMAT = False

from otter.test_files import test_case

name = "{id}"
points = {points}


@test_case(points={points}, hidden=False)
def exam({answer}):
    from zerocopy_lab.classroom.exercises import check

    check("{id}", {answer}, raising=True)
"""
