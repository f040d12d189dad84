"""One lab's place in the report: how its run went, what it concluded, what it showed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from zerocopy_lab.classroom.manifest import LabEntry
from zerocopy_lab.verdict.results import LabResult


class RunNote(NamedTuple):
    """How a headless run of a lab went; `skipped`: why this system cannot run it. What an earlier
    run found counts for nothing once one `has_concluded` not.
    """

    seconds: float
    problems: tuple[str, ...] = ()
    skipped: str | None = None
    has_concluded: bool = True


class ShownAgain(NamedTuple):
    """A picture of a lab, from the lab's directory and its conclusion."""

    png: bytes
    alt: str
    words: str


class Chapter(NamedTuple):
    """One lab's place in the report."""

    entry: LabEntry
    note: RunNote | None
    result: LabResult | None
    directory: Path

    @property
    def state(self) -> str:
        """`all right`, `failed` or `skipped`; of an earlier run, its day; `not run here`."""
        if self.note is None:
            return f"ran on {self.result.day}" if self.result else "not run here"
        if self.note.skipped:
            return "skipped"
        return "failed" if self.note.problems else "all right"

    @property
    def seconds(self) -> float:
        """Of the run that is reported; 0 where there was none."""
        return self.note.seconds if self.note else 0.0

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong."""
        return self.note.problems if self.note else ()

    @property
    def skipped(self) -> str | None:
        """Why it was not run."""
        return self.note.skipped if self.note else None

    @property
    def conclusion(self) -> Mapping[str, Any]:
        """Empty where there is none."""
        return self.result.conclusion if self.result else {}

    @property
    def pictures(self) -> list[ShownAgain]:
        """What the lab showed, in order."""
        told = self.conclusion.get("pictures", {})
        paths = {name: self.directory / f"{name}.png" for name in told}
        return [
            ShownAgain(path.read_bytes(), told[name]["alt"], told[name]["words"])
            for name, path in paths.items()
            if path.is_file()
        ]

    @property
    def notebook(self) -> str:
        """The executed notebook, relative to the report; "" where there is none."""
        path = self.directory / f"{self.entry.name}.ipynb"
        return f"{self.entry.name}/{path.name}" if path.is_file() else ""
