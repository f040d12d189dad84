"""The list of labs, as `labs/labs.toml` gives it: order, titles, minutes, claims, what each must
show.

Everything that names labs reads this list: the index, the links between notebooks, the headless
runner, the report. `labs/` lives beside the package, in the repository: a learner edits
notebooks, and an installed package is no place for that.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from zerocopy_lab.checkout import LABS_DIR

SOLUTIONS_DIR = LABS_DIR / "solutions"


class LabEntry(NamedTuple):
    """One lab of the list. `id` is its number ("05"), `name` the notebook's without `.ipynb`.

    `timeout_s` bounds one cell, `pictures` are the names that a run must have shown, `platforms`
    are values of `sys.platform` where it runs (a lab that only measures less elsewhere still
    names it).
    """

    id: str
    name: str
    title: str
    asks: str
    minutes: int
    prerequisites: tuple[str, ...]
    platforms: tuple[str, ...]
    timeout_s: int
    claims: tuple[str, ...]
    exercises: tuple[str, ...]
    pictures: tuple[str, ...]
    points: Mapping[str, int] = MappingProxyType({})
    """Exercise id -> what it is worth: examined or counted, never a matter of a clock."""
    system_calls: tuple[str, ...] = ()
    """Names that the lab's code cells must hold: its mechanism, bare."""
    parts: tuple[str, ...] = ()
    """The parts of a broker that the learner builds here."""

    @property
    def notebook(self) -> Path:
        """The canonical notebook, without outputs."""
        return LABS_DIR / f"{self.name}.ipynb"

    @property
    def solution(self) -> Path:
        """The same notebook with its exercises solved, stored executed."""
        return SOLUTIONS_DIR / f"{self.name}.ipynb"

    def unsupported_here(self) -> str | None:
        """Why this system cannot run the lab, or None."""
        if sys.platform in self.platforms:
            return None
        return f"lab {self.id} runs on {', '.join(self.platforms)}; this is {sys.platform}"


@cache
def labs() -> dict[str, LabEntry]:
    """All labs by id, in the order of the list; FileNotFoundError outside a checkout."""
    listed = tomllib.loads((LABS_DIR / "labs.toml").read_text(encoding="utf-8"))["lab"]
    return {entry["id"]: _entry(entry) for entry in listed}


def _entry(entry: dict[str, object]) -> LabEntry:
    """LabEntry of a table in the file; TypeError names a field that is missing or unknown."""
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    return LabEntry(**{**entry, **lists})  # type: ignore[arg-type]


def lab_entry(wanted: str) -> LabEntry:
    """The lab whose id or name was given ("05", "5", "05_zero_copy"); KeyError lists what there
    is.
    """
    for entry in labs().values():
        if wanted in (entry.id, entry.name) or wanted.zfill(2) == entry.id:
            return entry
    raise KeyError(f"no lab {wanted!r}; there are {', '.join(e.name for e in labs().values())}")


def neighbours(
    entry: LabEntry, among: Sequence[LabEntry]
) -> tuple[LabEntry | None, LabEntry | None]:
    """The labs before and after this one among some of them."""
    at = among.index(entry)
    return (among[at - 1] if at else None), (among[at + 1] if at + 1 < len(among) else None)
