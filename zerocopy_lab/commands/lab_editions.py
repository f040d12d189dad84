"""`labs release`, `labs copy`, `labs slides`: the labs for a course, or for another place.

python -m zerocopy_lab labs copy DIR
python -m zerocopy_lab labs release --student DIR --instructor DIR --only 02,05
python -m zerocopy_lab labs release --nbgrader DIR --otter DIR
python -m zerocopy_lab labs slides DIR 05
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zerocopy_lab.classroom.manifest import LabEntry, lab_entry, labs

_EDITIONS = {
    "student": "stubs to be answered, no solutions",
    "instructor": "solved and executed, with notes for whoever teaches",
    "nbgrader": "a course's sources for nbgrader",
    "otter": "assignments for Otter-Grader",
}


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `copy`, `release` and `slides`; each sets `run_action` to its function."""
    copy = actions.add_parser("copy", help="the labs to a directory of your own, to work in")
    copy.add_argument("directory", type=Path, metavar="DIR")
    copy.set_defaults(run_action=_copy)
    release = actions.add_parser("release", help="for teachers: editions of the labs")
    for edition, says in _EDITIONS.items():
        release.add_argument(f"--{edition}", type=Path, metavar="DIR", help=says)
    release.add_argument("--only", metavar="LABS", help="02,05 (default: all)")
    release.set_defaults(run_action=_release)
    slides = actions.add_parser("slides", help="for teachers: a lab as slides for a browser")
    slides.add_argument("directory", type=Path, metavar="DIR")
    slides.add_argument("labs", nargs="*", metavar="LAB")
    slides.add_argument("--reveal", metavar="URL", help="where reveal.js lies (default: the web)")
    slides.set_defaults(run_action=_slides)


def _copy(arguments: argparse.Namespace) -> int:
    from zerocopy_lab.publishing.editions import whole_copy, write

    directory: Path = arguments.directory
    files = whole_copy()
    new = {name: text for name, text in files.items() if not (directory / name).exists()}
    write(new, directory)
    stayed = len(files) - len(new)
    print(f"{len(new)} files copied to {directory}" + (f", {stayed} were there" if stayed else ""))
    first = next(iter(labs().values()))
    print(f"begin with {directory / 'labs' / first.name}.ipynb: jupyter lab {directory}")
    return 0


def _release(arguments: argparse.Namespace) -> int:
    from zerocopy_lab.publishing import editions, graders
    from zerocopy_lab.publishing.exercise_cells import NotAStub

    makers: Mapping[str, Callable[[Sequence[LabEntry]], dict[str, str]]] = {
        "student": editions.student_edition,
        "instructor": editions.instructor_edition,
        "nbgrader": graders.nbgrader_edition,
        "otter": graders.otter_edition,
    }
    wanted = {name: getattr(arguments, name) for name in makers if getattr(arguments, name)}
    if not wanted:
        print(f"say which: {', '.join(f'--{name} DIR' for name in makers)}", file=sys.stderr)
        return 2
    try:
        chosen = _chosen(arguments.only.split(",") if arguments.only else [])
        for name, directory in wanted.items():
            files = makers[name](chosen)
            editions.write(files, directory)
            print(f"{name}: {len(files)} files of {len(chosen)} labs in {directory}")
    except (KeyError, NotAStub, editions.NotReleased) as reason:
        print(reason.args[0], file=sys.stderr)
        return 2
    return 0


def _chosen(names: Sequence[str]) -> list[LabEntry]:
    """The labs that were named, in the order of the list; KeyError for one that there is not."""
    named = {lab_entry(name.strip()).id for name in names}
    return [entry for entry in labs().values() if not named or entry.id in named]


def _slides(arguments: argparse.Namespace) -> int:
    from zerocopy_lab.publishing.slides import slides_of

    try:
        chosen = _chosen(arguments.labs)
    except KeyError as reason:
        print(reason.args[0], file=sys.stderr)
        return 2
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for entry in chosen:
        path = arguments.directory / f"{entry.name}.slides.html"
        path.write_text(slides_of(entry, reveal=arguments.reveal), encoding="utf-8")
        print(path)
    return 0
