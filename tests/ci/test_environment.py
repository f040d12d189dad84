"""The two commands' environment: when it is made anew, when only added to, when left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ci import environment, start

ROOT = Path(environment.__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two requirements files; what would be made or installed is listed, not done."""
    done: list[str] = []

    def make_venv() -> None:
        done.append("venv")
        environment.PYTHON.parent.mkdir(parents=True, exist_ok=True)
        environment.PYTHON.touch()

    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "VENV": venv,
        "PYTHON": venv / "bin" / "python",
        "NOTES": venv / "zerocopy_lab.json",
        "_make_venv": make_venv,
        "_install": done.append,
    }.items():
        monkeypatch.setattr(environment, name, value)
    (tmp_path / "labs.txt").write_text("kio==1\n")
    (tmp_path / "checks.txt").write_text("-r labs.txt\npytest==1\n")
    return done


def test_the_second_start_has_nothing_to_do(project: list[str]) -> None:
    assert environment.ready("labs.txt") == str(environment.PYTHON)
    assert project == ["venv", "labs.txt"]
    environment.ready("labs.txt")
    assert project == ["venv", "labs.txt"]


def test_what_the_checks_need_is_added_to_what_the_labs_need(project: list[str]) -> None:
    environment.ready("labs.txt")
    environment.ready("labs.txt", "checks.txt")
    environment.ready("labs.txt")
    assert project == ["venv", "labs.txt", "checks.txt"]


def test_other_pins_are_installed_again(project: list[str]) -> None:
    environment.ready("labs.txt", "checks.txt")
    (environment.ROOT / "labs.txt").write_text("kio==2\n")
    environment.ready("labs.txt", "checks.txt")
    assert project == ["venv", "labs.txt", "checks.txt", "labs.txt"]


@pytest.mark.parametrize("changed", [{"python": "3.10"}, {"place": "somewhere else"}])
def test_an_environment_of_another_python_or_place_is_made_anew(
    project: list[str], changed: dict[str, str]
) -> None:
    environment.ready("labs.txt")
    notes = json.loads(environment.NOTES.read_text())
    environment.NOTES.write_text(json.dumps({**notes, **changed}))
    environment.ready("labs.txt")
    assert project == ["venv", "labs.txt"] * 2


def test_an_installation_that_was_interrupted_begins_again(
    project: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(requirements: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environment, "_install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            environment.ready("labs.txt")
    environment.ready("labs.txt")
    assert project == ["venv", "venv", "labs.txt"]


def test_an_old_python_is_told_which_it_should_be(
    project: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (4, 0))
    with pytest.raises(SystemExit, match=r"needs Python 4\.0 or newer, and .* is 3\."):
        environment.ready("labs.txt")
    assert project == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--fast"], "--fast and --out need --headless"),
        (["--out", "x"], "--fast and --out need --headless"),
        (["--headless", "--port", "1"], "--headless runs without it"),
        (["--headless", "--no-browser"], "--headless runs without it"),
    ],
)
def test_options_that_do_not_belong_together(options: list[str], complaint: str) -> None:
    """Refused before anything is installed."""
    command = [sys.executable, str(ROOT / "ci" / "start.py"), *options]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert complaint in refused.stderr


def test_a_report_goes_where_the_learner_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the command itself moves to the project's directory."""
    monkeypatch.setattr(start, "START_DIRECTORY", "somewhere")
    monkeypatch.setattr(sys, "argv", ["start.py", "--headless", "--fast", "--out", "report"])
    assert start.runner_options(start.parse_arguments()) == ["--fast", "--out", "somewhere/report"]


def test_a_part_that_does_not_exist_is_named() -> None:
    command = [sys.executable, str(ROOT / "ci" / "check.py"), "lint", "lunch"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no part lunch; there are lint, types, tests, labs" in refused.stderr
