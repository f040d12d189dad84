"""Every lab in a real browser: it opens, runs, its widgets answer, nothing goes wrong unseen."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import nbformat
import pytest
from playwright.sync_api import Locator, Page

from tests.browser.conftest import SCREENSHOTS, JupyterLab
from tests.browser.notebook_page import (
    PICTURE_TIMEOUT_MS,
    NotebookPage,
    explorer_of,
    move,
    picture_bytes_digest,
)
from zerocopy_lab.workbench.manifest import LabEntry, labs

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LABS = list(labs().values())


def set_parameters(notebook: Path, out_dir: Path) -> None:
    """As a learner would edit the parameters cell: less data, results elsewhere."""
    content = nbformat.read(notebook, as_version=4)
    [cell] = [c for c in content.cells if "parameters" in c.metadata.get("tags", [])]
    cell.source = f"FAST = True\nSEED = 1\nOUT_DIR = {str(out_dir)!r}"
    nbformat.write(content, notebook)


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_lab_runs_and_its_widgets_answer(
    lab: LabEntry, jupyterlab: JupyterLab, page: Page, tmp_path: Path
) -> None:
    """Run All, then every control of the lab changes its picture, and no error anywhere."""
    name = f"{lab.name}.ipynb"
    set_parameters(jupyterlab.directory / name, tmp_path)
    notebook = NotebookPage(page, jupyterlab.url_of(name))
    notebook.screenshot(SCREENSHOTS / f"{lab.name}-opened.png")
    notebook.run_all(timeout_s=lab.timeout_s)
    notebook.show_everything()
    assert notebook.problems() == []
    controls = notebook.controls()
    assert controls.count() > 0, "a lab has at least one widget"
    for control in controls.all():
        answers(control)
    notebook.screenshot(SCREENSHOTS / f"{lab.name}-explored.png")
    assert notebook.problems() == []
    assert notebook.strangers == set(), "a lab needs no network"


def answers(control: Locator, timeout_ms: int = PICTURE_TIMEOUT_MS) -> None:
    """Moving the control (and pressing the button, where there is one) changes the picture."""
    explorer = explorer_of(control)
    button = explorer.locator("button.jupyter-button")
    control.scroll_into_view_if_needed()
    if button.count():
        button.click()
    before = drawn(explorer, timeout_ms, other_than=None)
    move(control)
    if button.count():
        button.click()
    drawn(explorer, timeout_ms, other_than=before)


def drawn(explorer: Locator, timeout_ms: int, other_than: str | None) -> str:
    """Waits until the picture is there and is another one; its digest."""
    explorer.locator("img.widget-image").first.wait_for(timeout=timeout_ms)
    deadline = time.monotonic() + timeout_ms / 1000
    while (digest := picture_bytes_digest(explorer)) == other_than:
        assert time.monotonic() < deadline, f"the picture did not change within {timeout_ms} ms"
        explorer.page.wait_for_timeout(100)
    return digest


BROKEN_LAB = """\
import io
from types import SimpleNamespace
from matplotlib.figure import Figure
from zerocopy_lab.workbench.explore import Slider, panel

def draw(shown):
    if {condition}:
        raise ZeroDivisionError("a callback that fails")
    figure, png = Figure((1, 1)), io.BytesIO()
    figure.text(0.5, 0.5, {text})
    figure.savefig(png)
    return SimpleNamespace(png=png.getvalue)

panel(draw, {{"shown": Slider(1, 9, 1)}}, lambda shown: "", button=None, height_px=100)
"""


def opened(jupyterlab: JupyterLab, page: Page, source: str) -> NotebookPage:
    """A notebook of one cell, run, with a kernel of its own."""
    name = f"{uuid4().hex}.ipynb"
    content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    content.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(content, jupyterlab.directory / name)
    notebook = NotebookPage(page, jupyterlab.url_of(name))
    notebook.run_all(timeout_s=60)
    return notebook


def test_a_callback_that_fails_is_seen(jupyterlab: JupyterLab, page: Page) -> None:
    """The cell ran, the exit code would be 0: only the page shows that the slider is broken."""
    notebook = opened(jupyterlab, page, BROKEN_LAB.format(condition="shown > 1", text="'x'"))
    assert notebook.problems() == []
    move(notebook.controls().first)
    page.get_by_text("a callback that fails").first.wait_for()
    assert any("ZeroDivisionError" in problem for problem in notebook.problems())


def test_a_slider_that_does_nothing_is_seen(jupyterlab: JupyterLab, page: Page) -> None:
    """The same picture for every value, and then a picture that does follow."""
    notebook = opened(jupyterlab, page, BROKEN_LAB.format(condition="False", text="'x'"))
    with pytest.raises(AssertionError, match="did not change"):
        answers(notebook.controls().first, timeout_ms=3_000)
    notebook = opened(jupyterlab, page, BROKEN_LAB.format(condition="False", text="str(shown)"))
    answers(notebook.controls().first, timeout_ms=10_000)


def test_a_cell_that_raises_is_seen(jupyterlab: JupyterLab, page: Page) -> None:
    """Errors and warnings in cells."""
    notebook = opened(jupyterlab, page, "import sys; print('oh', file=sys.stderr); [][0]")
    assert notebook.problems() == ["IndexError: list index out of range", "oh\n"]
