"""A notebook in a JupyterLab page: what a learner does with it, and what went wrong on the way.

What JupyterLab shows is read from its own model of the notebook, since it draws only the cells near
the visible ones; what a learner does (menus, sliders, buttons) goes through mouse and keyboard.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, TimeoutError

from zerocopy_lab.workbench.explore import ERROR_MARK

LOAD_TIMEOUT_MS = 60_000
PICTURE_TIMEOUT_MS = 90_000  # a button may measure, beside other tests

# JavaScript, run in the page. `jupyterapp` is JupyterLab's own handle on itself.
PANEL = "jupyterapp.shell.currentWidget"
KERNEL_STATUS = f"{PANEL}?.sessionContext?.session?.kernel?.status"
CELLS = f"{PANEL}.content.model.sharedModel.cells"
NOT_YET_RUN = f"""{CELLS}.filter(cell =>
    cell.cell_type === 'code' && cell.source.trim() && cell.execution_count === null)"""
OUTPUTS = f"{CELLS}.flatMap(cell => cell.toJSON().outputs ?? [])"
# An error keeps the cells below it from running.
ALL_DONE = f"""() => {KERNEL_STATUS} === 'idle' &&
    ({NOT_YET_RUN}.length === 0 || {OUTPUTS}.some(output => output.output_type === 'error'))"""
CONTENT_HEIGHT = """() => Math.max(...Array.from(
    document.querySelectorAll('.jp-WindowedPanel-outer'), panel => panel.scrollHeight))"""


class NotebookPage:
    """One notebook, opened; `strangers` and `errors` fill while it is used."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.strangers: set[str] = set()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note_console)
        page.on("request", self._note_request)
        page.goto(url)
        page.wait_for_function(f"() => {KERNEL_STATUS} === 'idle'", timeout=LOAD_TIMEOUT_MS)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _note_request(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host not in (None, "", "127.0.0.1", "localhost"):
            self.strangers.add(str(host))

    def run_all(self, timeout_s: float) -> None:
        """Run → Run All Cells, by the menu, until every cell has run or one has raised."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            self.page.wait_for_function(ALL_DONE, timeout=timeout_s * 1000)
        except TimeoutError as error:
            waiting = self.page.evaluate(f"() => {NOT_YET_RUN}.map(cell => cell.source)")
            message = f"after {timeout_s} s these cells had not run: {waiting}"
            raise AssertionError(message) from error

    def problems(self) -> list[str]:
        """What a learner should never see: errors of cells, warnings, broken widgets."""
        outputs: list[dict[str, Any]] = self.page.evaluate(f"() => {OUTPUTS}")
        raised = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
        printed = [str(o["text"]) for o in outputs if o.get("name") == "stderr"]
        # A widget's error lives in the widget's state: only the page shows it.
        broken = self.page.locator(f".{ERROR_MARK}").all_inner_texts()
        missing = self.page.get_by_text("Error displaying widget").all_inner_texts()
        return [*raised, *printed, *broken, *missing, *self.errors]

    def show_everything(self) -> None:
        """Makes the window as tall as the notebook, so that every cell is drawn."""
        height = int(self.page.evaluate(CONTENT_HEIGHT))
        self.page.set_viewport_size({"width": 1280, "height": min(height + 120, 16_000)})

    def controls(self) -> Locator:
        """The sliders and menus of all widgets, in order."""
        return self.page.locator(".widget-slider, .widget-dropdown")

    def screenshot(self, path: Path) -> None:
        """Keeps what the window shows."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)


def explorer_of(control: Locator) -> Locator:
    """The box around a control that also holds its picture, its words and perhaps a button."""
    return control.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][1]")


def picture_bytes_digest(explorer: Locator) -> str:
    """A digest of the picture's bytes, fetched from where the page has them."""
    picture = explorer.locator("img.widget-image").first
    digest: str = picture.evaluate(
        """async image => {
            const bytes = await (await fetch(image.src)).arrayBuffer();
            const digest = await crypto.subtle.digest('SHA-256', bytes);
            return Array.from(new Uint8Array(digest), byte => byte.toString(16)).join(':');
        }"""
    )
    return digest


def move(control: Locator) -> None:
    """Another value: a drag of the slider's handle, or the menu's next choice."""
    if "widget-dropdown" in (control.get_attribute("class") or ""):
        menu = control.locator("select")
        chosen, choices = menu.evaluate("m => [m.selectedIndex, m.options.length]")
        menu.select_option(index=(chosen + 1) % choices)
        return
    handle, track = control.locator(".noUi-handle"), control.locator(".noUi-base")
    at, along = handle.bounding_box(), track.bounding_box()
    assert at is not None
    assert along is not None
    y = at["y"] + at["height"] / 2
    is_right_of_middle = at["x"] > along["x"] + along["width"] / 2
    target = along["x"] + along["width"] * (0.25 if is_right_of_middle else 0.75)
    mouse = control.page.mouse
    mouse.move(at["x"] + at["width"] / 2, y)
    mouse.down()
    mouse.move(target, y, steps=5)
    mouse.up()
