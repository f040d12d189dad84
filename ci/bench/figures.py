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
    """One comparison. `theirs` and `ratio` are None where nobody was there to be compared with."""

    table: str
    name: str
    unit: str
    ours: Spread
    theirs: Spread | None
    ratio: Spread | None


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
    ) -> None:
        """Compare, print, keep. `goal` is what the ratio should reach, or not exceed; it gates
        nothing.
        """
        ratio = None
        if theirs is not None:
            ratio = spread(a / b for a, b in zip(ours, theirs, strict=True))
        row = Row(table, name, unit, spread(ours), spread(theirs) if theirs else None, ratio)
        self.rows.append(row)
        told = f"  {name:<58} {row.ours.text(unit)}"
        if row.theirs is not None and ratio is not None:
            told += f"  against {row.theirs.text(unit)}: ratio {ratio.text()}"
            if goal is not None:
                met = ratio.median <= goal if at_most else ratio.median >= goal
                told += f"  goal {'<=' if at_most else '>='} {goal}: {'met' if met else 'MISSED'}"
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
