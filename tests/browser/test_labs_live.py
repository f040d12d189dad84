"""Every lab in a real browser: it opens, runs, its widgets answer, nothing goes wrong unseen.

One JupyterLab and one window serve all of them. While a lab's widgets are tried, the next one
already runs: labs have to bear company, and it saves half of the time.
"""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import nbformat
import pytest
from playwright.sync_api import Locator

from tests.browser.conftest import SCREENSHOTS, JupyterLab
from tests.browser.notebook_page import (
    GONE,
    PICTURE_TIMEOUT_MS,
    NotebookPage,
    Window,
    explorer_of,
    move,
    picture_bytes_digest,
)
from zerocopy_lab.classroom.evidence_file import evidence_of
from zerocopy_lab.classroom.explore import BUTTON_CLASS
from zerocopy_lab.classroom.manifest import LabEntry, labs
from zerocopy_lab.classroom.notebook_output import PICTURE_CLASS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

EVERY_KIND = ("00", "05", "06", "09", "12", "14")
"""Labs that together have every kind of control. The others do the same again, and are run by name:
`python3 ci/check.py every-lab`.
"""
LABS = [
    pytest.param(lab, id=lab.name, marks=() if lab.id in EVERY_KIND else pytest.mark.every_lab)
    for lab in labs().values()
]
FEWEST_PICTURES = 5  # of a play


class Stage:
    """The labs that were chosen, in order: each is opened and run ahead of its turn."""

    def __init__(self, jupyterlab: JupyterLab, window: Window, chosen: list[str]) -> None:
        self._jupyterlab, self._window, self._chosen = jupyterlab, window, chosen
        self._running: dict[str, NotebookPage] = {}

    def notebook_of(self, name: str) -> NotebookPage:
        """A lab's notebook, running or already run; the next lab begins as well."""
        turn = self._chosen.index(name)
        for ahead in self._chosen[turn : turn + 2]:
            if ahead not in self._running:
                self._running[ahead] = self._begin(ahead)
        return self._running[name]

    def _begin(self, name: str) -> NotebookPage:
        directory = self._jupyterlab.directory
        set_parameters(directory / f"{name}.ipynb", directory / "out")
        notebook = NotebookPage(self._window, f"{name}.ipynb")
        notebook.run_all()
        return notebook


def set_parameters(notebook: Path, out_dir: Path) -> None:
    """As a learner would edit the parameters cell: less data, results elsewhere."""
    content = nbformat.read(notebook, as_version=4)
    [cell] = [c for c in content.cells if "parameters" in c.metadata.get("tags", [])]
    cell.source = f'FAST = True\nSEED = 1\nOUT_DIR = {str(out_dir)!r}\nBROKER = "zerocopy_lab"'
    nbformat.write(content, notebook)


@pytest.fixture(scope="module")
def stage(window: Window, jupyterlab: JupyterLab, request: pytest.FixtureRequest) -> Stage:
    """All labs whose tests were chosen."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    return Stage(
        jupyterlab, window, [s.params["lab"].name for s in specs if s and "lab" in s.params]
    )


@pytest.mark.parametrize("lab", LABS)
def test_lab_runs_and_its_widgets_answer(
    lab: LabEntry, stage: Stage, window: Window, jupyterlab: JupyterLab
) -> None:
    """Run All reveals nothing, a guess by a click opens it, then every control of the lab changes
    its picture, and no error anywhere.
    """
    with stage.notebook_of(lab.name) as notebook:
        notebook.wait_until_run(timeout_s=lab.timeout_s)
        notebook.show()
        assert notebook.problems() == []
        assert notebook.widgets_without_words() == []
        if SCREENSHOTS:
            notebook.screenshot(Path(SCREENSHOTS, f"{lab.name}-not-guessed.png"))
        nothing_is_revealed_before_a_guess(notebook, lab, jupyterlab.directory / "out")
        controls = notebook.controls()
        assert controls.count() > 0, "a lab has at least one widget"
        for control in controls.all():
            answers(control)
        for steps in notebook.steps().all():
            animates(steps)
        for play in notebook.plays().all():
            plays(play)
        notebook.look_at_brokers()
        pictures_can_be_told_in_every_theme(notebook, lab)
        assert notebook.problems() == []
    assert window.strangers == set(), "a lab needs no network"


def nothing_is_revealed_before_a_guess(
    notebook: NotebookPage, lab: LabEntry, out_dir: Path
) -> None:
    """Neither outcomes nor verdicts; "show me" shows one, a click on a button of each prediction
    opens all. What this run could not tell is among the predictions, but has no outcome.
    """
    predictions = evidence_of(out_dir, lab)["predictions"].values()
    outcomes = [f"{each['how']}: {each['measured']}" for each in predictions if each["how"]]
    verdict = "· about "
    before = notebook.read_without_opening()
    assert [told for told in (*outcomes, verdict) if told in before] == []
    show_me = notebook.folded().first
    show_me.locator("summary").click()
    assert show_me.get_attribute("open") is not None
    assert notebook.guess_everywhere() == len(predictions) > 0
    after = notebook.read_without_opening()
    assert [told for told in outcomes if told not in after] == []
    assert (verdict in after) is bool(lab.claims)
    assert notebook.folded().count() == 0


def pictures_can_be_told_in_every_theme(notebook: NotebookPage, lab: LabEntry) -> None:
    """Each picture has words for a screen reader, and follows a dark theme."""
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.use_theme(theme)
        pictures = notebook.pictures()
        assert len(pictures) >= len(lab.pictures)
        assert all(picture["alt"] for picture in pictures)
        assert {picture["filter"] == "none" for picture in pictures} == {"Light" in theme}
        assert notebook.hindrances() == []
        if SCREENSHOTS:
            notebook.screenshot(Path(SCREENSHOTS, f"{lab.name}-{theme.split()[1].lower()}.png"))
    notebook.use_theme("JupyterLab Light")


def answers(control: Locator, timeout_ms: int = PICTURE_TIMEOUT_MS) -> None:
    """Moving the control (and pressing the button, where there is one) changes the picture."""
    explorer = explorer_of(control)
    button = explorer.locator(f".{BUTTON_CLASS}")
    if button.count():
        button.click()
    elif not explorer.locator(f".{PICTURE_CLASS}").count():
        move(control)  # nobody had guessed when it was made: it waits for a hand
    before = drawn(explorer, timeout_ms, other_than=None)
    move(control)
    if button.count():
        button.click()
    drawn(explorer, timeout_ms, other_than=before)


def animates(steps: Locator, timeout_ms: int = PICTURE_TIMEOUT_MS) -> None:
    """Its first button plays: one picture after the other."""
    explorer = explorer_of(steps)
    shown = drawn(explorer, timeout_ms, other_than=None)
    steps.locator("button").first.click()
    for _ in range(2):
        shown = drawn(explorer, timeout_ms, other_than=shown)


def plays(play: Locator) -> None:
    """Its button shows one picture after the other in the same place, until it is over."""
    button, picture = play.locator("button.jupyter-button"), play.locator(f"img.{PICTURE_CLASS}")
    button.click()
    play.locator("button:disabled").wait_for()
    shown, places = set(), set()
    while button.is_disabled():
        shown.add(picture.get_attribute("src"))  # every picture has an address of its own
        place = picture.bounding_box()
        if place is not None:  # it is just being exchanged for the next
            places.add(str(place))
        play.page.wait_for_timeout(50)
    assert len(shown) >= FEWEST_PICTURES
    assert len(places) == 1, "the picture moved"


def drawn(explorer: Locator, timeout_ms: int, other_than: str | None) -> str:
    """Waits until the picture is there and is another one; its digest."""
    explorer.locator(f"img.{PICTURE_CLASS}").first.wait_for(timeout=timeout_ms)
    deadline = time.monotonic() + timeout_ms / 1000
    while (digest := picture_bytes_digest(explorer)) == other_than:
        assert time.monotonic() < deadline, f"the picture did not change within {timeout_ms} ms"
        explorer.page.wait_for_timeout(100)
    return digest


WIDGETS = """\
import io
from types import SimpleNamespace
from matplotlib.figure import Figure
from zerocopy_lab.classroom.explore import Slider, panel
from zerocopy_lab.classroom.notebook_output import show_controls

def picture_of(text):
    figure, png = Figure((1, 1)), io.BytesIO()
    figure.text(0.5, 0.5, text)
    figure.savefig(png)
    return SimpleNamespace(png=png.getvalue, alt=text)

def show(draw):
    shown = {"shown": Slider(1, 9, 1)}
    show_controls(panel(draw, shown, lambda shown: "", button=None, height_px=100))

show(lambda shown: picture_of(str(shown)))
show(lambda shown: picture_of("always the same"))
show(lambda shown: picture_of(str(1 / (shown == 1))))
"""
WARNS_AND_RAISES = "import sys; print('oh', file=sys.stderr); [][0]"


FORGET_NAMES = """() => document.querySelectorAll('.noUi-handle')
    .forEach(handle => handle.removeAttribute('aria-label'))"""


def test_what_is_wrong_is_seen(window: Window, jupyterlab: JupyterLab) -> None:
    """A cell that raises, a warning, a slider that does nothing, a callback that fails: of these,
    an exit code tells but the first.
    """
    with NotebookPage(window, written(jupyterlab, WIDGETS, WARNS_AND_RAISES)) as notebook:
        notebook.run_all()
        notebook.wait_until_run(60)
        assert notebook.problems() == ["IndexError: list index out of range", "oh\n"]
        assert notebook.hindrances() == []
        notebook.page.evaluate(FORGET_NAMES)
        assert all("aria-input-field-name" in each for each in notebook.hindrances())
        assert len(notebook.hindrances()) == 3
        follows, does_nothing, fails = notebook.controls().all()
        answers(follows, timeout_ms=30_000)
        with pytest.raises(AssertionError, match="did not change"):
            answers(does_nothing, timeout_ms=2_000)
        move(fails)
        notebook.page.get_by_text("This did not work").wait_for()
        assert any("ZeroDivisionError" in problem for problem in notebook.problems())


def test_a_notebook_opened_again_says_where_its_controls_are(
    window: Window, jupyterlab: JupyterLab
) -> None:
    """Saved, closed and opened when its kernel has ended: words, and no error of the front end.
    Before that its first slider is moved by a key.
    """
    name = written(jupyterlab, WIDGETS)
    with NotebookPage(window, name) as notebook:
        notebook.run_all()
        notebook.wait_until_run(60)
        assert notebook.problems() == []
        slider = notebook.controls().first
        before = drawn(explorer_of(slider), 30_000, other_than=None)
        slider.get_by_role("slider").press("ArrowRight")
        drawn(explorer_of(slider), 30_000, other_than=before)
        notebook.save()
    with NotebookPage(window, name) as notebook:
        notebook.show()
        words = notebook.words_of_gone_controls()
        assert len(words) == 3
        assert all(GONE in each for each in words)
    window.take_errors()  # the front end complains of the models that it misses


def written(jupyterlab: JupyterLab, *sources: str) -> str:
    """The name of a new notebook with these cells."""
    name = f"{uuid4().hex}.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    content = nbformat.v4.new_notebook(cells=cells)
    content.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(content, jupyterlab.directory / name)
    return name
