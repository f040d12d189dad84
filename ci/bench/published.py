"""The figures that are published: one file, and what is made of it.

    python -m ci.bench --publish            takes them anew, under two congestion controls

    data/bench.json                         all of them, with their conditions
    docs/figures.md                         the same for people
    README.md, between two comments         those that users feel most

A test holds the two texts against the file. The second congestion control is another network
namespace's (`unshare --net`, root or a user namespace of one's own): Kafka's sockets cannot be
told. Where the system's default does not pace, or no namespace can be had, there is one run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ci.bench.conditions import congestion_control
from ci.bench.figures import Figures, Row, load, save
from zerocopy_lab.instruments.spread import Spread

PROJECT = Path(__file__).resolve().parents[2]
FILE = PROJECT / "data" / "bench.json"
PAGE = PROJECT / "docs" / "figures.md"
README = PROJECT / "README.md"
_ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
_PLACE = re.compile(r"(<!-- bench: .*? -->\n)(.*?)(\n<!-- end of bench -->)", re.DOTALL)

UNDER_BOTH = ("kafka", "fetch", "produce")
"""Sections in which congestion control matters."""


def publish(sections: Iterable[str], rounds: int, workspace: Path) -> None:
    """Take the figures, write the file, write the texts. A section that fails is missing there, and
    named in the SystemExit at the end.
    """
    places: list[tuple[str, list[str], list[str]]] = [("default", [], [*sections])]
    other = _other_control()
    if other is None:
        print("one congestion control: the system's does not pace, or no other one may be chosen")
    elif (prefix := _namespace_with(other)) is None:
        print(f"one congestion control: no network namespace for {other} can be had here")
    else:
        places.append((other, prefix, [name for name in sections if name in UNDER_BOTH]))
    runs, failed = [], []
    for control, words, names in places:
        parts = [_taken(words, name, rounds, workspace / f"{control}-{name}") for name in names]
        failed += [
            f"{name} ({control})" for name, part in zip(names, parts, strict=True) if not part
        ]
        found = [part for part in parts if part is not None]
        if found:
            runs.append(Figures(found[0].conditions, [row for part in found for row in part.rows]))
    if not runs:
        raise SystemExit("no section was measured, and nothing is written")
    save(runs, FILE)
    PAGE.write_text(page(runs), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(_PLACE.sub(lambda at: at[1] + headlines(runs) + at[3], text), "utf-8")
    print(*("written:", *(path.relative_to(PROJECT) for path in (FILE, PAGE, README))))
    if failed:
        raise SystemExit(f"failed, and missing there: {', '.join(failed)}")


def _taken(prefix: list[str], section: str, rounds: int, file: Path) -> Figures | None:
    """The figures of one section, taken by a process of its own; None when that failed."""
    words = [sys.executable, "-m", "ci.bench", section, "--rounds", str(rounds)]
    done = subprocess.run([*prefix, *words, "--save", str(file)], cwd=PROJECT, check=False)
    return None if done.returncode else load(file)[0]


def _other_control() -> str | None:
    """One that does not pace, where the system's does."""
    if not congestion_control().startswith("bbr") or not _ALLOWED.exists():
        return None
    allowed = _ALLOWED.read_text().split()
    return next((name for name in ("cubic", "reno") if name in allowed), None)


def _namespace_with(control: str) -> list[str] | None:
    """Words to put before a command, so that it runs where `control` is the default."""
    inside = f"ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control={control}"
    for flags in (["--net"], ["--net", "--map-root-user"]):
        words = ["unshare", *flags, "sh", "-c", f'{inside} && exec "$@"', "sh"]
        if shutil.which("unshare") and not subprocess.run([*words, "true"], check=False).returncode:
            return words
    return None


# -- shown -----------------------------------------------------------------------------------------


TABLES = {
    "kafka": ("The same client at both", "Apache Kafka"),
    "latency": ("From when a message was due until a consumer had it", "Apache Kafka"),
    "late readers": ("A tail reader beside late ones, at a device of 32 MiB/s", "Apache Kafka"),
    "footprint": ("What a broker costs that does little, and how soon it is there", "Apache Kafka"),
    "loops": ("Against the least that could do the same", "bare loop"),
}

HEADLINES = {
    ("kafka", "kcat produces messages of 100 bytes"): "kcat produces messages of 100 bytes",
    ("kafka", "kcat consumes them"): "kcat consumes them",
    ("kafka", "fetches of 1 MiB"): "fetches of 1 MiB",
    ("kafka", "fetches of 1 MiB, CPU"): "… CPU of the broker",
    ("kafka", "64 consumers of the same data"): "64 consumers of the same data",
    ("kafka", "fetches of 64 KiB"): "fetches of 64 KiB",
    ("kafka", "produces of 1 KiB, one after the other"): "produces of 1 KiB, one after the other",
    ("kafka", "produces of 1 KiB by 100 connections"): "… by 100 connections",
    ("kafka", "produces of 1 KiB by 100 connections, CPU"): "… CPU of the broker for one of these",
    ("latency", "1,000 messages/s, p99"): "end to end at 1,000 messages a second, p99",
    ("latency", "100,000 messages/s, p99"): "… at 100,000",
    (
        "late readers",
        "p99 beside 4 late readers, with cold.read.threads=4",
    ): "… at 1,000, beside 4 late readers (ours: `cold.read.threads=4`)",
    (
        "footprint",
        "from an empty directory to the first message",
    ): "from an empty directory to the first message",
    ("footprint", "memory then"): "memory then",
}
"""What the README shows, and in which words."""


def page(runs: list[Figures]) -> str:
    """All figures, for people."""
    parts = [_PAGE_HEAD, _conditions(runs)]
    for table, (title, theirs) in TABLES.items():
        rows = [row for row in runs[0].rows if row.table == table]
        if rows:
            parts.append(f"## {title}\n\n{_table(rows, theirs, runs)}")
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
(this broker / the other) the lowest and the highest round, where there were several. Where it says
*CPU*, *p99*, memory or a time, less is better."""


def shown(file: Path = README) -> str:
    """What stands there now."""
    found = _PLACE.search(file.read_text(encoding="utf-8"))
    assert found is not None, "the README has no place for the figures"
    return found[2]


def _table(
    rows: list[Row], theirs: str, runs: list[Figures], words: list[str] | None = None
) -> str:
    others = [run for run in runs[1:] if any(_of(run, row) for row in rows)]
    ratios = [f"ratio, {_control(run)}" for run in (runs[0], *others)] if others else ["ratio"]
    lines = [f"| | this broker | {theirs} | {' | '.join(ratios)} |"]
    lines.append("|" + "---|" * (3 + len(ratios)))
    for row, name in zip(rows, words or [row.name for row in rows], strict=True):
        same = [_of(run, row) for run in others]
        cells = [
            name,
            f"{_short(row.ours.median)} {row.unit}",
            "–" if row.theirs is None else f"{_short(row.theirs.median)} {row.unit}",
            *(_ratio(None if each is None else each.ratio) for each in (row, *same)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _of(run: Figures, row: Row) -> Row | None:
    return next(
        (each for each in run.rows if (each.table, each.name) == (row.table, row.name)), None
    )


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


def _control(run: Figures) -> str:
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
