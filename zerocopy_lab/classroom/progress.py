"""How far a learner is, over all labs: exercises, guesses, parts; on one page.

One small file for each lab, OUT_DIR/progress/NN.json, written whenever something is checked or
compared, so that two notebooks at the same time do not write over each other. It survives a
kernel; lab 14 reads the guesses in it. It is a learner's own notebook, no evidence: grades come
from answers that are examined again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zerocopy_lab.classroom.manifest import labs

_DIRECTORY = "progress"


def save_progress(out_root: Path, lab_id: str, state: dict[str, Any]) -> None:
    """Writes one lab's state; an update that is interrupted leaves the one before."""
    directory = out_root / _DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f".{lab_id}.json"
    unfinished.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(directory / f"{lab_id}.json")


def load_progress(out_root: Path, lab_id: str) -> dict[str, Any]:
    """What was saved, {} when there is nothing that can be read."""
    try:
        text = (out_root / _DIRECTORY / f"{lab_id}.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
    except (OSError, ValueError):
        return {}
    return found


def progress_rows(out_root: Path) -> list[list[str]]:
    """A row for each lab: its title, exercises passed, guesses that were right, its verdicts."""
    rows = []
    for entry in labs().values():
        state = load_progress(out_root, entry.id)
        passed = [e for e in entry.exercises if state.get("exercises", {}).get(e) == "passed"]
        guesses = [g for g in state.get("predictions", {}).values() if g["guess"]]
        right = [g for g in guesses if g["guess"] == g["measured"]]
        rows.append(
            [
                f"{entry.id} {entry.title}",
                f"{len(passed)} of {len(entry.exercises)}",
                f"{len(right)} of {len(guesses)}" if guesses else "",
                "yes" if state.get("concluded") else "",
            ]
        )
    return rows


PROGRESS_HEADINGS = ("lab", "exercises passed", "guesses right", "concluded")
