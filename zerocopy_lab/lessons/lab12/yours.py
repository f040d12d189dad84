"""The learner's broker, raced rung by rung against ours and a real Kafka.

The same rungs, the same client, the same messages. A Kafka's column is live with BROKER = "kafka",
else from the recorded run, and says so. What a learner's part costs beyond its own work: at every
decision it is held against ours (`conformance.seats`), so a broker of one's own is a little slower
than its parts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.kafka_runs import recorded_findings
from zerocopy_lab.classroom.lab import OURS, Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.part_source import source_of
from zerocopy_lab.classroom.subject import SubjectKind
from zerocopy_lab.conformance.parts import PARTS, kept_in
from zerocopy_lab.conformance.seats import EXAMINED_SUFFIX, mark_examined
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab12.raced_topics import SMALL, Cell
from zerocopy_lab.lessons.lab12.rungs import (
    BATCHING,
    DIRECTIONS,
    NO_FLUSH,
    PAGE_CACHE,
    PLAIN,
    RUNGS,
    WHOLE,
    Direction,
    WayToAsk,
)
from zerocopy_lab.lessons.lab12.stand import Ladder, measure
from zerocopy_lab.lessons.lab12.worth import VERB, rate_in_words

_NAMES: Final = (BATCHING, PLAIN, NO_FLUSH, PAGE_CACHE)
RACED: Final = tuple(rung for rung in RUNGS if rung.name in _NAMES)


class Raced(NamedTuple):
    """Whose broker, and what was measured of each row; None: nothing was."""

    name: str
    rates: dict[str, Spread]


def rows() -> list[tuple[str, Direction, WayToAsk]]:
    """The rungs of the race, by name."""
    named = []
    for direction in DIRECTIONS:
        named.append((f"{VERB[direction]}, as it comes", direction, WHOLE))
        for rung in RACED:
            if ways := rung.ways(direction):
                named.append((f"{VERB[direction]}, without {rung.name}", direction, ways[1]))
    return named


def race(ladder: Ladder | Unmeasured, lab: Lab, parts: Path) -> list[Raced]:
    """Yours, ours, and a Kafka's."""
    asked: dict[str, Any] = {"rungs": RACED, "clients": ("ours",), "sizes": (SMALL,)}
    mine = measure(OURS, lab, parts=parts, **asked)
    found = [Raced("yours", rates_of(mine))]
    if isinstance(ladder, Ladder) and ladder.subject.kind is SubjectKind.THIS_BROKER:
        return [*found, Raced("ours", rates_of(ladder)), recorded_kafka()]
    ours = measure(OURS, lab, **asked)
    found.append(Raced("ours", rates_of(ours)))
    if isinstance(ladder, Unmeasured):
        return [*found, recorded_kafka()]
    return [*found, Raced(ladder.subject.words, rates_of(ladder))]


def rates_of(ladder: Ladder) -> dict[str, Spread]:
    """By row."""
    cells = {name: Cell(direction, "ours", SMALL, way) for name, direction, way in rows()}
    return {name: spread(ladder.rates(cell)) for name, cell in cells.items() if cell in ladder.runs}


def recorded_kafka() -> Raced:
    """From the quantities of the recorded findings, which are called as the rows are."""
    quantities = {q.name: q.value for found in recorded_findings("12") for q in found.quantities}
    rates = {name: quantities.get(name) for name, *_ in rows()}
    there = {name: value for name, value in rates.items() if isinstance(value, Spread)}
    return Raced("Apache Kafka, RECORDED", there)


def show_race(raced: list[Raced]) -> None:
    """A row for each rung, a column for each broker: messages of 100 bytes a second."""
    head = ["messages a second", *(each.name for each in raced)]
    told = [
        [name, *(_cell(each.rates.get(name)) for each in raced)]
        for name, *_ in rows()
        if any(name in each.rates for each in raced)
    ]
    show_table(head, told)


def _cell(rate: Spread | None) -> str:
    return rate_in_words(rate.median) if rate else "-"


def assemble(lab: Lab) -> Path:
    """A directory with all nine parts: yours as they were kept, and for each that is missing ours,
    as a cell of a notebook would hold it, in the same seat.
    """
    parts = lab.out_dir / "parts"
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir(parents=True)
    kept = kept_in(lab.parts_dir)
    for name, part in PARTS.items():
        path = parts / f"{name}.py"
        if name in kept:
            shutil.copy2(kept[name], path)
            marked = kept[name].with_suffix(EXAMINED_SUFFIX)
            if marked.exists():  # it has passed as it stands; else it sits its exam at the start
                shutil.copy2(marked, path.with_suffix(EXAMINED_SUFFIX))
        else:
            path.write_text(source_of(part.ours, name), encoding="utf-8")
            mark_examined(path)  # ours: examined by the tests
    return parts
