"""Running a notebook that somebody handed in, between walls: a program that `grading` starts.

It reads the notebook and its parameters from standard input, as JSON, runs every cell, those after
an error too, and says as JSON what evidence the lab left and what was raised. A cell that takes too
long is interrupted. What a notebook says of itself is not believed: its answers are examined again.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.evidence_file import BadEvidence, evidence_path, read_evidence
from zerocopy_lab.classroom.lab import HEADLESS_VARIABLE, OURS
from zerocopy_lab.classroom.manifest import LabEntry, lab_entry
from zerocopy_lab.classroom.student import results_of
from zerocopy_lab.publishing.scan import errors_in_outputs

_MOST_PROBLEMS: Final = 5


def run_handed_in(asked: dict[str, Any]) -> dict[str, Any]:
    """`evidence` (its text, None for none) and `problems` of a run."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    entry = lab_entry(asked["lab"])
    notebook: Any = nbformat.reads(asked["notebook"], as_version=4)  # type: ignore[no-untyped-call]
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    out_dir = Path(tempfile.mkdtemp())
    _set_parameters(notebook, asked, out_dir)
    client = NotebookClient(
        notebook,
        timeout=asked["cell_s"],
        interrupt_on_timeout=True,
        allow_errors=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(LABS_DIR)}},
    )
    problems = []
    try:
        client.execute()
    except (CellTimeoutError, DeadKernelError) as error:
        problems.append(str(error).splitlines()[0])
    problems += errors_in_outputs(notebook)
    return {
        "evidence": _left(entry, results_of(out_dir, asked["student"])),
        "problems": problems[:_MOST_PROBLEMS],
    }


def _set_parameters(notebook: Any, asked: dict[str, Any], out_dir: Path) -> None:
    """In a cell of their own, behind the one that is tagged for them."""
    from nbformat.v4 import new_code_cell

    values = {
        "FAST": True,
        "SEED": asked["problem"],
        "OUT_DIR": str(out_dir),
        "BROKER": OURS,
        "STUDENT": asked["student"],
    }
    tagged = (n for n, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", []))
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(next(tagged, -1) + 1, new_code_cell(source))  # type: ignore[no-untyped-call]


def _left(entry: LabEntry, out_root: Path) -> str | None:
    try:
        text = evidence_path(out_root, entry).read_text(encoding="utf-8")
        read_evidence(text)
    except (OSError, ValueError, BadEvidence):
        return None
    return text


def main() -> None:
    """Reads what is asked, says what came of it."""
    os.environ |= {HEADLESS_VARIABLE: "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    json.dump(run_handed_in(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
