"""JupyterLab in a browser's window, and a notebook in it: what a learner does, and what went wrong.

What a notebook holds is read from JupyterLab's own model of it; what a learner sees and touches
(pictures, sliders, buttons) goes through the page, mouse and keyboard. Nothing here looks again and
again whether a lab has run: JupyterLab promises to tell, and a look at all outputs, sixty times a
second, would take the processor away from what the lab measures.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import ConsoleMessage, Locator, Page, Request

from zerocopy_lab.classroom.explore import ERROR_MARK, PLAY_CLASS
from zerocopy_lab.classroom.notebook_output import PICTURE_CLASS

WIDTH_PX, HEIGHT_PX = 1280, 1000
LOAD_TIMEOUT_S = 60
ATTEMPTS = 5  # to take hold of a slider
PICTURE_TIMEOUT_MS = 90_000  # a button may measure, beside another lab

WIDGET = "application/vnd.jupyter.widget-view+json"
GONE = "run this cell to have them back"
FOLDED = "A result is folded here until you have guessed"
LOOKED_AGAIN = re.compile(r"broker CPU .* in the last|not running any more")

# JavaScript, run in the page. `jupyterapp` is JupyterLab's own handle on itself.
LATE = """seconds => new Promise((_, reject) => setTimeout(
    () => reject(new Error(`not within ${seconds} s`)), 1000 * seconds))"""
READY = "async () => { await jupyterapp.restored; }"
OPEN = """async path => {
    const panel = await jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'});
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
    return panel.id;
}"""
PANEL = "[...jupyterapp.shell.widgets('main')].find(widget => widget.id === id)"
SHOW = """async id => {
    jupyterapp.shell.activateById(id);
    while (jupyterapp.shell.currentWidget?.id !== id)
        await new Promise(requestAnimationFrame);
}"""
RUN_ALL = f"""id => {{
    {PANEL}.hasRun = jupyterapp.commands.execute('notebook:run-all-cells');
}}"""
HAS_RUN = f"id => {PANEL}.hasRun"
CELLS = f"{PANEL}.content.model.sharedModel.cells"
NOT_YET_RUN = f"""id => {CELLS}.filter(cell =>
    cell.cell_type === 'code' && cell.source.trim() && cell.execution_count === null
).map(cell => cell.source)"""
OUTPUTS = f"id => {CELLS}.flatMap(cell => cell.toJSON().outputs ?? [])"
THEME = "async theme => { await jupyterapp.commands.execute('apputils:change-theme', {theme}); }"
SAVE = f"async id => {{ await {PANEL}.context.save(); }}"
LEAVE = f"""async id => {{
    const panel = {PANEL};
    await panel.sessionContext.shutdown();
    panel.dispose();
}}"""
SHOWN_BY_LABS = (".jp-OutputArea-child", ".jp-MarkdownOutput")
RUN_AXE = """async places => {
    const there = places.filter(place => document.querySelector(place));
    return (await axe.run({include: there.map(place => [place])}, {resultTypes: ['violations']}))
        .violations;
}"""
# How far down the last cell reaches, once all of them are drawn, from the top of the window.
CONTENT_HEIGHT = """async id => {
    const outer = document.getElementById(id).querySelector('.jp-WindowedPanel-outer');
    let before = 0, now = 1;
    while (before !== now) {
        before = now;
        outer.scrollTop = 0;
        for (let frame = 0; frame < 20; frame++) await new Promise(requestAnimationFrame);
        now = [...outer.querySelectorAll('.jp-Cell')].pop().getBoundingClientRect().bottom;
    }
    return now;
}"""


# JupyterLab's debugger asks every kernel for its state; of one that has just been shut down with
# its notebook it gets no answer, and says so while the next notebook is open.
OF_A_KERNEL_THAT_WENT = "Could not restore the debugger state"


class Window:
    """A browser's window with JupyterLab; `strangers` and `errors` fill while it is used."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.strangers: set[str] = set()
        self._errors: list[str] = []
        page.on("pageerror", lambda error: self._note_error(str(error)))
        page.on("console", self._note_console)
        page.on("request", self._note_request)
        page.goto(url)
        page.wait_for_function("() => window.jupyterapp", timeout=LOAD_TIMEOUT_S * 1000)
        self.within(LOAD_TIMEOUT_S, READY)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note_error(message.text)

    def _note_error(self, words: str) -> None:
        if OF_A_KERNEL_THAT_WENT not in words:
            self._errors.append(words)

    def _note_request(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host not in (None, "", "127.0.0.1", "localhost"):
            self.strangers.add(str(host))

    def within(self, seconds: float, script: str, argument: object = None) -> Any:
        """What a function of the page answers, which may take its time. Raises when it is late."""
        race = f"([argument, s]) => Promise.race([({script})(argument), ({LATE})(s)])"
        return self.page.evaluate(race, [argument, seconds])

    def take_errors(self) -> list[str]:
        """What the page has complained of since somebody asked last."""
        taken, self._errors = self._errors, []
        return taken


class NotebookPage:
    """One notebook, opened in a tab of the window; at the end of a `with` block it is closed and
    its kernel ended.
    """

    def __init__(self, window: Window, path: str) -> None:
        self._window, self.page = window, window.page
        self._id: str = window.within(LOAD_TIMEOUT_S, OPEN, path)
        self._tab = self.page.locator(f"[id='{self._id}']")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._window.within(LOAD_TIMEOUT_S, LEAVE, self._id)

    def show(self) -> None:
        """Brings its tab to the front."""
        self._window.within(LOAD_TIMEOUT_S, SHOW, self._id)

    def run_all(self) -> None:
        """Run → Run All Cells. Does not wait; other notebooks may be opened meanwhile."""
        self.show()
        self.page.evaluate(RUN_ALL, self._id)

    def wait_until_run(self, timeout_s: float) -> None:
        """Until every cell has run, or one has raised, which keeps those below from running."""
        self._window.within(timeout_s, HAS_RUN, self._id)

    def save(self) -> None:
        """With its outputs, as File → Save does."""
        self._window.within(LOAD_TIMEOUT_S, SAVE, self._id)

    def words_of_gone_controls(self) -> list[str]:
        """What stands where controls were whose kernel has ended. (The front end's own words for
        it have no size.)
        """
        gone = self._tab.locator(".jupyter-widgets", has_text="Error displaying widget")
        gone.first.wait_for(state="attached")
        found: list[str] = gone.evaluate_all(
            """all => all.map(node => getComputedStyle(node).fontSize === '0px'
                ? getComputedStyle(node, '::after').content : node.textContent)"""
        )
        return found

    def problems(self) -> list[str]:
        """What a learner should never see: errors of cells, warnings, broken widgets."""
        outputs: list[dict[str, Any]] = self.page.evaluate(OUTPUTS, self._id)
        raised = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
        printed = [str(o["text"]) for o in outputs if o.get("name") == "stderr"]
        waiting = [] if raised else self.page.evaluate(NOT_YET_RUN, self._id)
        # A widget's error lives in the widget's state: only the page shows it.
        broken = self._tab.locator(f".{ERROR_MARK}").all_text_contents()
        missing = self._tab.get_by_text("Error displaying widget").all_text_contents()
        not_run = [f"did not run: {source}" for source in waiting]
        return [*raised, *printed, *not_run, *broken, *missing, *self._window.take_errors()]

    def read_without_opening(self) -> str:
        """All that outputs say to somebody who opens nothing that is folded."""
        outputs: list[dict[str, Any]] = self.page.evaluate(OUTPUTS, self._id)
        return "\n".join(map(_unfolded, outputs))

    def widgets_without_words(self) -> list[str]:
        """What widgets show where no kernel runs, if it is not the sentence that says so."""
        outputs: list[dict[str, Any]] = self.page.evaluate(OUTPUTS, self._id)
        shown = [output["data"] for output in outputs if WIDGET in output.get("data", {})]
        return [data["text/plain"] for data in shown if GONE not in data["text/plain"]]

    def folded(self) -> Locator:
        """Results that wait for a guess."""
        return self._tab.locator(".jp-OutputArea details", has_text=FOLDED)

    def guess_everywhere(self) -> int:
        """Presses the first button of every prediction; how many there were."""
        with self._all_of_it():
            buttons = self._tab.get_by_role("button", name=re.compile(r"^1\. "), disabled=False)
            handles = buttons.element_handles()
            for button in handles:
                button.click()
                button.wait_for_element_state("disabled")  # the kernel has noted the guess
            return len(handles)

    def pictures(self) -> list[dict[str, str]]:
        """The pictures in outputs: `alt`, and the `filter` that a theme puts over them."""
        with self._all_of_it():
            found: list[dict[str, str]] = self._tab.locator(".jp-OutputArea img").evaluate_all(
                """all => all.filter(image => image.src).map(image => ({
                    alt: image.alt, filter: getComputedStyle(image).filter}))"""
            )
            return found

    def use_theme(self, theme: str) -> None:
        """`JupyterLab Dark` or `JupyterLab Light`."""
        self._window.within(LOAD_TIMEOUT_S, THEME, theme)

    def steps(self) -> Locator:
        """The animations, in order."""
        return self._tab.locator(".widget-play")

    def controls(self) -> Locator:
        """The sliders, menus and number fields of all widgets, in order."""
        return self._tab.locator(".widget-slider, .widget-dropdown, .widget-text")

    def plays(self) -> Locator:
        """What can be started and is then shown while it goes on."""
        return self._tab.locator(f".{PLAY_CLASS}")

    def look_at_brokers(self) -> None:
        """Presses "Look now" in every console, until it says what has become of its broker."""
        for button in self._tab.get_by_role("button", name="Look now").all():
            button.click()
            explorer_of(button).get_by_text(LOOKED_AGAIN).wait_for()

    def screenshot(self, path: Path) -> None:
        """Keeps a picture of the whole notebook, in a window as tall as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._all_of_it():
            self.page.screenshot(path=path)

    def hindrances(self) -> list[str]:
        """What stands in the way of somebody who cannot see or uses no mouse, in what a lab shows
        (the rest of the page is JupyterLab's).
        """
        with self._all_of_it():
            return hindrances(self.page, [f"[id='{self._id}'] {each}" for each in SHOWN_BY_LABS])

    @contextmanager
    def _all_of_it(self) -> Iterator[None]:
        """A window as tall as the notebook: what is outside of it JupyterLab does not draw."""
        self.page.set_viewport_size({"width": WIDTH_PX, "height": 16_000})
        height = int(self.page.evaluate(CONTENT_HEIGHT, self._id))
        self.page.set_viewport_size({"width": WIDTH_PX, "height": height + 60})
        try:
            yield
        finally:
            self.page.set_viewport_size({"width": WIDTH_PX, "height": HEIGHT_PX})


def _unfolded(output: dict[str, Any]) -> str:
    markup = output.get("data", {}).get("text/html")
    if markup is None:
        return str(output.get("text", ""))
    opened = re.sub(r"<details>.*?</details>", "", markup, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", opened))


def hindrances(page: Page, places: list[str]) -> list[str]:
    """What axe-core calls serious or critical in these places of a page (selectors)."""
    page.evaluate(AXE_SCRIPT)
    found: list[dict[str, Any]] = page.evaluate(RUN_AXE, places)
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def explorer_of(control: Locator) -> Locator:
    """The box around a control that also holds its picture, its words and perhaps a button."""
    return control.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][1]")


def picture_bytes_digest(explorer: Locator) -> str:
    """A digest of the picture's bytes, fetched from where the page has them."""
    picture = explorer.locator(f"img.{PICTURE_CLASS}").first
    digest: str = picture.evaluate(
        """async image => {
            const bytes = await (await fetch(image.src)).arrayBuffer();
            const digest = await crypto.subtle.digest('SHA-256', bytes);
            return Array.from(new Uint8Array(digest), byte => byte.toString(16)).join(':');
        }"""
    )
    return digest


def move(control: Locator) -> None:
    """Another value: a drag of the slider's handle, the menu's next choice, the next number."""
    kind = control.get_attribute("class") or ""
    if "widget-text" in kind:
        field = control.locator("input")
        field.fill(str(int(field.input_value()) + 1))
        field.press("Enter")
        return
    if "widget-dropdown" in kind:
        menu = control.locator("select")
        chosen, choices = menu.evaluate("m => [m.selectedIndex, m.options.length]")
        menu.select_option(index=(chosen + 1) % choices)
        return
    handle, track = control.locator(".noUi-handle"), control.locator(".noUi-base")
    before = handle.get_attribute("aria-valuenow")
    for _ in range(ATTEMPTS):
        _drag(handle, track)
        if handle.get_attribute("aria-valuenow") != before:
            return
    raise AssertionError(f"the slider stays at {before}, {ATTEMPTS} times")


def _drag(handle: Locator, track: Locator) -> None:
    """To the other half of the track. What is drawn above meanwhile may move it from under the
    mouse.
    """
    handle.hover()  # scrolls there, and waits until it stands still
    at, along = handle.bounding_box(), track.bounding_box()
    assert at is not None
    assert along is not None
    is_right_of_middle = at["x"] > along["x"] + along["width"] / 2
    target = along["x"] + along["width"] * (0.25 if is_right_of_middle else 0.75)
    mouse = handle.page.mouse
    mouse.down()
    mouse.move(target, at["y"] + at["height"] / 2, steps=5)
    mouse.up()
