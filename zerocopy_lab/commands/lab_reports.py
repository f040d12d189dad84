"""`labs report` and `labs record-machine`: the page about all labs, and machines to compare with.

python -m zerocopy_lab labs report --out out --class DIR
python -m zerocopy_lab labs record-machine "2 cores, cubic" --congestion-control cubic
python -m zerocopy_lab labs record-machine "ordinary user" --uid 65534
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zerocopy_lab.checkout import workplace


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the actions; each sets `run_action` to its function."""
    report = actions.add_parser("report", help="write report.html about what was run so far")
    add_out(report)
    add_class(report)
    report.set_defaults(run_action=_report)
    machine = actions.add_parser("record-machine", help="for authors: a machine for data/machines")
    machine.add_argument("name", help="what tells it from the others")
    machine.add_argument("--congestion-control", metavar="NAME", help="in a network of its own")
    machine.add_argument("--uid", type=int, metavar="UID", help="as this user")
    machine.add_argument("--only", default="", metavar="LABS", help="11,12 (default: all)")
    machine.set_defaults(run_action=_record_machine)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Adds --out: by default where notebooks that run here leave their results."""
    parser.add_argument(
        "--out",
        type=Path,
        default=workplace() / "out",
        metavar="DIR",
        help="results (default: out/ beside labs/, from inside it, too; else here)",
    )


def add_class(parser: argparse.ArgumentParser) -> None:
    """Adds --class."""
    parser.add_argument(
        "--class",
        dest="class_dir",
        type=Path,
        metavar="DIR",
        help="evidence of others, somebody's in a folder each: claims and machines in the report",
    )


def _report(arguments: argparse.Namespace) -> int:
    from zerocopy_lab.verdict.page import write_page
    from zerocopy_lab.verdict.report import report_on

    class_dir: Path | None = arguments.class_dir
    if class_dir is not None and not class_dir.is_dir():
        print(f"there is no directory {class_dir}", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = report_on(arguments.out, class_dir=class_dir)
    for refused in report.refused:
        print(f"left out: {refused.name}: {refused.reason}", file=sys.stderr)
    print(f"report: {write_page(report)}")
    return 0


def _record_machine(arguments: argparse.Namespace) -> int:
    from zerocopy_lab.publishing.recorded_machine import record_machine
    from zerocopy_lab.publishing.reference_run import CannotRecord

    try:
        kept = record_machine(
            arguments.name,
            arguments.congestion_control,
            arguments.uid,
            [*filter(None, arguments.only.split(","))],
        )
    except CannotRecord as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"recorded: {kept}")
    return 0
