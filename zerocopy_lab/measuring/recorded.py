"""What another run found, as files: what a machine cannot measure is shown from a recorded run, and
marked as such.

Outcomes of experiments are a JSON list of objects: the fields of `Outcome` by name, and under
`format` what it is. A loaded outcome has `recorded` set whatever the file says, and with it its
host. `race --json` writes such a file.

The reference run is one JSON object in `data/`: its `host`, its `day`, and under `found` what labs
measured there, by name. `labs record` makes it (`reference_run`). A lab reads from it where an
instrument is missing, and then picture and words say so first; no verdict on the machine at hand
ever comes from it. What it holds of a real Kafka is evidence about that Kafka, as recorded.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from zerocopy_lab.checkout import DATA_DIR
from zerocopy_lab.instruments.host import HostDescription
from zerocopy_lab.measuring.experiment import Outcome, Sample
from zerocopy_lab.pictures.theme import RECORDED_EARLIER, Origin, Picture

FORMAT: Final = "zerocopy_lab experiment 1"
REFERENCE_FORMAT: Final = "zerocopy_lab reference run 1"
REFERENCE_FILE: Final = DATA_DIR / "reference_run.json"


def save_outcomes(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write outcomes, readable and diffable."""
    written = [plain_outcome(outcome) for outcome in outcomes]
    path.write_text(json.dumps(written, indent=1) + "\n")


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON holds it."""
    return {"format": FORMAT, **dataclasses.asdict(outcome)}


def load_outcomes(path: Path) -> list[Outcome]:
    """Read recorded outcomes. Raises ValueError when the file holds anything else."""
    read = json.loads(path.read_text())
    if not isinstance(read, list) or not all(_is_outcome(fields) for fields in read):
        raise ValueError(f"{path} holds no recorded outcomes of the format {FORMAT!r}")
    return [recorded_outcome(fields) for fields in read]


def _is_outcome(fields: object) -> bool:
    return isinstance(fields, dict) and fields.get("format") == FORMAT


def recorded_outcome(fields: Mapping[str, Any]) -> Outcome:
    """The outcome that `plain_outcome` made these fields of, marked as recorded."""
    known = {name: value for name, value in fields.items() if name != "format"}
    known["samples"] = tuple(Sample(**sample) for sample in fields["samples"])
    known["notes"] = tuple(fields["notes"])
    known["host"] = HostDescription(**fields["host"])
    return Outcome(**{**known, "recorded": True})


# -- the reference run -----------------------------------------------------------------------------


class ReferenceRun(NamedTuple):
    """Where and when it was, and what it found, by name."""

    host: str
    day: str
    found: Mapping[str, Any]


@cache
def reference_run() -> ReferenceRun:
    """The stored one. Raises ValueError when its file holds anything else."""
    read = json.loads(REFERENCE_FILE.read_text())
    if read.get("format") != REFERENCE_FORMAT:
        raise ValueError(f"{REFERENCE_FILE} is not of the format {REFERENCE_FORMAT!r}")
    return ReferenceRun(read["host"], read["day"], read["found"])


def recorded(name: str) -> Any:
    """What the reference run found under a name. KeyError names what there is."""
    found = reference_run().found
    if name not in found:
        raise KeyError(f"{REFERENCE_FILE} has no {name!r}, but {', '.join(found)}")
    return found[name]


def recorded_origin(evidence: str) -> Origin:
    """For pictures that are drawn from the reference run."""
    run = reference_run()
    return Origin(evidence, f"{run.day}, {run.host}", recorded=True)


def marked(picture: Picture) -> Picture:
    """The picture, its description opening with the mark that its title has."""
    picture.alt = f"{RECORDED_EARLIER}. {picture.alt}"
    return picture


def recorded_words(words: str) -> str:
    """Words about the reference run, with their mark."""
    run = reference_run()
    return f"Recorded on {run.day} on another machine ({run.host}): {words}"
