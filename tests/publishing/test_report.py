"""The report says what conclusions and notebooks hold, in one file that needs no other."""

from __future__ import annotations

import base64
import platform
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.classroom.conftest import LabMaker, entry_of_a_test
from zerocopy_lab.classroom.conclusion import conclusion_of
from zerocopy_lab.classroom.evidence import Evidence, Quantity, Verdict, finding
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import PICTURE_KEY, WORDS_KEY
from zerocopy_lab.classroom.subject import KERNEL_HERE
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import new_picture
from zerocopy_lab.publishing.headless import LabRun
from zerocopy_lab.publishing.report import write_report

FOUND = finding(
    "Z2",
    Verdict.CONTRADICTED,
    Evidence.TIMED,
    "Somebody <copied>.",
    Quantity("CPU", Spread(0.3, 0.2, 0.4, 7), "s/GiB"),
    part="the sender",
    about=KERNEL_HERE,
)


def a_run(lab: Lab, *problems: str) -> LabRun:
    """A lab with a conclusion and an executed notebook that holds one picture."""
    results = lab.out_dir / "77_of_a_test"
    results.mkdir()
    conclusion = conclusion_of(lab, [FOUND], {"order kept": True}, [Quantity("a call", 218, "ns")])
    evidence = lab.evidence(conclusion)
    run = LabRun(entry_of_a_test(), 12.34, problems, None, results, evidence)
    picture = {"image/png": _png_text()}
    metadata = {PICTURE_KEY: "shown", WORDS_KEY: "So it is.", "image/png": {"alt": "two bars"}}
    output = new_output("display_data", picture, metadata=metadata)
    nbformat.write(new_notebook(cells=[new_code_cell("1", outputs=[output])]), run.notebook)
    return run


def _png_text() -> str:
    return base64.b64encode(new_picture(2, "Title", "").png()).decode()


def test_it_holds_verdicts_figures_pictures_host_and_timings(start: LabMaker) -> None:
    lab = start()
    page = write_report([a_run(lab)], lab.out_dir, fast=True).read_text()
    for said in (
        '<span class="chip contradicted">contradicted</span>',
        "the sender",
        "Somebody &lt;copied&gt;.",
        "0.3 s/GiB (0.2-0.4, n=7)",
        "218 ns",
        'alt="two bars"',
        "So it is.",
        "✓ order kept",
        "12.3",
        "fast mode",
        platform.system(),
    ):
        assert said in page
    assert "What went wrong" not in page


def test_it_needs_nothing_from_elsewhere(start: LabMaker) -> None:
    lab = start()
    page = write_report([a_run(lab)], lab.out_dir, fast=False).read_text()
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert links
    assert all(link.startswith(("data:", "#", "77_of_a_test/")) for link in links)
    assert "<script" not in page
    assert "url(" not in page


def test_what_went_wrong_is_shown(start: LabMaker) -> None:
    lab = start()
    run = a_run(lab, "picture 'map' is missing")
    page = write_report([run], lab.out_dir, fast=True).read_text()
    assert "What went wrong" in page
    assert "picture &#39;map&#39; is missing" in page


def test_a_lab_that_left_nothing_still_has_its_place(start: LabMaker, tmp_path: Path) -> None:
    lab = start()
    run = LabRun(entry_of_a_test(), 0.0, ("the kernel died",), None, tmp_path / "nothing")
    page = write_report([run], lab.out_dir, fast=True).read_text()
    assert "77 · Of a test" in page
    assert "the kernel died" in page
