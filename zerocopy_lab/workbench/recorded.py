"""Outcomes as files: what cannot run on a machine is shown from a recorded run, marked as such.

A file is a JSON list of objects, one per outcome: the fields of `Outcome` by name, and under
`format` what it is. A loaded outcome has `recorded` set whatever the file says, and with it its
host. `race --json` writes such a file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from zerocopy_lab.instruments.host import HostDescription
from zerocopy_lab.workbench.experiment import Outcome, Sample

FORMAT: Final = "zerocopy_lab experiment 1"


def save_outcomes(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write outcomes, readable and diffable."""
    written = [{"format": FORMAT, **dataclasses.asdict(outcome)} for outcome in outcomes]
    path.write_text(json.dumps(written, indent=1) + "\n")


def load_outcomes(path: Path) -> list[Outcome]:
    """Read recorded outcomes. Raises ValueError when the file holds anything else."""
    read = json.loads(path.read_text())
    if not isinstance(read, list) or not all(_is_outcome(fields) for fields in read):
        raise ValueError(f"{path} holds no recorded outcomes of the format {FORMAT!r}")
    return [_outcome(fields) for fields in read]


def _is_outcome(fields: object) -> bool:
    return isinstance(fields, dict) and fields.get("format") == FORMAT


def _outcome(fields: dict[str, Any]) -> Outcome:
    del fields["format"]
    fields["samples"] = tuple(Sample(**sample) for sample in fields["samples"])
    fields["notes"] = tuple(fields["notes"])
    fields["host"] = HostDescription(**fields["host"])
    return Outcome(**{**fields, "recorded": True})
