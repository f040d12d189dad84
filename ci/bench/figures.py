"""The figures of a run: printed as they come, kept with their conditions.

A row compares two contestants in one run, round by round; its ratio is the median of the rounds'.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zerocopy_lab.instruments.spread import Spread, spread

SCHEMA = 1


@dataclass
class Row:
    """One comparison. `theirs` and `ratio` are None where nobody was there to be compared with; of
    figures that are no costs (exponents) there is no ratio either. `goal` is what the ratio should
    reach, or with `at_most` not exceed; it gates nothing.
    """

    table: str
    name: str
    unit: str
    ours: Spread
    theirs: Spread | None
    ratio: Spread | None
    goal: float | None = None
    at_most: bool = False

    @property
    def missed(self) -> bool:
        """Whether the ratio is on the wrong side of its goal."""
        if self.goal is None or self.ratio is None:
            return False
        median = self.ratio.median
        return median > self.goal if self.at_most else median < self.goal

    @property
    def compared(self) -> Spread:
        """What another run is held against: the ratio, where there is one."""
        return self.ours if self.ratio is None else self.ratio


@dataclass
class Figures:
    """The rows of one run, under the same conditions."""

    conditions: dict[str, str]
    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        table: str,
        name: str,
        unit: str,
        ours: Sequence[float],
        theirs: Sequence[float] | None,
        *,
        goal: float | None = None,
        at_most: bool = False,
        with_ratio: bool = True,
    ) -> None:
        """Compare round by round, print, keep."""
        ratio = None
        if theirs is not None and with_ratio:
            ratio = spread(a / b for a, b in zip(ours, theirs, strict=True))
        others = spread(theirs) if theirs else None
        row = Row(table, name, unit, spread(ours), others, ratio, goal, at_most)
        self.rows.append(row)
        told = f"  {name:<58} {row.ours.text(unit)}"
        if row.theirs is not None:
            told += f"  against {row.theirs.text(unit)}"
        if ratio is not None:
            told += f": ratio {ratio.text()}"
            if goal is not None:
                word = "MISSED" if row.missed else "met"
                told += f"  goal {'<=' if at_most else '>='} {goal}: {word}"
        print(told, flush=True)

    def save(self, path: Path) -> None:
        """As one run of a file that `load` reads."""
        save([self], path)


def save(runs: Sequence[Figures], path: Path) -> None:
    """Several runs, as JSON with a version; a line for each row."""
    shown = []
    for run in runs:
        rows = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in run.rows)
        conditions = json.dumps(run.conditions, ensure_ascii=False, indent=1)
        shown.append(f'{{"conditions": {conditions},\n"rows": [\n{rows}\n]}}')
    document = f'{{"schema": {SCHEMA}, "runs": [\n' + ",\n".join(shown) + "\n]}\n"
    path.write_text(document, encoding="utf-8")


def load(path: Path) -> list[Figures]:
    """The runs of a file. Raises ValueError for another version."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["schema"] != SCHEMA:
        raise ValueError(f"{path} has schema {document['schema']}, not {SCHEMA}")
    return [
        Figures(run["conditions"], [_row(each) for each in run["rows"]]) for run in document["runs"]
    ]


def _row(fields: dict[str, Any]) -> Row:
    spreads = {
        name: None if fields[name] is None else Spread(*fields[name])
        for name in ("ours", "theirs", "ratio")
    }
    return Row(**{**fields, **spreads})
