from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from zerocopy_lab.classroom import lab as lab_module
from zerocopy_lab.classroom.lab import (
    BadParameter,
    check_for_unknown_parameters,
    check_parameters,
    start_lab,
)

GOOD: Mapping[str, object] = {
    "FAST": True,
    "SEED": 1,
    "OUT_DIR": "out",
    "BROKER": "zerocopy_lab",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FAST": "false"}, "FAST is 'false', of type str, and must be bool. Write True or False"),
        ({"FAST": 1}, "FAST is 1, of type int"),
        ({"SEED": "7"}, "SEED is '7', of type str, and must be int"),
        ({"SEED": True}, "SEED is True, of type bool"),
        ({"OUT_DIR": 3}, "OUT_DIR is 3"),
    ],
)
def test_a_parameter_of_the_wrong_type_is_refused(
    changes: Mapping[str, object], message: str
) -> None:
    with pytest.raises(BadParameter, match=message):
        check_parameters({**GOOD, **changes})


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(BadParameter, match="does not set SEED"):
        check_parameters({"FAST": True, "OUT_DIR": ""})


def test_a_misspelt_parameter_is_named_before_anything_ran(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab_module, "_running", None)
    with pytest.raises(BadParameter, match="no lab has a parameter FSAT"):
        start_lab("00", {**GOOD, "FSAT": True})


def test_names_that_are_no_parameters_are_left_alone() -> None:
    check_for_unknown_parameters({**GOOD, "_PRIVATE": 1, "In": [], "my_guess": None})


def test_random_numbers_depend_on_seed_and_purpose_and_nothing_else(start: object) -> None:
    assert callable(start)
    one = start()
    assert one.random("a").random() == one.random("a").random()
    assert one.random("a").random() != one.random("b").random()


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a copy of the labs, in which the notebook runs."""
    (tmp_path / "copy" / "labs").mkdir(parents=True)
    (tmp_path / "copy" / "labs" / "labs.toml").touch()
    monkeypatch.chdir(tmp_path / "copy" / "labs")
    monkeypatch.setattr(lab_module, "_running", None)
    return tmp_path


def test_results_go_beside_the_labs_that_are_worked_on(
    own_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start_lab("00", GOOD).out_root == own_files / "copy" / "out"
    (own_files / "copy" / "labs" / "solutions").mkdir()
    monkeypatch.chdir(own_files / "copy" / "labs" / "solutions")
    assert start_lab("00", GOOD).out_root == own_files / "copy" / "out"


@pytest.mark.parametrize("place", ["homework", "copy/homework"])
def test_the_results_of_a_notebook_copied_elsewhere_go_beside_it_and_it_says_so(
    place: str,
    own_files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (own_files / place).mkdir()
    monkeypatch.chdir(own_files / place)
    beside = own_files / place / "out"
    assert start_lab("00", GOOD).out_root == beside
    assert (beside / "evidence" / "00_start_here.json").exists()
    assert f"Results and parts: {beside}." in capsys.readouterr().out


def test_results_go_to_the_users_own_data_where_labs_are_shared(
    own_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_files / "copy" / "out").touch()  # no directory can be made there, by root either
    monkeypatch.setenv("XDG_DATA_HOME", str(own_files / "data"))
    assert start_lab("00", GOOD).out_root == own_files / "data" / "zerocopy_lab" / "out"
    (own_files / "no directory").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(own_files / "no directory"))
    with pytest.raises(BadParameter, match="set OUT_DIR to a directory of yours"):
        start_lab("00", GOOD)
