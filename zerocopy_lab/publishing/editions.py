"""Editions of the labs, each made from the one source: what students get, what a teacher gets.

    student       the labs with their stubs (proved to be stubs), no way to the solutions
    instructor    solved and executed, with the notes of docs/teaching.md where they are needed
    nbgrader      sources of a course of nbgrader's (`graders`)
    otter         assignments for Otter-Grader (`graders`)

An edition is a mapping from a file's path to its text, made of the labs' files alone: the same
labs give the same bytes. `write` puts it into a directory and overwrites nothing that is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zerocopy_lab.checkout import DOCS_DIR, FILES_DIR, LABS_DIR
from zerocopy_lab.classroom.manifest import SOLUTIONS_DIR, LabEntry
from zerocopy_lab.classroom.navigation import HEADING_CELL_ID, NEXT_CELL_ID, heading, next_lab
from zerocopy_lab.publishing.exercise_cells import require_stub
from zerocopy_lab.publishing.headless import read_notebook
from zerocopy_lab.publishing.teaching_notes import notes_on
from zerocopy_lab.publishing.tidy import EXERCISE_KEY, words_cell

GLOSSARY = "glossary.md"
_LINK = re.compile(r"\[([^\]\n]*)\]\((?:\.\./)*(?:\w+/)*(\w+)\.ipynb\)")


class NotReleased(ValueError):
    """Something else is already there where the release would write; the message says what."""


def student_edition(chosen: Sequence[LabEntry]) -> dict[str, str]:
    """The labs for students, beside each other. Raises NotAStub."""
    notebooks = {f"labs/{e.name}.ipynb": text_of(student_notebook(e, chosen)) for e in chosen}
    return {**notebooks, **_around("student")}


def instructor_edition(chosen: Sequence[LabEntry]) -> dict[str, str]:
    """The solved labs as they were stored, executed, with notes for whoever teaches them."""
    notebooks = {f"labs/{e.name}.ipynb": text_of(_instructor_notebook(e, chosen)) for e in chosen}
    teaching = (DOCS_DIR / "teaching.md").read_text(encoding="utf-8")
    return {**notebooks, "docs/teaching.md": teaching, **_around("instructor")}


def student_notebook(entry: LabEntry, chosen: Sequence[LabEntry]) -> Any:
    """A lab as it is handed out; links lead to the chosen labs only. Raises NotAStub."""
    notebook = _with_links_among(read_notebook(entry.notebook), entry, chosen)
    for cell in notebook.cells:
        if EXERCISE_KEY in cell.metadata:
            require_stub(cell)
    return notebook


def _instructor_notebook(entry: LabEntry, chosen: Sequence[LabEntry]) -> Any:
    notebook = _with_links_among(read_notebook(entry.solution), entry, chosen)
    notes = notes_on(entry)
    told: list[Any] = []
    for cell in notebook.cells:
        exercise_id = cell.metadata.get(EXERCISE_KEY)
        if exercise_id in notes.exercises:
            words = f"> **For whoever teaches, {exercise_id}:** {notes.exercises[exercise_id]}"
            told.append(words_cell(words, f"{cell.id}-for-teachers"))
        told.append(cell)
        if cell.id == HEADING_CELL_ID:
            words = f"## For whoever teaches\n\n{notes.text}"
            told.append(words_cell(words, "for-teachers"))
    notebook.cells = told
    return notebook


def _with_links_among(notebook: Any, entry: LabEntry, chosen: Sequence[LabEntry]) -> Any:
    names = {each.name for each in chosen}
    for cell in notebook.cells:
        if cell.id == HEADING_CELL_ID:
            cell.source = heading(entry, chosen)
        elif cell.id == NEXT_CELL_ID:
            cell.source = next_lab(entry, chosen)
        elif cell.cell_type == "markdown":
            cell.source = _LINK.sub(lambda link: _linked(link, names), cell.source)
    return notebook


def _linked(link: re.Match[str], names: set[str]) -> str:
    """A link to a lab that is not in the edition becomes its words."""
    words, name = link.groups()
    return f"[{words}]({name}.ipynb)" if name in names else words


def whole_copy() -> dict[str, str]:
    """The labs as they are, with solutions and documents: what a checkout has beside the code."""
    labs = [LABS_DIR / "labs.toml", *LABS_DIR.glob("*.ipynb"), *SOLUTIONS_DIR.glob("*.ipynb")]
    files = sorted([*labs, *DOCS_DIR.glob("*.md")])
    return {str(path.relative_to(FILES_DIR)): path.read_text("utf-8") for path in files}


def _around(edition: str) -> dict[str, str]:
    """What lies beside the notebooks: the words they link to, the list, and how to begin."""
    return {
        f"docs/{GLOSSARY}": glossary(),
        "labs/labs.toml": (LABS_DIR / "labs.toml").read_text(encoding="utf-8"),
        "README.md": _README.format(edition=edition),
    }


def glossary() -> str:
    """The words that every lab links to."""
    return (DOCS_DIR / GLOSSARY).read_text(encoding="utf-8")


def text_of(notebook: Any) -> str:
    """A notebook as a file's text. Raises nbformat.ValidationError."""
    import nbformat

    nbformat.validate(notebook)
    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]


def write(files: Mapping[str, str], directory: Path) -> None:
    """Writes an edition. What is there already and the same stays; anything else raises
    NotReleased before the first file is written.
    """
    paths = {directory / name: text for name, text in files.items()}
    other = [p for p, text in paths.items() if p.exists() and p.read_text("utf-8") != text]
    if other:
        listed = ", ".join(str(path) for path in other[:3])
        raise NotReleased(f"another file is there, remove it or choose a new directory: {listed}")
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


_README = """\
# zerocopy_lab, {edition} edition

Made by `labs release`. The notebooks in `labs/` need the package `zerocopy_lab` in the Python that
runs them (`pip install` it, then `jupyter lab labs`). In a course, put your id into `STUDENT` in
the first code cell. Results go to `out/`, beside this file; what is handed in is the notebook,
saved after it has run, or what then lies in `out/students/ID/evidence/`.
"""
