"""The report, as somebody meets it who cannot see it, uses no mouse, or holds a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from tests.browser.notebook_page import hindrances
from zerocopy_lab.classroom.conclusion import conclusion_of
from zerocopy_lab.classroom.evidence import Evidence, Quantity, Verdict, finding
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.subject import KERNEL_HERE
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import new_picture
from zerocopy_lab.verdict.chapter import RunNote
from zerocopy_lab.verdict.page import write_page
from zerocopy_lab.verdict.report import report_on

pytestmark = pytest.mark.browser

ENTRY = lab_entry("04")
TIMED = Quantity("CPU", Spread(0.3, 0.2, 0.4, 7), "s/GiB")


def a_report(out_dir: Path) -> Path:
    """Of one lab, with a picture, a finding of each kind and guesses, and of one that failed."""
    lab = Lab(ENTRY, True, 1, out_dir / ENTRY.name, True)
    lab.out_dir.mkdir()
    picture = new_picture(2, "Title", "")
    picture.alt = "two bars"
    lab.picture("shown", picture, "So it is.")
    lab.record_prediction("What arrives?", "the old bytes", "the new bytes", "Measured here")
    lab.record_prediction("How often?", "twice", "twice", "Measured here")
    found = [
        finding("Z1", each, Evidence.TIMED, "So it is.", TIMED, part=str(each), about=KERNEL_HERE)
        for each in (Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.INCONCLUSIVE)
    ]
    figures = [Quantity("a call", 218, "ns")]
    lab.save(conclusion_of(lab, found, {"order kept": True}, figures))
    notes = {ENTRY.id: RunNote(12.3), "05": RunNote(1.0, ("a cell raised",), None, False)}
    return write_page(report_on(out_dir, notes))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [1280, 390])
def test_nothing_in_the_report_stands_in_anybodys_way(
    scheme: Literal["light", "dark"], width_px: int, chromium: Browser, tmp_path: Path
) -> None:
    page = chromium.new_page(viewport={"width": width_px, "height": 900}, color_scheme=scheme)
    try:
        page.goto(a_report(tmp_path).as_uri())
        page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
        assert page.locator("img").count() == 1
        assert page.get_by_text("as I thought").count() == 1
        assert hindrances(page, ["body"]) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    finally:
        page.close()


def test_what_hinders_is_seen(chromium: Browser) -> None:
    """A picture without words, a button without a name, grey on grey."""
    page = chromium.new_page()
    try:
        page.set_content(
            "<html lang='en'><title>x</title><main><img src='data:,'><button></button>"
            "<p style='color:#999;background:#aaa'>grey</p></main></html>"
        )
        found = {each.split()[0] for each in hindrances(page, ["body"])}
        assert {"image-alt", "button-name", "color-contrast"} <= found
    finally:
        page.close()
