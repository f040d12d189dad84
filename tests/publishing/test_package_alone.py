"""The package without its checkout: a wheel, installed elsewhere, and the page about using it."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from zerocopy_lab import course
from zerocopy_lab.classroom.manifest import lab_entry, labs

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "use_it_in_your_own_course.md").read_text(encoding="utf-8")
SHIPS = (
    "zerocopy_lab",
    "labs",
    "data",
    "docs",
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))

Run = Callable[..., str]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel was unpacked. What it needs comes from this environment."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in SHIPS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--no-deps", "--target", str(site), str(source)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if ended.returncode:
        pytest.skip(f"the wheel cannot be built: {ended.stderr[-300:]}")
    return site


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Runs a command of this Python, in an empty directory, with the installed package."""
    ours = {"PYTHONPATH": str(installed), "JUPYTER_PREFER_ENV_PATH": "1"}

    def ran(*words: str, directory: Path = tmp_path) -> str:
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=directory,
            env={**os.environ, **ours},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
        return ended.stdout

    return ran


NOT_NEEDED = (".png", "compatible_clients.md", "make_flights.py")


def files_in(directory: Path) -> set[str]:
    """Paths of what lies in it and was not made by running it, with the directory's own name."""
    found = (path for path in directory.rglob("*") if path.is_file())
    names = {path.relative_to(directory.parent).as_posix() for path in found}
    return {name for name in names if "__pycache__" not in name and "/." not in name}


def test_what_is_installed_is_what_runs(run: Run, installed: Path) -> None:
    found = run("-c", "import zerocopy_lab; print(zerocopy_lab.__file__)").strip()
    assert Path(found).is_relative_to(installed)
    package = installed / "zerocopy_lab"
    assert files_in(package) >= files_in(ROOT / "zerocopy_lab")
    for name in ("labs", "data", "docs"):
        needed = {each for each in files_in(ROOT / name) if not each.endswith(NOT_NEEDED)}
        assert files_in(package / "shipped" / name) >= needed
    assert (installed / "bin" / "zerocopy-lab").exists()


def test_the_labs_run_without_a_checkout(run: Run, tmp_path: Path) -> None:
    """A copy to work in, and one lab of it run as a learner would: its results lie beside it."""
    run("-m", "zerocopy_lab", "labs", "copy", "mine")
    copied = {path.stem for path in (tmp_path / "mine" / "labs").glob("*.ipynb")}
    assert copied == {entry.name for entry in labs().values()}
    entry = lab_entry("00")
    words = ["-m", "papermill", f"{entry.name}.ipynb", "done.ipynb", "-y", "FAST: true"]
    run(*words, "--no-progress-bar", directory=tmp_path / "mine" / "labs")
    done = nbformat.read(tmp_path / "mine" / "labs" / "done.ipynb", 4)
    assert not [o for c in done.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert (tmp_path / "mine" / "out" / "evidence" / f"{entry.name}.json").exists()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_page_runs_as_it_stands(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / name).write_text(PROGRAMS[name])
    if name.startswith("test_"):
        assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", name)
    else:
        said = run(name)
        assert "text/html" not in said, "of what a notebook shows, a script prints the text"
        assert f"Results and parts: {tmp_path}" in said or "start_own_lab" not in PROGRAMS[name]


def test_every_piece_of_the_page_is_run() -> None:
    assert PAGE.count("```python") == len(PROGRAMS) > 4


def test_public_names_are_listed_and_have_words() -> None:
    listed = set(re.findall(r"`(\w+)`", PAGE.partition("## What may be leaned on")[2]))
    assert set(course.__all__) <= listed
    for name in course.__all__:
        public = getattr(course, name)
        if not isinstance(public, dict):
            assert not isinstance(public, ModuleType)
            assert inspect.getdoc(public), name
    for source in PROGRAMS.values():
        taken = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
        ours = [node.module for node in taken if str(node.module).startswith("zerocopy_lab")]
        assert set(ours) == {"zerocopy_lab.course"}
