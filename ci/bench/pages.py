"""What is made of the published figures: docs/figures.md, and the table of the README."""

from __future__ import annotations

import re
from pathlib import Path

from ci.bench.figures import Figures, Row
from ci.bench.reasons import REASONS
from zerocopy_lab.instruments.spread import Spread

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "figures.md"
README = PROJECT / "README.md"
_PLACE = re.compile(r"(<!-- bench: .*? -->\n)(.*?)(\n<!-- end of bench -->)", re.DOTALL)


def write_texts(runs: list[Figures]) -> None:
    """Both of them."""
    PAGE.write_text(page(runs), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(_PLACE.sub(lambda at: at[1] + headlines(runs) + at[3], text), "utf-8")


TABLES = {
    "kafka": ("The same client at both", "Apache Kafka"),
    "latency": ("From when a message was due until a consumer had it", "Apache Kafka"),
    "late readers": ("A tail reader beside late ones, at a device of 32 MiB/s", "Apache Kafka"),
    "fan-out": ("One producer and consumers of what it sends, all at once", "Apache Kafka"),
    "footprint": ("How soon a broker is there, and its memory", "Apache Kafka"),
    "partitions": ("What many partitions cost", "Apache Kafka"),
    "growth": ("How the CPU of a request grows", "Apache Kafka"),
    "loops": ("Against the least that could do the same", "bare loop"),
}

HEADLINES = {
    ("kafka", "kcat produces messages of 100 bytes"): "kcat produces messages of 100 bytes",
    ("kafka", "kcat consumes them"): "kcat consumes them",
    ("kafka", "fetches of 1 MiB"): "fetches of 1 MiB",
    ("kafka", "fetches of 1 MiB, CPU"): "… CPU of the broker",
    ("kafka", "64 consumers of the same data"): "64 consumers of the same data",
    ("fan-out", "64 consumers beside a producer"): "64 consumers beside a producer",
    ("kafka", "fetches of 64 KiB"): "fetches of 64 KiB",
    ("kafka", "produces of 1 KiB, one after the other"): "produces of 1 KiB, one after the other",
    ("kafka", "produces of 1 KiB by 100 connections"): "… by 100 connections",
    ("kafka", "produces of 1 KiB by 100 connections, CPU"): "… CPU of the broker for one of these",
    ("latency", "1,000 messages/s, p99"): "end to end at 1,000 messages a second, p99",
    ("latency", "100,000 messages/s, p99"): "… at 100,000",
    (
        "late readers",
        "p99 beside 4 late readers, as it comes",
    ): "… at 1,000, beside 4 late readers",
    (
        "footprint",
        "from an empty directory to the first message",
    ): "from an empty directory to the first message",
    ("footprint", "memory then"): "memory then",
    (
        "partitions",
        "starting again with 10,000 partitions",
    ): "starting again with 10,000 partitions",
}
"""What the README shows, and in which words."""


def page(runs: list[Figures]) -> str:
    """All figures, for people."""
    parts = [_PAGE_HEAD, _conditions(runs)]
    for table, (title, theirs) in TABLES.items():
        rows = [row for row in runs[0].rows if row.table == table]
        if rows:
            parts.append(f"## {title}\n\n{_table(rows, theirs, runs, goals=True)}")
            parts.extend(_missed(table, rows, runs))
    return "\n\n".join(parts) + "\n"


def headlines(runs: list[Figures]) -> str:
    """What stands in the README between the comments."""
    rows = [row for row in runs[0].rows if (row.table, row.name) in HEADLINES]
    words = [HEADLINES[row.table, row.name] for row in rows]
    all_of_them = f"All figures: [{PAGE.relative_to(PROJECT)}]({PAGE.relative_to(PROJECT)})."
    return f"{_table(rows, 'Apache Kafka', runs, words)}\n\n{_conditions(runs)} {all_of_them}"


_PAGE_HEAD = """# Figures

Made by `python -m ci.bench --publish`, and not by hand; how each row is taken stands in
[`ci/bench`](../ci/bench). Contestants take turns in one run. Shown are medians, and of the ratios
(this broker / the other) the lowest and the highest round, where there were several. Where a goal
says ≤, less is better. An exponent tells how a cost grows: 0 not at all, 1 in proportion.

A range is what was seen, and no promise: of two runs of three rounds each that differ by nothing
but chance, the ranges of one row in ten do not even touch. `python -m ci.bench --against
data/bench.json` holds another run against this one, and says which rows do not."""


def shown(file: Path = README) -> str:
    """What stands there now."""
    found = _PLACE.search(file.read_text(encoding="utf-8"))
    assert found is not None, "the README has no place for the figures"
    return found[2]


def _table(
    rows: list[Row],
    theirs: str,
    runs: list[Figures],
    words: list[str] | None = None,
    *,
    goals: bool = False,
) -> str:
    others = [run for run in runs[1:] if any(_of(run, row) for row in rows)]
    heads = [f"ratio, {control_of(run)}" for run in (runs[0], *others)] if others else ["ratio"]
    heads += ["goal"] if goals else []
    lines = [f"| | this broker | {theirs} | {' | '.join(heads)} |"]
    lines.append("|" + "---|" * (3 + len(heads)))
    for row, name in zip(rows, words or [row.name for row in rows], strict=True):
        same = [_of(run, row) for run in others]
        cells = [
            name,
            _figure(row.ours, row.unit),
            _figure(row.theirs, row.unit),
            *(_ratio(None if each is None else each.ratio) for each in (row, *same)),
            *([_goal(row, runs)] if goals else []),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _of(run: Figures, row: Row) -> Row | None:
    return next(
        (each for each in run.rows if (each.table, each.name) == (row.table, row.name)), None
    )


def _figure(found: Spread | None, unit: str) -> str:
    if found is None:
        return "–"
    if unit:
        return f"{_short(found.median)} {unit}"
    # an exponent, which is compared by its range and not by a ratio; 0.0 takes the sign of a zero
    told, low, high = (f"{round(value, 2) + 0.0:.2f}" for value in found[:3])
    return told if found.n == 1 else f"{told} ({low} to {high})"


def _goal(row: Row, runs: list[Figures]) -> str:
    if row.goal is None or row.ratio is None:
        return "–"
    asked = [(run, each) for run in runs if (each := _of(run, row))]
    missed = [control_of(run) for run, each in asked if each.missed]
    told = f"{'≤' if row.at_most else '≥'} {row.goal:g}"
    if not missed:
        return told
    return f"{told}, **missed**" + (f" ({missed[0]})" if len(missed) < len(asked) else "")


def _missed(table: str, rows: list[Row], runs: list[Figures]) -> list[str]:
    """Why goals of this table were missed, a line for each reason."""
    known = {name: each.text for each in REASONS if each.table == table for name in each.rows}
    found: dict[str, list[str]] = {}
    for row in rows:
        if any(each.missed for run in runs if (each := _of(run, row))):
            found.setdefault(known.get(row.name, "not found out."), []).append(row.name)
    lines = [f"- *{'*, *'.join(names)}*: {text}" for text, names in found.items()]
    return ["Why goals were missed:", "\n".join(lines)] if lines else []


def _ratio(found: Spread | None) -> str:
    if found is None:
        return "–"
    if found.n == 1:
        return _short(found.median)
    return f"{_short(found.median)} ({_short(found.low)}–{_short(found.high)})"


def _short(value: float) -> str:
    """Two or three digits that say something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 100 else f"{value:.2g}"


def control_of(run: Figures) -> str:
    """Under which congestion control it was taken."""
    return run.conditions["congestion control"].partition(";")[0]


def _under(run: Figures) -> str:
    control, _, more = run.conditions["congestion control"].partition("; ")
    return f"under {control}" + (f" ({more})" if more else "")


def _conditions(runs: list[Figures]) -> str:
    told = runs[0].conditions
    controls = " and ".join(_under(run) for run in runs)
    others = "; ".join(run.conditions["others at work before"] for run in runs)
    return (
        f"Taken on {told['taken']}, {controls}. What else this machine did just before: {others}. "
        f"{told['machine']}; {told['file system']}; {told['versions']}. "
        f"Pinned: {told['pinned']}."
    )
