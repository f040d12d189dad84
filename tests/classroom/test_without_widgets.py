"""What a front end shows that knows no widgets: a kernel that somebody watches, and what is left of
its outputs when those of ipywidgets are not rendered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
CELLS = (
    """
from zerocopy_lab.classroom.notebook import Slider, explore, predict, start_lab
from zerocopy_lab.pictures.theme import new_picture

def draw(height):
    picture = new_picture(1.5, f"{height} high", "")
    picture.alt = f"{height} high"
    return picture

lab = start_lab("00", {"FAST": True, "SEED": 1, "OUT_DIR": "out", "BROKER": "zerocopy_lab"})
""",
    "asked = predict('How high?', {'low': 'It is small.', 'high': 'It is large.'})",
    """
explore(draw, {"height": Slider(1, 9, 3)}, [{"height": 2}, {"height": 9}], "so {height}".format,
        name="height")
""",
    "asked = predict('How high?', {'low': 'It is small.', 'high': 'It is large.'}, guess=2)",
    "asked.compare('high')",
)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """For each cell what such a front end has to show: HTML, else text."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute(cwd=str(tmp_path))
    return [[shown_of(output) for output in cell.outputs] for cell in notebook.cells]


def shown_of(output: Any) -> str:
    data = output.get("data", {})
    return str(data.get("text/html") or data.get("text/plain") or output.get("text", ""))


def test_a_sentence_stands_for_the_controls_and_the_rest_is_there(shown: list[list[str]]) -> None:
    begun, question, explored, guessed, compared = map("\n".join, shown)
    assert "Lab 00 has begun" in begun
    assert "1. low" in question
    assert "put guess= and the number of your choice into the call above" in question
    for cell in (question, explored):
        assert "Controls need their kernel and a page with widgets" in cell
        assert "VBox(" not in cell
    assert "<details" not in explored, "what was folded opened with the guess in a cell below"
    assert explored.count("<img") == 2
    for height in (2, 9):
        assert f"so {height}" in explored
    assert "Your prediction is noted" in guessed
    assert "As you predicted" in compared
