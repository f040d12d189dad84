"""The two commands' environment: when it is made anew, when only added to, when left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import version
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
        "_probe": lambda requirements: None,
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


def test_a_newer_python_than_was_tried_is_named_before_anything_is_made(
    project: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.ready("labs.txt")
    assert "tried" not in capsys.readouterr().err
    monkeypatch.setattr(environment, "NEWEST_TRIED", (3, 10))
    environment.ready("labs.txt")  # it is there already: not said again
    assert "tried" not in capsys.readouterr().err
    environment.NOTES.unlink()
    environment.ready("labs.txt")
    assert "although only 3.11 to 3.10 were tried" in capsys.readouterr().err


def test_what_was_not_found_in_the_environment_is_not_noted(
    project: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(requirements: str) -> None:
        sys.exit("pip has installed it elsewhere")

    with monkeypatch.context() as patch:
        patch.setattr(environment, "_probe", not_found)
        with pytest.raises(SystemExit, match="elsewhere"):
            environment.ready("labs.txt")
    environment.ready("labs.txt")
    assert project == ["venv", "labs.txt"] * 2


@pytest.mark.parametrize(
    ("pinned", "complaint"),
    [
        (f"kio=={version('kio')}\nappnope==0.1.4 ; sys_platform == 'darwin'\n", None),
        ("kio==0.0.1\n", "is there instead of 0.0.1"),
        ("not-there==1.0\n", "but not into"),
    ],
)
def test_the_environment_is_asked_for_what_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pinned: str, complaint: str | None
) -> None:
    (tmp_path / "labs.txt").write_text(pinned)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    if complaint is None:
        environment._probe("labs.txt")
    else:
        with pytest.raises(SystemExit, match=complaint):
            environment._probe("labs.txt")


def test_pip_keeps_where_packages_come_from_and_forgets_where_they_should_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nuser = true\nproxy = http://proxy.example:3128\ntimeout = 9\n"
        f"[install]\ntarget = {tmp_path}\nfind-links = {tmp_path}\n"
    )
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_PREFIX", str(tmp_path))
    monkeypatch.setenv("PIP_TIMEOUT", "11")
    chosen = environment._variables_for_pip()
    wanted = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_PROXY": "http://proxy.example:3128",
        "PIP_TIMEOUT": "11",
        "PIP_FIND_LINKS": str(tmp_path),
    }
    assert wanted.items() <= chosen.items()
    assert not {"PIP_USER", "PIP_TARGET", "PIP_PREFIX"} & chosen.keys()


def test_nothing_comes_before_the_environments_own_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setenv("PYTHONHOME", "somewhere")
    assert not {"PYTHONPATH", "PYTHONHOME"} & environment.variables().keys()


def test_who_has_no_home_gets_one(
    project: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(environment.ROOT / "nowhere"))
    environment._own_home.cache_clear()
    try:
        home = Path(environment.variables()["HOME"])
        assert home.is_dir()
        assert home.is_relative_to(environment.ROOT / "out")
        environment.variables()
        assert capsys.readouterr().err.count("cannot be written to") == 1
    finally:
        environment._own_home.cache_clear()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_kit_is_importable_from_a_path_that_is_not_ascii(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    root = tmp_path / "Übung é"
    package = root / "zerocopy_lab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    venv.create(root / ".venv")
    monkeypatch.setattr(environment, "ROOT", root)
    monkeypatch.setattr(environment, "VENV", root / ".venv")
    environment._make_package_importable()
    plain = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "PYTHONUTF8", "LANG")}
    subprocess.run(
        [root / ".venv" / "bin" / "python", "-c", "import zerocopy_lab"],
        check=True,
        cwd=tmp_path,
        env={**plain, "LC_ALL": locale},
    )


@pytest.mark.parametrize(
    ("may_write", "complaint"),
    [(True, "is on a file system without symbolic links"), (False, "cannot be written to")],
)
def test_a_place_that_cannot_hold_an_environment_is_told_so_in_a_sentence(
    project: list[str], monkeypatch: pytest.MonkeyPatch, may_write: bool, complaint: str
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refused)
    monkeypatch.setattr(os, "access", lambda *_: may_write)
    with pytest.raises(SystemExit, match=complaint) as ended:
        environment._refuse_unfit_directory()
    assert "Copy all of it to a directory of your own" in str(ended.value)


def test_a_read_only_checkout_is_good_for_a_report_that_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(sys, "argv", ["start.py", "--headless", "--out", "report"])
    start.refuse_read_only_directory(start.parse_arguments())
    monkeypatch.setattr(sys, "argv", ["start.py"])
    with pytest.raises(SystemExit, match="cannot be written to, and the labs are saved there"):
        start.refuse_read_only_directory(start.parse_arguments())


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
