"""A lab as slides, by nbconvert from the solved notebook: what a lecture shows of it.

A heading of the lab begins a slide, a paragraph without one a slide below it. Code stands there at
once and what it gave comes with the next key: first the question, then the guess of the room, then
the outcome. What only somebody who works in the notebook needs is left out (parameters, imports,
links) and so are the answers of the exercises. Notes for whoever teaches are the speaker's notes.

The page holds all pictures. What turns it over, reveal.js and RequireJS, comes from the web when it
is shown (reveal.js from elsewhere, if `reveal` says so); without them the slides stand one below
the other.
"""

from __future__ import annotations

import copy
import html
from typing import Any

from zerocopy_lab.classroom.manifest import LabEntry
from zerocopy_lab.classroom.navigation import HEADING_CELL_ID, NEXT_CELL_ID
from zerocopy_lab.classroom.notebook_output import PICTURE_KEY
from zerocopy_lab.publishing.headless import read_notebook
from zerocopy_lab.publishing.teaching_notes import notes_on
from zerocopy_lab.publishing.tidy import EXERCISE_KEY, words_cell

_FOR_WORK_ONLY = {"bootstrap", NEXT_CELL_ID}


def slides_of(entry: LabEntry, *, reveal: str | None = None) -> str:
    """The slides as one HTML page; `reveal` is where reveal.js lies."""
    from nbconvert import SlidesExporter

    notebook = read_notebook(entry.solution)
    shown = [cell for cell in notebook.cells if _is_shown(cell)]
    notebook.cells = [piece for cell in shown for piece in _pieces(cell, entry)]
    notes = words_cell(notes_on(entry).text, "for-teachers")
    notes.metadata["slideshow"] = {"slide_type": "notes"}
    notebook.cells.insert(1, notes)
    notebook.metadata["title"] = f"{entry.id} {entry.title}"
    place = {"reveal_url_prefix": reveal} if reveal else {}
    size = {"reveal_width": "1280", "reveal_height": "800"}  # 100 characters of code in a line
    exporter = SlidesExporter(reveal_scroll=True, **size, **place)  # type: ignore[no-untyped-call]
    page, _ = exporter.from_notebook_node(notebook)
    return str(page)


def _pieces(cell: Any, entry: LabEntry) -> list[Any]:
    """A cell's slide, or of code two parts of a slide: the source, and what came of it."""
    if cell.cell_type == "markdown":
        begins = cell.id == HEADING_CELL_ID or cell.source.startswith("## ")
        cell.metadata["slideshow"] = {"slide_type": "slide" if begins else "subslide"}
        cell.source = cell.source.replace("<details>", "<details open>")
        if cell.id == HEADING_CELL_ID:
            cell.source = f"# {entry.id} · {entry.title}\n\n{entry.asks}"
        return [cell]
    cell.metadata["slideshow"] = {"slide_type": "-"}
    outcome = copy.deepcopy(cell)
    outcome.id = f"{cell.id}-outcome"
    outcome.metadata = {
        "slideshow": {"slide_type": "fragment"},
        "transient": {"remove_source": True},  # as nbconvert itself marks a cell without input
    }
    for output in outcome.outputs:
        _say_what_is_seen(output)
    cell.outputs = []
    return [cell, outcome] if outcome.outputs else [cell]


def _say_what_is_seen(output: Any) -> None:
    """Writes a picture as HTML: nbconvert's template leaves its alternative text out."""
    if PICTURE_KEY in output.get("metadata", {}):
        png, alt = output.data["image/png"], output.metadata["image/png"]["alt"]
        source = f"data:image/png;base64,{''.join(png.split())}"
        output.data = {"text/html": f'<img src="{source}" alt="{html.escape(alt)}">'}


def _is_shown(cell: Any) -> bool:
    is_set_up = "parameters" in cell.metadata.get("tags", [])
    return not (is_set_up or cell.id in _FOR_WORK_ONLY or EXERCISE_KEY in cell.metadata)
