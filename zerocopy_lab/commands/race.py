"""`race`: let transfer strategies race each other on this machine.

    python -m zerocopy_lab race                                    the labs' line-up, 3 receivers
    python -m zerocopy_lab race --fast --receivers tcp:dropping    3 rounds, one receiver
    python -m zerocopy_lab race --strategies sendfile,read_then_send --chunks 4096,65536,default
    python -m zerocopy_lab race --json race.json --plot race.png

Prints CPU and throughput with their ranges, then each pair of contestants that theory puts in an
order and what the measurement says about it: as expected, contradicts theory, or inconclusive. The
exit code is 0 whatever wins, and 1 when nothing could be measured.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from zerocopy_lab.measuring.experiment import ContestantFailed, ExperimentRefused, Outcome
from zerocopy_lab.measuring.racing import (
    COURSES,
    LINE_UP,
    Course,
    Entry,
    expectations,
    file_to_send,
    judge,
    race,
    why_not,
)
from zerocopy_lab.measuring.recorded import save_outcomes
from zerocopy_lab.transfer import strategies

FULL_ROUNDS: Final = 7
FAST_ROUNDS: Final = 3
FIGURES: Final = ("sender_cpu_s_per_gib", "total_cpu_s_per_gib", "gib_per_s")
ALL_COURSES: Final = (*COURSES, Course("tcp", "splicing"), Course("unix", "touching"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--strategies",
        type=_names,
        metavar="A,B",
        help=f"instead of the labs' line-up: of {', '.join(strategies())}",
    )
    parser.add_argument(
        "--chunks", type=_chunks, metavar="BYTES,…,default", help="chunk sizes for --strategies"
    )
    parser.add_argument(
        "--receivers",
        type=_courses,
        default=COURSES,
        metavar="R,…",
        help=f"of {', '.join(course.label for course in ALL_COURSES)} "
        f"(default: the first {len(COURSES)})",
    )
    parser.add_argument("--mib", type=int, default=128, help="size of the file (default: 128)")
    parser.add_argument(
        "--fast", action="store_true", help=f"{FAST_ROUNDS} rounds, not {FULL_ROUNDS}"
    )
    parser.add_argument("--seed", type=int, default=1, help="what the order is shuffled with")
    parser.add_argument("--directory", type=Path, help="where the file is made")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all samples, host and settings")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="a picture per receiver")


def run(arguments: argparse.Namespace) -> int:
    """Runs the races and prints their tables; 1 when a race was refused or a contestant failed."""
    outcomes: list[Outcome] = []
    rounds = FAST_ROUNDS if arguments.fast else FULL_ROUNDS
    entries = _entries(arguments)
    try:
        with (
            tempfile.TemporaryDirectory(dir=arguments.directory) as directory,
            file_to_send(Path(directory), arguments.mib << 20) as path,
        ):
            for course in arguments.receivers:
                running = [entry for entry in entries if why_not(entry, course) is None]
                outcomes.append(
                    race(
                        course,
                        running,
                        path,
                        repeats=rounds,
                        seed=arguments.seed,
                        progress=_progress,
                    )
                )
                _print_outcome(outcomes[-1], course, entries)
                _plot(arguments, course, outcomes[-1], entries)
    except (ExperimentRefused, ContestantFailed, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json is not None:
        save_outcomes(outcomes, arguments.json)
    return 0


def _entries(arguments: argparse.Namespace) -> Sequence[Entry]:
    if arguments.strategies is None and arguments.chunks is None:
        return LINE_UP
    names = arguments.strategies or list(dict.fromkeys(entry.strategy for entry in LINE_UP))
    chunks = arguments.chunks or (4096, 65536, 1 << 20)
    entries = [Entry(*pair) for pair in itertools.product(names, chunks)]
    return list({entry.label: entry for entry in entries}.values())  # a default may be named, too


def _print_outcome(outcome: Outcome, course: Course, entries: Sequence[Entry]) -> None:
    print(f"\n{course.label}: median (range) of {outcome.settings['repeats']} rounds, TIMED")
    print(f"{'':<34} {'sender CPU s/GiB':<22} {'total CPU s/GiB':<22} GiB/s")
    for entry in entries:
        if reason := why_not(entry, course):
            print(f"{entry.label:<34} not here: {reason}")
            continue
        cells = [_cell(outcome, entry, figure) for figure in FIGURES]
        print(f"{entry.label:<34} {cells[0]:<22} {cells[1]:<22} {cells[2]}")
    for note in outcome.notes:
        print(f"  {note}")
    print(f"  {outcome.provenance()}")
    _print_verdicts(outcome, [entry for entry in entries if why_not(entry, course) is None])


def _cell(outcome: Outcome, entry: Entry, figure: str) -> str:
    return outcome.spread_of(entry.label, figure).text().partition(", n=")[0] + ")"


def _print_verdicts(outcome: Outcome, running: Sequence[Entry]) -> None:
    print("\n  what theory says of the sender's CPU, and what was measured")
    for expectation in expectations(running):
        verdict, found = judge(expectation, outcome)
        pair = f"{found.first} < {found.second}"
        ratio = found.ratio.text().partition(", n=")[0] + ")"
        print(f"  {verdict:<19} {pair:<58} x {ratio:<22} {expectation.because}; {found.why}")


def _plot(
    arguments: argparse.Namespace, course: Course, outcome: Outcome, entries: Sequence[Entry]
) -> None:
    if arguments.plot is None:
        return
    from zerocopy_lab.pictures.comparison import Missing, StrategyCost, strategies_side_by_side
    from zerocopy_lab.pictures.theme import Origin

    rows = [
        Missing(entry.label, reason)
        if (reason := why_not(entry, course))
        else StrategyCost(entry.label, *(outcome.spread_of(entry.label, name) for name in FIGURES))
        for entry in entries
    ]
    picture = strategies_side_by_side(
        rows, origin=Origin("TIMED", outcome.host.text()), title=_title(arguments.mib, course)
    )
    several = len(arguments.receivers) > 1
    name = f"{arguments.plot.stem}-{course.family}-{course.receiver}{arguments.plot.suffix}"
    path = arguments.plot.with_name(name) if several else arguments.plot
    path.write_bytes(picture.png())
    print(f"  picture: {path}")


def _title(mib: int, course: Course) -> str:
    family = {"tcp": "TCP", "unix": "a unix socket"}[course.family]
    return f"{mib} MiB from the page cache over {family} to a {course.receiver} receiver"


def _progress(step: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{step:<40}", end="\r", file=sys.stderr, flush=True)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - strategies().keys():
        choices = ", ".join(strategies())
        raise argparse.ArgumentTypeError(
            f"no strategy {', '.join(sorted(unknown))}; there are {choices}"
        )
    return names


def _chunks(text: str) -> list[int | None]:
    try:
        return [None if word == "default" else int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of bytes like 4096,65536,default"
        ) from None


def _courses(text: str) -> list[Course]:
    known = {course.label: course for course in ALL_COURSES}
    try:
        return [known[word] for word in text.split(",")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(
            f"no receiver {error}; there are {', '.join(known)}"
        ) from None
