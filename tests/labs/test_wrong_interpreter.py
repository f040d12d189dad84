"""A notebook that was opened in another Python says which kernel to choose."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest

from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.manifest import LabEntry, labs

ENTRIES = [pytest.param(entry, id=entry.name) for entry in labs().values()]


def said_by(source: str, *options: str) -> str:
    """The last line of what Python says of a cell that fails in a notebook's directory."""
    command = [sys.executable, "-E", *options, "-c", source]
    ended = subprocess.run(command, cwd=LABS_DIR, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    return ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_import_cell_says_which_kernel_to_choose(entry: LabEntry) -> None:
    notebook = nbformat.read(entry.notebook, as_version=4)
    [cell] = [cell for cell in notebook.cells if cell.id == "bootstrap"]
    said = said_by(cell.source, "-S")  # without site-packages, as another Python has none of ours
    assert "WrongInterpreter: the labs cannot run in " in said
    assert "lacks confluent_kafka" in said
    assert "Choose the Python in .venv of this checkout (in a notebook: as its kernel)" in said


def test_a_python_that_is_too_old_is_named() -> None:
    source = """
import sys
sys.path.insert(0, "..")
sys.version_info = (3, 9, 18)
import zerocopy_lab.classroom.notebook
"""
    said = said_by(source)
    assert "which is Python 3.9. Choose the Python in .venv" in said
