"""`residency`: which pages of a log are in the page cache, and which the device still lacks.

    python -m zerocopy_lab residency DIR              every file below a directory
    python -m zerocopy_lab residency --map FILE.log   page by page

Looks without touching, at this broker's files as at a real Kafka's. `?` is printed for what cannot
be known here (the reason goes to stderr), and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from zerocopy_lab.instruments.page_residency import PageCounts, PageMap, page_counts, page_map
from zerocopy_lab.instruments.unavailable import Unavailable

PAGES_PER_LINE: Final = 64
ABSENT, RESIDENT, DIRTY = ".", "#", "D"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the path and the options."""
    parser.add_argument("path", type=Path, metavar="PATH", help="a file, or a directory of files")
    parser.add_argument(
        "--map", action="store_true", help="show every page: . absent, # resident, D dirty"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a file")


def run(arguments: argparse.Namespace) -> int:
    """Prints the table; 1 when something could not be known, 2 when there is no such path."""
    if not arguments.path.exists():
        print(f"there is no {arguments.path}", file=sys.stderr)
        return 2
    complaints: list[str] = []
    rows = list(_look_at(arguments.path, complaints))
    if arguments.json:
        for path, counts in rows:
            print(json.dumps(_as_values(path, counts, with_map=arguments.map)))
    else:
        _print_table(rows, arguments.path)
        if arguments.map:
            _print_maps(rows)
    for complaint in dict.fromkeys(complaints):
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def _look_at(path: Path, complaints: list[str]) -> Iterator[tuple[Path, PageCounts | None]]:
    """Files in order of their names. A broker deletes segments at any time, so one that is gone
    meanwhile is left out.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        try:
            if file.is_file():
                yield file, page_counts(file)
        except FileNotFoundError:
            continue
        except (Unavailable, OSError) as reason:
            complaints.append(str(reason))
            yield file, None


def _print_table(rows: Sequence[tuple[Path, PageCounts | None]], top: Path) -> None:
    print(f"{'pages':>9} {'resident':>9} {'%':>5} {'dirty':>7} {'writeback':>9}  file")
    for path, counts in rows:
        shown = path.relative_to(top) if path != top else path
        print(f"{_row(counts)}  {shown}")
    known = [counts for _path, counts in rows if counts is not None]
    if len(known) > 1:
        print(f"{_row(_sum(known))}  together, {known[0].meter}")


def _row(counts: PageCounts | None) -> str:
    if counts is None:
        return f"{'?':>9} {'?':>9} {'?':>5} {'?':>7} {'?':>9}"
    share = f"{counts.resident / counts.total:.0%}" if counts.total else "-"
    dirty, writeback = ("?" if n is None else str(n) for n in (counts.dirty, counts.writeback))
    return f"{counts.total:>9} {counts.resident:>9} {share:>5} {dirty:>7} {writeback:>9}"


def _sum(known: Sequence[PageCounts]) -> PageCounts:
    return PageCounts(
        sum(counts.total for counts in known),
        sum(counts.resident for counts in known),
        _sum_or_unknown([counts.dirty for counts in known]),
        _sum_or_unknown([counts.writeback for counts in known]),
        _sum_or_unknown([counts.evicted for counts in known]),
        _sum_or_unknown([counts.recently_evicted for counts in known]),
        known[0].meter,
    )


def _sum_or_unknown(counts: Sequence[int | None]) -> int | None:
    """Unknown as soon as one of the parts is."""
    return None if None in counts else sum(count for count in counts if count is not None)


def _print_maps(rows: Sequence[tuple[Path, PageCounts | None]]) -> None:
    for path, counts in rows:
        if counts is not None and counts.total:
            print(
                f"\n{path}: one sign per page ({ABSENT} absent, {RESIDENT} resident, {DIRTY} dirty)"
            )
            for line in map_lines(page_map(path)):
                print(line)


def map_lines(pages: PageMap) -> Iterator[str]:
    """Position of the line's first page, and a sign per page. Repeated lines become one `*`."""
    signs = "".join(_signs(pages))
    previous, skipping = None, False
    for at in range(0, len(signs), PAGES_PER_LINE):
        line = signs[at : at + PAGES_PER_LINE]
        if line == previous:
            if not skipping:
                yield f"{'*':>14}"
            skipping = True
            continue
        previous, skipping = line, False
        yield f"{at * pages.page_bytes:>14,}  {line}"


def _signs(pages: PageMap) -> Iterator[str]:
    dirty = pages.dirty or bytes(len(pages.resident))
    for is_resident, is_dirty in zip(pages.resident, dirty, strict=True):
        yield DIRTY if is_dirty else RESIDENT if is_resident else ABSENT


def _as_values(path: Path, counts: PageCounts | None, *, with_map: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"file": str(path), **(counts._asdict() if counts else {})}
    if with_map and counts is not None:
        values["map"] = "".join(_signs(page_map(path)))
    return values
