"""One HTML file about a run of labs: verdicts, pictures, figures, host, timings.

Self-contained: styles and pictures are inside, nothing is fetched, so it can be mailed or kept
for years. It says only what conclusions and executed notebooks hold; it computes nothing of its
own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from zerocopy_lab.classroom.claims import claims
from zerocopy_lab.measuring.host import host_facts
from zerocopy_lab.publishing.headless import LabRun, read_notebook
from zerocopy_lab.publishing.scan import ShownPicture, pictures_of

REPORT_FILE = "report.html"


class Chapter(NamedTuple):
    """One lab's part of the report."""

    run: LabRun
    pictures: list[ShownPicture]

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What the run left, {} for nothing."""
        return self.run.evidence

    @property
    def conclusion(self) -> Mapping[str, Any]:
        """What the run concluded, {} if it did not."""
        return self.run.evidence.get("conclusion") or {}

    @property
    def state(self) -> str:
        """`all right`, `failed` or `skipped`."""
        if self.run.skipped:
            return "skipped"
        return "failed" if self.run.problems else "all right"


def write_report(runs: Sequence[LabRun], out_dir: Path, *, fast: bool) -> Path:
    """Writes `out_dir/report.html` about these runs and returns its path."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    template = files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8")
    chapters = [_chapter(run) for run in runs]
    page = environment.from_string(template).render(
        chapters=chapters,
        rows=_claim_rows(chapters),
        host=host_facts(out_dir),
        fast=fast,
        made=datetime.now(UTC),
        seconds=sum(run.seconds for run in runs),
    )
    path = out_dir / REPORT_FILE
    path.write_text(page, encoding="utf-8")
    return path


def _chapter(run: LabRun) -> Chapter:
    pictures = pictures_of(read_notebook(run.notebook)) if run.notebook.exists() else []
    return Chapter(run, pictures)


def _claim_rows(chapters: Sequence[Chapter]) -> list[dict[str, Any]]:
    """What was found out about each claim that these labs are about, in the article's order."""
    found = [
        {**finding, "chapter": chapter}
        for chapter in chapters
        for finding in chapter.conclusion.get("findings", [])
    ]
    return [
        {"claim": claim, "findings": [f for f in found if f["claim_id"] == claim.id]}
        for claim in claims().values()
        if any(f["claim_id"] == claim.id for f in found)
    ]
