"""Is an executed notebook really all right? What a green run does not tell.

A runner stops at a cell that raises and is content with everything else. But an exception inside
a widget's callback leaves its trace only in the widget's state, a picture that was never drawn
leaves nothing at all, and a warning on stderr is just another output. So every run is read once
more, and what is wrong is said in words. No problem found: an empty list.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from zerocopy_lab.classroom.explore import ERROR_MARK
from zerocopy_lab.classroom.manifest import LabEntry
from zerocopy_lab.classroom.notebook_output import PICTURE_KEY, WORDS_KEY, png_dimensions_px

_WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SMALLEST_PICTURE_PX = 100


class ShownPicture(NamedTuple):
    """A picture found in a notebook: its name, its PNG, what it shows, the words under it."""

    name: str
    png: bytes
    alt: str
    words: str


def problems_of(
    notebook: Mapping[str, Any], entry: LabEntry, conclusion: Mapping[str, Any]
) -> list[str]:
    """Everything that is wrong with an executed notebook and with what it concluded ({}: it did
    not).
    """
    return [
        *errors_in_outputs(notebook),
        *_errors_in_widgets(notebook),
        *_missing_pictures(notebook, entry),
        *_missing_conclusion(entry, conclusion),
    ]


def pictures_of(notebook: Mapping[str, Any]) -> list[ShownPicture]:
    """The pictures that were shown under a name, in order."""
    return [
        ShownPicture(
            output["metadata"][PICTURE_KEY],
            base64.b64decode(output["data"]["image/png"]),
            output["metadata"]["image/png"]["alt"],
            output["metadata"][WORDS_KEY],
        )
        for _, output in _outputs(notebook)
        if PICTURE_KEY in output.get("metadata", {})
    ]


def _outputs(notebook: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            yield cell, output


def errors_in_outputs(notebook: Mapping[str, Any]) -> Iterator[str]:
    """What cells raised, and what they wrote to stderr."""
    for cell, output in _outputs(notebook):
        if output["output_type"] == "error":
            yield f"{_named(cell)} raised {output['ename']}: {output['evalue']}"
        if output["output_type"] == "stream" and output["name"] == "stderr":
            yield f"{_named(cell)} wrote to stderr: {output['text'].strip()[:300]}"


def _named(cell: Mapping[str, Any]) -> str:
    """A cell so that it can be found: by its id in the file, by its first line on the screen.

    Its number says nothing: a runner adds a cell with parameters, and when something was raised
    two more with remarks, so that the numbers differ from those that a learner sees.
    """
    lines = "".join(cell.get("source", "")).strip().splitlines()
    return f"cell {cell['id']}" + (f" ({lines[0][:60]})" if lines else "")


def _errors_in_widgets(notebook: Mapping[str, Any]) -> Iterator[str]:
    widgets = notebook.get("metadata", {}).get("widgets", {}).get(_WIDGET_STATE, {})
    for model_id, model in widgets.get("state", {}).items():
        state = model.get("state", {})
        for output in state.get("outputs", ()):
            if output["output_type"] == "error":
                yield f"widget {model_id} holds {output['ename']}: {output['evalue']}"
        if ERROR_MARK in str(state.get("value", "")):
            yield f"widget {model_id} shows an error: {str(state['value'])[-300:]}"


def _missing_pictures(notebook: Mapping[str, Any], entry: LabEntry) -> Iterator[str]:
    there = {picture.name: picture for picture in pictures_of(notebook)}
    for name in entry.pictures:
        if name not in there:
            yield f"picture {name!r} is missing"
        elif not _is_a_picture(there[name].png):
            yield f"picture {name!r} is no picture to look at ({len(there[name].png)} bytes)"


def _is_a_picture(png: bytes) -> bool:
    return png.startswith(_PNG_SIGNATURE) and min(png_dimensions_px(png)) >= _SMALLEST_PICTURE_PX


def _missing_conclusion(entry: LabEntry, conclusion: Mapping[str, Any]) -> Iterator[str]:
    if not conclusion:
        yield "there is no conclusion"
        return
    concluded = {found["claim_id"] for found in conclusion["findings"]}
    for claim_id in entry.claims:
        if claim_id not in concluded:
            yield f"the conclusion has no verdict on {claim_id}"
    for name, holds in conclusion["invariants"].items():
        if not holds:
            yield f"an invariant does not hold: {name}"
