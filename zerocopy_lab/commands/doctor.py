"""`doctor`: what can be proved, counted and timed on this machine, as whom, and why not the rest.

    python -m zerocopy_lab doctor
    python -m zerocopy_lab doctor --json
    python -m zerocopy_lab doctor --directory DIR     judge another file system

Everything is tried, not looked up: an instrument counts as available when it has just measured
something whose answer is known. A missing instrument is no failure (the labs say what they cannot
show), so the exit code is 0.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from zerocopy_lab.instruments.capabilities import Capability, capabilities
from zerocopy_lab.instruments.host import describe_host, file_system_of
from zerocopy_lab.instruments.network import NetworkCard, congestion_controls, network_cards
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.alias_test import alias_test
from zerocopy_lab.measuring.receivers import Kind, receiver_unavailable
from zerocopy_lab.measuring.stopwatch import pinning_unavailable
from zerocopy_lab.transfer import strategies
from zerocopy_lab.transfer.connections import Family

FAMILIES: tuple[Family, ...] = ("tcp", "unix")
RECEIVERS: tuple[Kind, ...] = ("touching", "dropping", "splicing")


KINDS: Final = {
    "PROVED": "a yes or no that no clock can blur",
    "COUNTED": "exact counts",
    "TIMED": "durations and CPU times, with their range",
}
ANSWERS: Final = {"alias": "no copy", "copied": "copied"}


class Row(NamedTuple):
    """One line of the table. `why_not` is None where it works."""

    evidence: Literal["PROVED", "COUNTED", "TIMED"]
    question: str
    how: str
    whom: str
    answer: str
    why_not: str | None
    remedy: str
    trap: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--json", action="store_true", help="the same as one JSON object")
    parser.add_argument("--traps", action="store_true", help="also what each instrument gets wrong")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where files are made and looked at (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Tries everything and prints what came out; 2 when the directory cannot be used."""
    try:
        with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
            rows = sorted(_examine(Path(place)), key=_order)
    except OSError as error:
        print(f"cannot make files in {arguments.directory}: {error}")
        return 2
    about = _about(arguments.directory)
    if arguments.json:
        print(json.dumps({**about, "rows": [row._asdict() for row in rows]}, indent=1))
        return 0
    for name, value in about.items():
        print(textwrap.fill(f"{name}: {value}", 100, subsequent_indent="  "))
    _print_table(rows, traps=arguments.traps)
    return 0


def _about(directory: Path) -> dict[str, str]:
    found = file_system_of(directory)
    about = {"machine": describe_host().text(), "file system": found.kind if found else "unknown"}
    try:
        default, loaded = congestion_controls()
        about["congestion control"] = f"{default} (loaded: {', '.join(loaded)})"
        about["network cards"] = "; ".join(map(_card_in_words, network_cards()))
    except Unavailable as reason:
        about["network"] = str(reason)
    return about


def _card_in_words(card: NetworkCard) -> str:
    missing = [name for name, is_on in card.features.items() if not is_on]
    features = f"all but {', '.join(missing)}" if missing else "all features of zero copy"
    return f"{card.name}: DMA {card.dma}, {features if card.features else 'features not told'}"


def _examine(directory: Path) -> Iterator[Row]:
    yield from _alias_rows(directory)
    yield from map(_from_capability, capabilities(directory))
    yield from _timing_rows()


def _from_capability(found: Capability) -> Row:
    return Row(
        found.evidence, found.question, found.instrument, found.whom, "", found.why_not,
        found.remedy, found.trap,
    )  # fmt: skip


def _alias_rows(directory: Path) -> Iterator[Row]:
    """The alias test of each strategy is run: a proof is no less work than the question for it."""
    for name, strategy in strategies().items():
        for family in FAMILIES:
            if strategy.tcp_only and family == "unix":
                continue
            why_not, answer = strategy.unavailable(), ""
            if why_not is None:
                found = alias_test(name, family, directory)
                answer = ANSWERS.get(found.verdict, "")
                why_not = found.detail if found.verdict == "inconclusive" else None
            yield Row(
                "PROVED", f"does {name} copy into a {family} socket?", "alias test", "anyone",
                answer, why_not, "nothing else depends on it; a lab that would use it says so",
                "says nothing about what happens after the socket: recv copies on loopback",
            )  # fmt: skip


def _timing_rows() -> Iterator[Row]:
    for kind in RECEIVERS:
        for family in FAMILIES:
            if kind == "dropping" and family == "unix":
                continue  # nobody has it
            yield Row(
                "TIMED", f"cost of sending to a {kind} {family} receiver", "race", "anyone", "",
                receiver_unavailable(kind, family), "use another receiver",
                "receivers differ in what they hide: compare within one only",
            )  # fmt: skip
    yield Row(
        "TIMED", "contestants on processors of their own", "sched_setaffinity", "anyone", "",
        pinning_unavailable(), "use Linux with two processors; verdicts then need less patience",
        "threads of a process must be pinned one by one",
    )  # fmt: skip


def _order(row: Row) -> int:
    return list(KINDS).index(row.evidence)


def _print_table(rows: Sequence[Row], *, traps: bool) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    question_width = max(len(row.question) for row in rows)
    for row in rows:
        if row is rows[0] or row.evidence != rows[rows.index(row) - 1].evidence:
            print(f"\n{row.evidence}: {KINDS[row.evidence]}")
        state = "no " if row.why_not is not None else "yes"
        answer = f": {row.answer}" if row.answer else ""
        print(f"  {state}  {row.question:<{question_width}}  {row.how} ({row.whom}){answer}")
        remarks = [] if row.why_not is None else [f"why not: {row.why_not}", f"to do: {row.remedy}"]
        for remark in [*remarks, *([f"trap: {row.trap}"] if traps else [])]:
            print(textwrap.fill(remark, width, initial_indent=" " * 9, subsequent_indent=" " * 11))
    missing = sum(row.why_not is not None for row in rows)
    print(f"\n{len(rows) - missing} of {len(rows)} can be done here, now, by this user.")
