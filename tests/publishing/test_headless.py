from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NoReturn

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.classroom.conftest import entry_of_a_test
from zerocopy_lab.classroom.lab import BadParameter, Lab
from zerocopy_lab.publishing.headless import LabRun, execute, run_lab

PARAMETERS = 'FAST = False\nSEED = 1\nOUT_DIR = "out"\nBROKER = "zerocopy_lab"'
GOOD = {"FAST": True, "SEED": 7, "OUT_DIR": "somewhere", "BROKER": "zerocopy_lab"}


def notebook_with(path: Path, *sources: str) -> Path:
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in sources]
    language = {"language_info": {"name": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=language), path)
    return path


def run_here(labs_dir: Path, *sources: str, timeout_s: int = 60) -> LabRun:
    entry = entry_of_a_test(timeout_s=timeout_s)
    notebook_with(labs_dir / f"{entry.name}.ipynb", *sources)
    return run_lab(entry, labs_dir / "out", fast=True, seed=7)


def outputs_of(path: Path) -> str:
    return str([cell.get("outputs") for cell in nbformat.read(path, 4).cells])


def test_parameters_and_environment_reach_the_kernel(labs_dir: Path) -> None:
    source = notebook_with(
        labs_dir / "asks.ipynb",
        "import os, zerocopy_lab.classroom.lab as lab",
        "print(FAST, SEED, OUT_DIR, os.environ[lab.HEADLESS_VARIABLE])",
    )
    before = dict(os.environ)
    assert execute(source, labs_dir / "done.ipynb", GOOD, timeout_s=60) is None
    assert "True 7 somewhere 1" in outputs_of(labs_dir / "done.ipynb")
    assert dict(os.environ) == before


def test_an_account_without_a_home_or_a_name_can_run_labs(
    labs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert os.path.expanduser("~") == "~"
    source = notebook_with(labs_dir / "asks.ipynb", "from pathlib import Path; print(Path.home())")
    assert execute(source, labs_dir / "done.ipynb", GOOD, timeout_s=60) is None


def test_bad_parameters_are_refused_before_anything_runs(labs_dir: Path) -> None:
    source = notebook_with(labs_dir / "asks.ipynb", "print(FAST)")
    with pytest.raises(BadParameter, match="FAST is 'false'"):
        execute(source, labs_dir / "done.ipynb", {**GOOD, "FAST": "false"}, timeout_s=60)
    with pytest.raises(BadParameter, match="no lab has a parameter FSAT"):
        execute(source, labs_dir / "done.ipynb", {**GOOD, "FSAT": True}, timeout_s=60)
    assert not (labs_dir / "done.ipynb").exists()


def test_a_run_says_what_raised_and_what_is_missing(labs_dir: Path) -> None:
    run = run_here(labs_dir, "import sys; print('careful', file=sys.stderr)", "1 / 0")
    said = "\n".join(run.problems)
    assert "raised ZeroDivisionError: division by zero" in said
    assert "wrote to stderr: careful" in said
    assert "picture 'shown' is missing" in said
    assert "there is no conclusion" in said
    assert run.note == (run.seconds, run.problems, None, False)


def test_the_cell_that_raised_is_the_one_that_is_named(labs_dir: Path) -> None:
    """Although the runner puts cells of its own before it."""
    source = notebook_with(labs_dir / "fails.ipynb", "before = 1", "# why\n1 / 0", "after = 1")
    ids = [cell.id for cell in nbformat.read(source, 4).cells]
    said = execute(source, labs_dir / "done.ipynb", GOOD, timeout_s=60)
    assert said == f"cell {ids[2]} (# why) raised ZeroDivisionError: division by zero"


def test_a_cell_that_takes_too_long_is_stopped(labs_dir: Path) -> None:
    run = run_here(labs_dir, "import threading; threading.Event().wait()", timeout_s=1)
    assert "a cell took longer than 1 s" in run.problems


def test_results_of_an_earlier_run_do_not_count(labs_dir: Path) -> None:
    lab = Lab(entry_of_a_test(), True, 7, labs_dir / "out" / "77_of_a_test", True)
    lab.save({"findings": [{"claim_id": "Z2"}], "invariants": {}, "began": "2026-01-01"})
    assert "there is no conclusion" in run_here(labs_dir, "1").problems


def test_a_lab_for_another_system_is_skipped_with_the_reason(labs_dir: Path) -> None:
    entry = entry_of_a_test(platforms=("plan9",))
    run = run_lab(entry, labs_dir / "out", fast=True, seed=1)
    assert (run.problems, run.notebook.exists()) == ((), False)
    assert run.skipped is not None
    assert "lab 77 runs on plan9" in run.skipped
    assert run.note.skipped == run.skipped
