"""Outcomes as files: what cannot run on a machine is shown from a recorded run, marked as such.

One JSON object per file, the fields of `Outcome` by name, under a `format` that says what it is.
A loaded outcome has `recorded` set whatever the file says, and with it its host.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Final

from zerocopy_lab.instruments.host import HostDescription
from zerocopy_lab.workbench.experiment import Outcome, Sample

FORMAT: Final = "zerocopy_lab experiment 1"


def save_outcome(outcome: Outcome, path: Path) -> None:
    """Write an outcome, readable and diffable."""
    fields = {"format": FORMAT, **dataclasses.asdict(outcome)}
    path.write_text(json.dumps(fields, indent=1) + "\n")


def load_outcome(path: Path) -> Outcome:
    """Read a recorded outcome. Raises ValueError when the file holds something else."""
    fields = json.loads(path.read_text())
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is no recorded outcome: its format is not {FORMAT!r}")
    samples = tuple(Sample(**sample) for sample in fields.pop("samples"))
    notes = tuple(fields.pop("notes"))
    host = HostDescription(**fields.pop("host"))
    return Outcome(**{**fields, "samples": samples, "notes": notes, "host": host, "recorded": True})
