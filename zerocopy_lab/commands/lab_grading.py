"""`labs grade SUBMISSIONS`: a class's work examined again, as a table and for a gradebook.

python -m zerocopy_lab labs grade submitted
python -m zerocopy_lab labs grade --secret-file FILE --only 05 --format canvas submitted
python -m zerocopy_lab labs grade --student ada --format gradescope --out results.json handed-in
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from zerocopy_lab.classroom.student import student_id


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `labs grade`."""
    parser.add_argument(
        "submissions",
        type=Path,
        metavar="SUBMISSIONS",
        help="a directory for each student, with evidence files and notebooks in it",
    )
    parser.add_argument(
        "--format",
        choices=("table", "csv", "nbgrader", "canvas", "moodle", "gradescope", "classroom50"),
        default="table",
        help="what to write (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="where: a file, or a directory for several"
    )
    parser.add_argument(
        "--secret-file",
        type=Path,
        metavar="FILE",
        help="what hidden checks draw from: keep it, and the same grades come again "
        "(default: a secret that nobody ever knows)",
    )
    parser.add_argument(
        "--only", default="", metavar="05,06", help="labs that count (default: what was handed in)"
    )
    parser.add_argument(
        "--student",
        type=student_id,
        metavar="ID",
        help="all of SUBMISSIONS is this student's",
    )
    parser.add_argument(
        "--problem", type=int, default=1, help="the SEED of the notebooks (default: 1)"
    )
    parser.add_argument(
        "--one-seed",
        type=int,
        metavar="SEED",
        help="the notebooks had no STUDENT: all students have the numbers of this SEED",
    )
    parser.add_argument(
        "--rerun", action="store_true", help="run notebooks although they carry their evidence"
    )
    parser.add_argument(
        "--no-walls",
        action="store_true",
        help="hold time and memory only: in a machine that may be thrown away",
    )


def run(arguments: argparse.Namespace) -> int:
    """Grades; 1 when nothing can be graded here, 2 when there is nothing to grade."""
    from zerocopy_lab.classroom.manifest import lab_entry
    from zerocopy_lab.instruments.unavailable import Unavailable
    from zerocopy_lab.publishing.grade_formats import FORMATS, table_of
    from zerocopy_lab.publishing.grading import Terms, grade_class
    from zerocopy_lab.publishing.submissions import submissions_in

    place: Path = arguments.submissions
    try:
        submissions = submissions_in(place, arguments.student)
        secret = arguments.secret_file.read_text() if arguments.secret_file else ""
        chosen = [lab_entry(name) for name in arguments.only.split(",") if name]
    except (OSError, KeyError) as error:
        print(error.args[0] if isinstance(error, KeyError) else error, file=sys.stderr)
        return 2
    if not submissions:
        print(f"there are no evidence files and no notebooks in {place}", file=sys.stderr)
        return 2
    terms = Terms(
        secret.strip() or secrets.token_hex(),
        problem=arguments.problem,
        one_seed=arguments.one_seed,
        rerun=arguments.rerun,
        walls=not arguments.no_walls,
        hidden=(place if place.is_dir() else place.parent,),
    )
    try:
        reports = grade_class(submissions, terms, chosen, _say)
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        return 1
    if arguments.format != "table":
        return _write(FORMATS[arguments.format](reports), arguments.out)
    return _write({"grades.txt": table_of(reports) + "\n"}, arguments.out)


def _say(student: str) -> None:
    """Beside the table, not in it."""
    print(f"examined: {student}", file=sys.stderr, flush=True)


def _write(files: dict[str, str], out: Path | None) -> int:
    """One file to `out` or the terminal, several below `out`."""
    if len(files) == 1:
        [text] = files.values()
        if out is None:
            print(text, end="")
        else:
            out.write_text(text, encoding="utf-8")
        return 0
    if out is None:
        print("these are several files: say where with --out DIR", file=sys.stderr)
        return 2
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0
