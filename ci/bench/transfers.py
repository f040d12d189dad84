"""What each way from file to socket costs here, in figures.

    python -m ci.bench.transfers                    all three parts, 1 GiB, 7 rounds
    python -m ci.bench.transfers loop --mib 256     only this part, with a smaller file

| part      | what it answers                                                                  |
|-----------|----------------------------------------------------------------------------------|
| table     | every strategy against every receiver: sender and total CPU, rate                |
| loop      | what Python costs: the strategy `sendfile` and its caller's loop against C's     |
| crossover | from which message size on sendfile is cheaper than copying                      |

Every row is measured in processes of its own, in rounds of shuffled order; shown are medians and
ranges. Nothing here passes or fails: verdicts say cheaper, dearer or inconclusive.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ci.bench import sendfile_loops
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.measuring.experiment import (
    Contestant,
    Outcome,
    compare,
    run_experiment,
)
from zerocopy_lab.measuring.preconditions import memory_for
from zerocopy_lab.measuring.racing import (
    COURSES,
    GIB,
    LINE_UP,
    Course,
    Entry,
    file_to_send,
    race,
    why_not,
)

KIB, MIB = 1 << 10, 1 << 20
GOAL = 1.05
LOOPS = ((None, True), (MIB, True), (64 * KIB, True), (None, False))
MESSAGES = tuple(512 << power for power in range(7))
COPYING = ("read_then_send", "mmap_then_send")
CROSSOVER_MIB = 64


def main() -> None:
    """Run the parts that were asked for, one after the other."""
    wanted = parse_arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a long run shows each line when it has it
    print(describe_host().text())
    for part in wanted.parts or PARTS:
        PARTS[part](wanted)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What each way from file to socket costs here.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--mib", type=int, default=1024, help="how much to send (1024)")
    parser.add_argument("--rounds", type=int, default=7, help="3 at least; 7 for a test (7)")
    parser.add_argument("--course", choices=[course.label for course in COURSES], help="only this")
    parser.add_argument("--directory", type=Path, help="where the file to send is made")
    wanted = parser.parse_args()
    if unknown := set(wanted.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(unknown)}; choose of {', '.join(PARTS)}")
    return wanted


def courses(wanted: argparse.Namespace) -> list[Course]:
    return [course for course in COURSES if wanted.course in (None, course.label)]


def race_here(
    wanted: argparse.Namespace, course: Course, entries: list[Entry], mib: int
) -> Outcome:
    """Race what can run here; say why for the rest."""
    for entry in entries:
        if reason := why_not(entry, course):
            print(f"    {entry.label:34} not here: {reason}")
    runners = [entry for entry in entries if why_not(entry, course) is None]
    with (
        tempfile.TemporaryDirectory(dir=wanted.directory) as directory,
        file_to_send(Path(directory), mib * MIB) as path,
    ):
        return race(course, runners, path, repeats=wanted.rounds)


def table(wanted: argparse.Namespace) -> None:
    """Strategies x receivers, as s/GiB of CPU and as GiB/s."""
    for course in courses(wanted):
        print(f"\n{course.label}, {wanted.mib} MiB: CPU s/GiB of the sender, of both; GiB/s")
        outcome = race_here(wanted, course, list(LINE_UP), wanted.mib)
        for name in outcome.contestants:
            sender = outcome.spread_of(name, "sender_cpu_s_per_gib").text()
            both = outcome.spread_of(name, "total_cpu_s_per_gib").text()
            rate = outcome.spread_of(name, "gib_per_s").text()
            print(f"    {name:34} {sender:29} {both:29} {rate}")
        print("".join(f"    ({note})\n" for note in outcome.notes), end="")


def loop(wanted: argparse.Namespace) -> None:
    """Python against C."""
    for course in courses(wanted):
        if why_not(Entry("sendfile", None), course):
            continue
        print(f"\n{course.label}, {wanted.mib} MiB by sendfile: CPU s/GiB of the sender")
        for chunk_bytes, blocking in LOOPS:
            _loop(wanted, course, chunk_bytes, blocking)


def _loop(
    wanted: argparse.Namespace, course: Course, chunk_bytes: int | None, blocking: bool
) -> None:
    with (
        tempfile.TemporaryDirectory(dir=wanted.directory) as directory,
        file_to_send(Path(directory), wanted.mib * MIB) as path,
    ):
        settings = {
            **course._asdict(),
            "path": str(path),
            "chunk_bytes": chunk_bytes,
            "blocking": blocking,
        }
        library = str(sendfile_loops.build(Path(directory)))
        contestants = [
            Contestant("Python", sendfile_loops.in_python, settings),
            Contestant("C", sendfile_loops.in_c, {**settings, "library": library}),
        ]
        outcome = run_experiment(
            "loop",
            contestants,
            repeats=wanted.rounds,
            preconditions=[memory_for(wanted.mib * MIB)],
        )
    piece = "at once" if chunk_bytes is None else f"{chunk_bytes // KIB} KiB"
    print(f"    {piece}, {'blocking' if blocking else 'poll'}:", end="")
    for name in outcome.contestants:
        cpu_s = outcome.spread_of(name, "cpu_s").median / wanted.mib * (GIB // MIB)
        calls = outcome.spread_of(name, "calls").median
        print(f" {name} {cpu_s:.4f} in {calls:,.0f} calls;", end="")
    comparison = compare(outcome, "Python", "C")
    met = "met" if comparison.ratio.median <= GOAL else "missed"
    print(f" Python / C = {comparison.ratio.text()}: {comparison.verdict}; goal {GOAL}: {met}")


def crossover(wanted: argparse.Namespace) -> None:
    """Per message size: microseconds of the sender's CPU for a message, and who is cheaper."""
    entries = [Entry(name, size) for size in MESSAGES for name in ("sendfile", *COPYING)]
    for course in courses(wanted):
        print(f"\n{course.label}, {CROSSOVER_MIB} MiB: sender CPU in us per message")
        outcome = race_here(wanted, course, entries, CROSSOVER_MIB)
        cheaper_from: dict[str, int | None] = dict.fromkeys(COPYING)
        for size in MESSAGES:
            line = f"    {size:6} B  sendfile {_us_per_message(outcome, 'sendfile', size):7.2f}"
            for name in COPYING:
                verdict = _verdict(outcome, name, size)
                line += f"   {name} {_us_per_message(outcome, name, size):7.2f} ({verdict})"
                if verdict != "sendfile cheaper":
                    cheaper_from[name] = None
                elif cheaper_from[name] is None:
                    cheaper_from[name] = size
            print(line)
        for name, least in cheaper_from.items():
            found = "not shown to the end" if least is None else f"from {least} bytes on"
            print(f"    sendfile is cheaper than {name}: {found}")


def _us_per_message(outcome: Outcome, name: str, size: int) -> float:
    s_per_gib = outcome.spread_of(Entry(name, size).label, "sender_cpu_s_per_gib").median
    return s_per_gib / (GIB / size) * 1e6


def _verdict(outcome: Outcome, name: str, size: int) -> str:
    labels = Entry("sendfile", size).label, Entry(name, size).label
    verdict = compare(outcome, *labels, "sender_cpu_s_per_gib").verdict
    return verdict if verdict == "inconclusive" else f"sendfile {verdict}"


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "table": table,
    "loop": loop,
    "crossover": crossover,
}

if __name__ == "__main__":
    main()
