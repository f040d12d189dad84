"""`labs`: list, run and store the lab notebooks.

python -m zerocopy_lab labs list
python -m zerocopy_lab labs run --fast --out out 00 05
python -m zerocopy_lab labs run --broker kafka 05
python -m zerocopy_lab labs grade submitted              for teachers: see `lab_grading`
python -m zerocopy_lab labs report --class DIR     the page about what was run, without running it
python -m zerocopy_lab labs progress      how far you are, over all labs
python -m zerocopy_lab labs copy DIR      bring the labs there; release, slides: for teachers
python -m zerocopy_lab labs tidy          for authors: strip outputs, renew headings and links
python -m zerocopy_lab labs solve 05      for authors: run the solved notebook and store it executed
python -m zerocopy_lab labs record        for authors: renew what labs show without an instrument
python -m zerocopy_lab labs record --broker kafka 05    for authors: ... and without a Kafka
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zerocopy_lab.classroom.claims import claim
from zerocopy_lab.classroom.manifest import LabEntry, lab_entry, labs
from zerocopy_lab.classroom.student import STUDENT_VARIABLE, results_of, student_id
from zerocopy_lab.commands import lab_editions, lab_grading, lab_reports

if TYPE_CHECKING:
    from zerocopy_lab.publishing.headless import LabRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the labs, in order")
    run_parser = actions.add_parser("run", help="run labs headless and write report.html")
    run_parser.add_argument("--fast", action="store_true", help="less data, at most 30 s a lab")
    run_parser.add_argument("--seed", type=int, default=1, help="what random numbers start from")
    lab_reports.add_out(run_parser)
    lab_reports.add_class(run_parser)
    run_parser.add_argument(
        "--broker",
        default="zerocopy_lab",
        metavar="WHICH",
        help="zerocopy_lab, kafka (a real one, started here) or HOST:PORT (default: %(default)s)",
    )
    run_parser.add_argument(
        "--student", type=student_id, default="", metavar="ID", help="whose run it is"
    )
    grade_parser = actions.add_parser("grade", help="for teachers: examine a class's work again")
    lab_grading.add_arguments(grade_parser)
    progress_parser = actions.add_parser("progress", help="how far you are, over all labs")
    lab_reports.add_out(progress_parser)
    progress_parser.add_argument(
        "--student",
        type=student_id,
        default=os.environ.get(STUDENT_VARIABLE, ""),
        metavar="ID",
        help="whose (default: the environment's ZEROCOPY_LAB_STUDENT, else nobody's)",
    )
    tidy_parser = actions.add_parser("tidy", help="for authors: strip outputs, renew links")
    solve_parser = actions.add_parser("solve", help="for authors: store the solutions executed")
    record_parser = actions.add_parser("record", help="for authors: make what data/ holds again")
    record_parser.add_argument(
        "--broker",
        choices=("zerocopy_lab", "kafka"),
        default="zerocopy_lab",
        help="kafka: what labs find on a real one (data/kafka_runs); else data/reference_run.json",
    )
    lab_editions.add_actions(actions)
    lab_reports.add_actions(actions)
    for listed in (run_parser, tidy_parser, solve_parser, record_parser):
        listed.add_argument(
            "labs", nargs="*", metavar="LAB", help="05 or 05_zero_copy (default: all)"
        )


def run(arguments: argparse.Namespace) -> int:
    """Runs the action; 1 when a lab failed, 2 when there is no such lab."""
    if "run_action" in arguments:
        exit_code: int = arguments.run_action(arguments)
        return exit_code
    try:
        chosen = [lab_entry(name) for name in getattr(arguments, "labs", [])] or [*labs().values()]
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    if arguments.action == "record":
        if arguments.broker == "kafka":
            return _record_on_kafka(chosen, are_named=bool(arguments.labs))
        return _record()
    if arguments.action == "grade":
        return lab_grading.run(arguments)
    if arguments.action == "run":
        return _run(
            chosen,
            arguments.out,
            arguments.class_dir,
            fast=arguments.fast,
            seed=arguments.seed,
            broker=arguments.broker,
            student=arguments.student,
        )
    if arguments.action == "progress":
        return _progress(results_of(arguments.out, arguments.student))
    return {"list": _list, "tidy": _tidy, "solve": _solve}[arguments.action](chosen)


def _progress(out_dir: Path) -> int:
    from zerocopy_lab.classroom.evidence_file import PROGRESS_HEADINGS, progress_rows
    from zerocopy_lab.classroom.kept_parts import parts_in_words

    rows = [list(PROGRESS_HEADINGS), *progress_rows(out_dir)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        told = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(told).rstrip())
    print(parts_in_words(out_dir / "parts"))
    return 0


def _run(
    chosen: Sequence[LabEntry],
    out_dir: Path,
    class_dir: Path | None,
    *,
    fast: bool,
    seed: int,
    broker: str,
    student: str,
) -> int:
    import matplotlib.font_manager  # noqa: F401 - the first time, it says on stderr that it works

    from zerocopy_lab.publishing.headless import run_lab
    from zerocopy_lab.verdict.page import write_page
    from zerocopy_lab.verdict.report import report_on

    out_dir.mkdir(parents=True, exist_ok=True)
    runs: list[LabRun] = []
    for number, entry in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {entry.id} {entry.title} ...", end=" ", flush=True)
        runs.append(run_lab(entry, out_dir, fast=fast, seed=seed, broker=broker, student=student))
        print(_in_words(runs[-1]), flush=True)
    out_root = results_of(out_dir, student)
    notes = {lab_run.entry.id: lab_run.note for lab_run in runs}
    print(f"report: {write_page(report_on(out_root, notes, class_dir))}")
    return 1 if any(lab_run.problems for lab_run in runs) else 0


def _in_words(lab_run: LabRun) -> str:
    if lab_run.skipped:
        return f"skipped: {lab_run.skipped}"
    if not lab_run.problems:
        return f"all right, {lab_run.seconds:.1f} s"
    return "\n  ".join([f"FAILED after {lab_run.seconds:.1f} s", *lab_run.problems])


def _list(chosen: Sequence[LabEntry]) -> int:
    for entry in chosen:
        print(f"{entry.id}  {entry.title:<24} {entry.minutes:>3} min  {' '.join(entry.claims)}")
    return 0


def _tidy(chosen: Sequence[LabEntry]) -> int:
    from zerocopy_lab.publishing.tidy import tidy

    for entry in chosen:
        tidy(entry)
    return 0


def _solve(chosen: Sequence[LabEntry]) -> int:
    from zerocopy_lab.publishing.tidy import solve

    failures = {entry.name: solve(entry, fast=True, seed=1) for entry in chosen}
    for name, failure in failures.items():
        print(f"{name}: {failure or 'stored executed'}")
    return 1 if any(failures.values()) else 0


def _record() -> int:
    from zerocopy_lab.measuring.recorded import REFERENCE_FILE
    from zerocopy_lab.publishing.reference_run import CannotRecord, record

    try:
        record()
    except CannotRecord as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"recorded: {REFERENCE_FILE}")
    return 0


def _record_on_kafka(chosen: Sequence[LabEntry], *, are_named: bool) -> int:
    from zerocopy_lab.publishing.reference_run import CannotRecord, record_on_kafka

    failed = 0
    for entry in chosen:
        if not (are_named or any(claim(each).is_about_kafka for each in entry.claims)):
            continue
        try:
            print(f"{entry.id} recorded: {record_on_kafka(entry)}", flush=True)
        except CannotRecord as reason:
            print(f"{entry.id} not recorded: {reason}", file=sys.stderr, flush=True)
            failed = 1
    return failed
