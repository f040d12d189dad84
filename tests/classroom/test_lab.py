from __future__ import annotations

from collections.abc import Mapping

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
