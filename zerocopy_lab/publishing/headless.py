"""Running labs where nobody is watching, each in a kernel of its own, and looking closely at what
they leave.

A run executes a copy of the notebook through papermill with checked parameters, keeps the
executed copy and the lab's results under the output directory, and then scans them (`scan.py`):
an exit code of 0 is not enough.

    OUT/05_zero_copy/05_zero_copy.ipynb     executed
    OUT/evidence/05_zero_copy.json          answers, verdicts and figures
    OUT/05_zero_copy/*.png                  pictures
    OUT/report.html                         all labs (`verdict.page`)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.evidence_file import evidence_of
from zerocopy_lab.classroom.lab import (
    HEADLESS_VARIABLE,
    OURS,
    check_for_unknown_parameters,
    check_parameters,
)
from zerocopy_lab.classroom.manifest import LabEntry
from zerocopy_lab.classroom.student import STUDENT_VARIABLE, results_of
from zerocopy_lab.publishing.scan import errors_in_outputs, problems_of
from zerocopy_lab.running.running_broker import importable_here
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.verdict.chapter import RunNote

_START_TIMEOUT_S = 60


class LabRun(NamedTuple):
    """One lab's run. `skipped` holds the reason when the system cannot run it; no problems: all
    is well.
    """

    entry: LabEntry
    seconds: float
    problems: tuple[str, ...]
    skipped: str | None
    results: Path
    evidence: Mapping[str, Any] = MappingProxyType({})
    """As the evidence file has it; its conclusion is this run's or None."""

    @property
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.results / f"{self.entry.name}.ipynb"

    @property
    def note(self) -> RunNote:
        """What the report says of the run."""
        concluded = bool(self.evidence.get("conclusion"))
        return RunNote(self.seconds, self.problems, self.skipped, concluded)


def run_lab(
    entry: LabEntry,
    out_dir: Path,
    *,
    fast: bool,
    seed: int,
    broker: str = OURS,
    student: str = "",
) -> LabRun:
    """Runs one lab into `out_dir/<its name>/` (a student's below `out_dir/students`), which is
    emptied first, and scans what it left.
    """
    out_root = results_of(out_dir.resolve(), student)
    results = out_root / entry.name
    unsupported = entry.unsupported_here()
    if unsupported:
        return LabRun(entry, 0.0, (), unsupported, results)
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    began = time.monotonic()
    began_at = datetime.now(UTC).isoformat(timespec="seconds")
    parameters: dict[str, object] = {
        "FAST": fast,
        "SEED": seed,
        "OUT_DIR": str(out_dir.resolve()),
        "BROKER": broker,
    }
    if student:
        parameters["STUDENT"] = student
    executed = results / f"{entry.name}.ipynb"
    failure = execute(entry.notebook, executed, parameters, timeout_s=entry.timeout_s)
    problems = [] if failure is None else [failure]
    evidence = evidence_of(out_root, entry)
    if evidence and (evidence["conclusion"] or {}).get("began", "") < began_at:
        evidence["conclusion"] = None  # an earlier run's
    problems += problems_of(read_notebook(executed), entry, evidence.get("conclusion") or {})
    seconds = time.monotonic() - began
    return LabRun(entry, seconds, tuple(dict.fromkeys(problems)), None, results, evidence)


def execute(
    source: Path, executed: Path, parameters: Mapping[str, object], *, timeout_s: int
) -> str | None:
    """Executes a notebook into `executed` and returns what stopped it, or None.

    `timeout_s` bounds each cell. Raises BadParameter before anything runs.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    check_parameters(parameters)
    check_for_unknown_parameters(parameters)
    try:
        with _kernel_environment():
            papermill.execute_notebook(
                str(source),
                str(executed),
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(LABS_DIR),
                execution_timeout=timeout_s,
                start_timeout=_START_TIMEOUT_S,
            )
    except papermill.PapermillExecutionError:
        return next(errors_in_outputs(read_notebook(executed)))
    except CellTimeoutError:
        return f"a cell took longer than {timeout_s} s"
    except DeadKernelError as error:
        return f"the kernel died: {error}"
    return None


@contextlib.contextmanager
def _kernel_environment() -> Iterator[None]:
    """What kernels inherit: nobody is watching, the package is importable, our own kernel is meant,
    and IPython's directory is a fresh one. A learner's own start-up files are not part of a lab.
    """
    before = dict(os.environ)
    with ScratchDirectory("ipython") as scratch:
        profile = scratch.path / "profile_default"
        profile.mkdir()
        # ipykernel warns that its messages are not encrypted: they stay on the loopback. And it
        # calls it an error that it is interrupted, which is how Jupyter begins to end a kernel.
        (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 'CRITICAL'\n")
        wanted = {
            HEADLESS_VARIABLE: "1",
            STUDENT_VARIABLE: "",  # a run is told whose it is
            "JUPYTER_PREFER_ENV_PATH": "1",
            "IPYTHONDIR": str(scratch.path),
        }
        if not os.path.isabs(os.path.expanduser("~")):  # an account without a home, or a name
            wanted["HOME"] = str(scratch.path)
        os.environ.update(importable_here(wanted))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def read_notebook(path: Path) -> Any:
    """A notebook as nbformat's nested mapping (version 4)."""
    import nbformat

    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
