"""One HTML page: what was right in the article, and what was not, on this machine.

The report of a run and what lab 14 shows are the same `Report`, drawn by the same template; lab 14
shows pieces of it, the file has all. It is self-contained (styles and pictures are inside, nothing
is fetched), so it can be mailed or kept for years.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from zerocopy_lab.classroom.evidence import Verdict
from zerocopy_lab.verdict.answer import first_sentence
from zerocopy_lab.verdict.judgement import Overall
from zerocopy_lab.verdict.report import Report

REPORT_FILE: Final = "report.html"
SIGNS: Final[Mapping[str, str]] = {
    Overall.RIGHT: "✓",
    Overall.HALF: "◐",
    Overall.WRONG: "✗",
    Overall.OPEN: "○",
    Verdict.SUPPORTED: "✓",
    Verdict.CONTRADICTED: "✗",
    Verdict.INCONCLUSIVE: "~",
    Verdict.NOT_TESTABLE: "–",
    "does so": "",
    "does otherwise": "",
    "unclear": "",
}
"""A mark beside every word of judgement, for whom colours say nothing."""


def write_page(report: Report) -> Path:
    """Writes OUT_DIR/report.html and returns its path."""
    page = _environment().get_template("page.html.jinja")
    path = report.out_root / REPORT_FILE
    path.write_text(page.render(report=report, css=_css(), links=True), encoding="utf-8")
    return path


def piece(report: Report, name: str) -> str:
    """A macro of `pieces.html.jinja` (`top`, `claims`, `learner`, ...), as HTML for a notebook."""
    pieces = _environment().get_template("pieces.html.jinja")
    markup = getattr(pieces.make_module({"links": False}), name)(report)
    return f"<style>{_css()}</style><div class='zcl'>{markup}</div>"


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("zerocopy_lab.verdict", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["first_sentence"] = first_sentence
    environment.globals["sign"] = SIGNS
    return environment


def _css() -> Any:
    """For a page that escapes everything else."""
    from markupsafe import Markup

    return Markup(files(__package__).joinpath("page.css").read_text(encoding="utf-8"))
