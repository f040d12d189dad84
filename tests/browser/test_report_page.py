"""The report, as somebody meets it who cannot see it, uses no mouse, or holds a phone."""

from __future__ import annotations

import shutil
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
from zerocopy_lab.publishing.headless import LabRun
from zerocopy_lab.publishing.report import write_report

pytestmark = pytest.mark.browser

ENTRY = lab_entry("04")
TIMED = Quantity("CPU", Spread(0.3, 0.2, 0.4, 7), "s/GiB")


def a_report(out_dir: Path) -> Path:
    """Of one lab, with its real pictures and a finding of each kind, and of one that failed."""
    lab = Lab(ENTRY, True, 1, out_dir / ENTRY.name, True)
    lab.out_dir.mkdir()
    shutil.copy(ENTRY.solution, lab.out_dir)
    found = [
        finding("Z1", each, Evidence.TIMED, "So it is.", TIMED, part=str(each), about=KERNEL_HERE)
        for each in (Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.INCONCLUSIVE)
    ]
    conclusion = conclusion_of(lab, found, {"order kept": True}, [Quantity("a call", 218, "ns")])
    told = LabRun(ENTRY, 12.3, (), None, lab.out_dir, lab.evidence(conclusion))
    other = lab_entry("05")
    failed = LabRun(other, 1.0, ("a cell raised",), None, out_dir / other.name)
    return write_report([told, failed], out_dir, fast=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [1280, 390])
def test_nothing_in_the_report_stands_in_anybodys_way(
    scheme: Literal["light", "dark"], width_px: int, chromium: Browser, tmp_path: Path
) -> None:
    page = chromium.new_page(viewport={"width": width_px, "height": 900}, color_scheme=scheme)
    try:
        page.goto(a_report(tmp_path).as_uri())
        assert page.locator("img").count() >= len(ENTRY.pictures)
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
