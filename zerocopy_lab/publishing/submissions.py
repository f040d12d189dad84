"""What was handed in, and by whom: evidence files, executed notebooks, notebooks that nobody ran.

    SUBMISSIONS/ada/05_zero_copy.json              evidence
    SUBMISSIONS/bob/any/depth/05_zero_copy.ipynb   a notebook, with its evidence in it or without
    SUBMISSIONS/05_zero_copy.json                  whose it is the evidence says

The name of the first directory is the student's id, as nbgrader's `submitted/` and OUT_DIR's
`students/` have it. Everything in here was written by somebody else: links and what is no file are
passed by, sizes are limited, and nothing is run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.evidence_file import MOST_BYTES, BadEvidence, read_evidence
from zerocopy_lab.classroom.notebook_output import EVIDENCE_MIME
from zerocopy_lab.classroom.student import BadStudent, student_id

_MOST_NOTEBOOK_BYTES: Final = 64 << 20
_MOST_FILES: Final = 1000
_STARTS = re.compile(r"start_lab\(\s*\\?[\"'](\d\d)")


class HandedIn(NamedTuple):
    """One lab of one student: its evidence, or a notebook (its text) that has still to be run."""

    lab: str
    path: Path
    evidence: dict[str, Any] | None
    notebook: str | None


class Submission(NamedTuple):
    """All that one student handed in: by lab, and what could not be read, in words."""

    student: str
    labs: dict[str, HandedIn]
    notes: list[str]


def submissions_in(place: Path, student: str | None = None) -> list[Submission]:
    """Everybody's, in the order of their ids; all of it one student's, if that is said.
    FileNotFoundError when there is no such place.
    """
    if not place.exists():
        raise FileNotFoundError(f"there is no {place}")
    everybody: dict[str, Submission] = {}
    if student is not None:
        _add(everybody, student, *_read_all(_files_below(place)))
        return list(everybody.values())
    top = sorted(place.iterdir()) if place.is_dir() else [place]
    folders = [path for path in top if path.is_dir() and not path.is_symlink()]
    folders = [path for path in folders if not path.name.startswith(".")]
    for folder in folders:
        found, notes = _read_all(_files_below(folder))
        _add(everybody, _whose([folder.name, _said(found)], notes), found, notes)
    for path in _readable(path for path in top if not path.is_dir()):
        found, notes = _read_all([path])
        _add(everybody, _whose([_said(found), path.stem], notes), found, notes)
    return [everybody[student] for student in sorted(everybody)]


def _said(found: list[HandedIn]) -> str:
    """The one id that the evidence speaks of; "" for none or several."""
    said = {str(each.evidence["student"]) for each in found if each.evidence}
    return said.pop() if len(said) == 1 else ""


def _whose(names: Sequence[str], notes: list[str]) -> str:
    """The first of the names that can be an id; else one that is made of them."""
    for name in names:
        with contextlib.suppress(BadStudent):
            if student := student_id(name):
                return student
    notes.append("nothing says whose this is")
    return re.sub(r"\W", "_", "".join(names))[:64] or "_"


def _add(
    everybody: dict[str, Submission], student: str, found: list[HandedIn], notes: list[str]
) -> None:
    labs, kept = everybody.setdefault(student, Submission(student, {}, []))[1:]
    kept.extend(notes)
    for each in found:
        there = labs.get(each.lab)
        if there is None or _rank(each) > _rank(there):
            labs[each.lab] = each


def _rank(each: HandedIn) -> tuple[bool, str]:
    """Evidence before a notebook that is still to be run, the latest before earlier."""
    return (True, str(each.evidence["written"])) if each.evidence else (False, "")


def _files_below(folder: Path) -> list[Path]:
    if folder.is_file():
        return list(_readable(iter([folder])))
    paths = (
        Path(directory, name)
        for directory, _, names in os.walk(folder, followlinks=False)
        for name in names
    )
    return sorted(_readable(paths))[:_MOST_FILES]


def _readable(paths: Iterator[Path]) -> Iterator[Path]:
    """Ordinary files of the two kinds. (A pipe would never end.)"""
    for path in paths:
        if path.suffix in (".json", ".ipynb") and path.is_file() and not path.is_symlink():
            yield path


def _read_all(paths: list[Path]) -> tuple[list[HandedIn], list[str]]:
    found, notes = [], []
    for path in paths:
        try:
            read = _notebook(path) if path.suffix == ".ipynb" else _evidence(path)
        except (OSError, BadEvidence) as reason:
            notes.append(f"{path.name} was passed by: {reason}")
            continue
        found.append(read)
    return found, notes


def _evidence(path: Path) -> HandedIn:
    if path.stat().st_size > MOST_BYTES:
        raise BadEvidence(f"it has more than {MOST_BYTES:,} bytes")
    evidence = read_evidence(path.read_bytes())
    return HandedIn(evidence["lab"], path, evidence, None)


def _notebook(path: Path) -> HandedIn:
    if path.stat().st_size > _MOST_NOTEBOOK_BYTES:
        raise BadEvidence(f"it has more than {_MOST_NOTEBOOK_BYTES:,} bytes")
    text = path.read_text(encoding="utf-8", errors="replace")
    carried = _carried(text)
    if carried:
        latest = sorted(carried, key=lambda told: str(told["written"]))[-1]  # of equals the last
        return HandedIn(latest["lab"], path, latest, None)
    begun = _STARTS.search(text)
    if begun is None:
        raise BadEvidence("it is no lab: nothing in it calls start_lab")
    return HandedIn(begun[1], path, None, text)


def _carried(text: str) -> list[dict[str, Any]]:
    """The evidence in a notebook's outputs. Raises BadEvidence for what is no notebook."""
    try:
        cells = json.loads(text)["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", ())]
        carried = [output.get("data", {}).get(EVIDENCE_MIME) for output in outputs]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadEvidence(f"it is no notebook: {error!r}") from None
    return [read_evidence(json.dumps(each)) for each in carried if each is not None]
