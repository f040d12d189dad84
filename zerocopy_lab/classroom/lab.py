"""The lab that a notebook is running: its parameters, its random seed, its directory for results.

A notebook has three parameters and no more:

| name | type | meaning |
|---|---|---|
| FAST | bool | less data and fewer repeats: a lab in at most 30 s |
| SEED | int | what the learner's numbers are drawn from, so that answers are personal |
| OUT_DIR | str | where pictures and conclusions go; relative paths start at the repository |

They are checked here, because a runner will not: `papermill -p FAST false` passes the *string*
"false", which is true, and `-p FSAT True` sets a name that nobody reads.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zerocopy_lab.classroom.manifest import LABS_DIR, LabEntry, lab_entry
from zerocopy_lab.classroom.notebook_output import show_picture

if TYPE_CHECKING:
    from zerocopy_lab.pictures.theme import Picture

HEADLESS_VARIABLE = "ZEROCOPY_LAB_HEADLESS"
"""Set in the environment of a kernel that nobody is watching: no widgets, only ordinary figures."""

PARAMETERS: Mapping[str, type] = {"FAST": bool, "SEED": int, "OUT_DIR": str}


class BadParameter(ValueError):
    """A parameter of the notebook has the wrong name or type; the message says what to write."""


@dataclass(frozen=True, eq=False)
class Lab:
    """One run of one lab."""

    entry: LabEntry
    fast: bool
    seed: int
    out_dir: Path
    headless: bool
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    began_monotonic_s: float = field(default_factory=time.monotonic)
    predictions: dict[str, dict[str, str]] = field(default_factory=dict)
    exercises: dict[str, str] = field(default_factory=dict)

    def random(self, purpose: str) -> random.Random:
        """A generator of its own for each purpose, so that cells may run in any order."""
        return random.Random(f"{self.seed}/{self.entry.id}/{purpose}")

    def picture(self, name: str, picture: Picture, words: str) -> None:
        """Shows a picture under a name and its conclusion in words."""
        show_picture(name, picture, words, self.out_dir)

    def seconds(self) -> float:
        """Seconds since this lab began."""
        return time.monotonic() - self.began_monotonic_s


_running: Lab | None = None


def start_lab(lab_id: str, notebook_globals: Mapping[str, object]) -> Lab:
    """Checks the notebook's parameters and makes this lab the one that predict, check, ... speak
    for.

    Call it as `lab = start_lab("05", globals())` right below the parameters. Raises BadParameter.
    """
    global _running
    check_parameters(notebook_globals)
    if _running is None:  # later, a learner's own names in capitals are nobody's business
        check_for_unknown_parameters(notebook_globals)
    entry = lab_entry(lab_id)
    out_dir = LABS_DIR.parent / str(notebook_globals["OUT_DIR"]) / entry.name
    out_dir.mkdir(parents=True, exist_ok=True)
    seed = notebook_globals["SEED"]
    assert isinstance(seed, int)
    fast = bool(notebook_globals["FAST"])
    _running = Lab(entry, fast, seed, out_dir, nobody_is_watching())
    return _running


def nobody_is_watching() -> bool:
    """Whether this kernel belongs to a headless run: then widgets are of no use."""
    return os.environ.get(HEADLESS_VARIABLE) == "1"


def running_lab() -> Lab:
    """The lab that was started last; RuntimeError when there is none."""
    if _running is None:
        raise RuntimeError("no lab has begun: run the cells above this one first (start_lab)")
    return _running


def check_parameters(notebook_globals: Mapping[str, object]) -> None:
    """Raises BadParameter for a parameter that is missing or of the wrong type."""
    for name, wanted in PARAMETERS.items():
        if name not in notebook_globals:
            raise BadParameter(f"the notebook does not set {name}; run its parameters cell first")
        value = notebook_globals[name]
        if type(value) is not wanted:  # exact: True is an int, and must not pass as a seed
            found = type(value).__name__
            raise BadParameter(
                f"{name} is {value!r}, of type {found}, and must be {wanted.__name__}"
                + (". Write True or False, with a capital letter." if wanted is bool else ".")
            )


def check_for_unknown_parameters(notebook_globals: Mapping[str, object]) -> None:
    """Raises BadParameter for a name in capitals that is no parameter.

    A runner sets whatever name it is given, and at the top of a notebook no other capitals exist.
    """
    capitals = {n for n in notebook_globals if n.isupper() and not n.startswith("_")}
    unknown = sorted(capitals - set(PARAMETERS))
    if unknown:
        raise BadParameter(
            f"no lab has a parameter {', '.join(unknown)}; there are {', '.join(PARAMETERS)}"
        )
