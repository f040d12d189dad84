"""The evidence file: what one person's work on one lab came to, in one small file of JSON.

    OUT_DIR/evidence/05_zero_copy.json
    OUT_DIR/students/ada/evidence/05_zero_copy.json       where the student is known

It is written when a lab begins and whenever something is checked, compared or concluded, so a
notebook that raises half-way has left what it had. docs/evidence.md describes every field; the
report, the class matrix, `labs progress` and `labs grade` read this file and no other.

The digest tells an accident (a truncated upload, an editor) from a file as it was written. Whoever
means to can compute it again: what an answer is worth is found out by examining it again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from zerocopy_lab.classroom.manifest import LabEntry, labs

SCHEMA: Final = "zerocopy_lab evidence"
VERSION: Final = 1
EVIDENCE_DIRECTORY: Final = "evidence"
OWN_WORDS: Final = "In the learner's own words"
"""How something was seen that no lab asked: what somebody thought before, and thinks now."""
MOST_BYTES: Final = 4 << 20
"""A larger file was not written by a lab."""

_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "lab": str,
    "student": str,
    "problem": int,
    "seed": int,
    "written": str,
    "versions": dict,
    "host": dict,
    "exercises": dict,
    "predictions": dict,
    "parts": dict,
    "conclusion": (dict, type(None)),
    "digest": str,
}
_OF_AN_EXERCISE: Mapping[str, type] = {
    "state": str,
    "kind": str,
    "answer": str,
    "seed": int,
    "points": int,
    "of": int,
}


class BadEvidence(ValueError):
    """The file holds no evidence that can be read; the message says why."""


def evidence_path(out_root: Path, entry: LabEntry) -> Path:
    """Where the evidence of a lab lies, below OUT_DIR or a student's directory there."""
    return out_root / EVIDENCE_DIRECTORY / f"{entry.name}.json"


def sealed(told: Mapping[str, Any]) -> dict[str, Any]:
    """The same with schema, version and digest: what a file holds."""
    whole = {"schema": SCHEMA, "version": VERSION, **told}
    return {**whole, "digest": digest_of(whole)}


def write_evidence(path: Path, told: Mapping[str, Any]) -> None:
    """Writes it; an update that is interrupted leaves the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_evidence(text: str | bytes) -> dict[str, Any]:
    """What a file holds. Raises BadEvidence, for whatever anybody may have handed in."""
    if len(text) > MOST_BYTES:
        raise BadEvidence(f"it has more than {MOST_BYTES:,} bytes")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadEvidence(f"it is no JSON: {error}") from None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise BadEvidence(f"its schema is not {SCHEMA!r}")
    if told.get("version") != VERSION:
        raise BadEvidence(f"it is of version {told.get('version')}; this program reads {VERSION}")
    _require(told, _FIELDS, "")
    for exercise_id, answer in told["exercises"].items():
        if not isinstance(answer, dict):
            raise BadEvidence(f"exercises: {exercise_id} is no table")
        _require(answer, _OF_AN_EXERCISE, f"{exercise_id}: ")
    return told


def _require(
    told: Mapping[str, Any], fields: Mapping[str, type | tuple[type, ...]], where: str
) -> None:
    for name, wanted in fields.items():
        if name not in told:
            raise BadEvidence(f"{where}{name} is missing")
        if not isinstance(told[name], wanted) or isinstance(told[name], bool):
            raise BadEvidence(f"{where}{name} is of type {type(told[name]).__name__}")


def evidence_of(out_root: Path, entry: LabEntry) -> dict[str, Any]:
    """What a lab left in a directory of results; {} where it has left nothing readable."""
    try:
        return read_evidence(evidence_path(out_root, entry).read_bytes())
    except (OSError, BadEvidence):
        return {}


def conclusion_in(out_root: Path, entry: LabEntry) -> dict[str, Any]:
    """The conclusion in a lab's evidence; {} where it has not concluded."""
    return evidence_of(out_root, entry).get("conclusion") or {}


def digest_of(told: Mapping[str, Any]) -> str:
    """SHA-256 over everything but the digest itself, in a form that spaces do not change."""
    rest = {key: value for key, value in told.items() if key != "digest"}
    plain = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(plain.encode()).hexdigest()


def is_as_written(told: Mapping[str, Any]) -> bool:
    """Whether the digest is that of the content."""
    return bool(told.get("digest") == digest_of(told))


def progress_rows(out_root: Path) -> list[list[str]]:
    """A row for each lab: its title, exercises passed, points, guesses that were right, whether it
    has concluded.
    """
    rows = []
    for entry in labs().values():
        told = evidence_of(out_root, entry)
        answers = told.get("exercises", {})
        passed = [e for e in entry.exercises if answers.get(e, {}).get("state") == "passed"]
        answers_to = told.get("predictions", {}).values()
        guesses = [g for g in answers_to if g["guess"] and g["how"] != OWN_WORDS]
        right = [g for g in guesses if g["guess"] == g["measured"]]
        rows.append(
            [
                f"{entry.id} {entry.title}",
                f"{len(passed)} of {len(entry.exercises)}",
                f"{sum(entry.points.get(e, 0) for e in passed)} of {sum(entry.points.values())}",
                f"{len(right)} of {len(guesses)}" if guesses else "",
                "yes" if told.get("conclusion") else "",
            ]
        )
    return rows


PROGRESS_HEADINGS = ("lab", "exercises passed", "points", "guesses right", "concluded")
