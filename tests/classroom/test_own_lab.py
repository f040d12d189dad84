"""A lab of another course: its exercises are checked and noted as the kit's own are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zerocopy_lab.classroom import lab as lab_module
from zerocopy_lab.classroom.evidence_file import read_evidence
from zerocopy_lab.classroom.exercises import OF_OTHER_COURSES
from zerocopy_lab.classroom.lab import BadParameter, Lab
from zerocopy_lab.course import Exercise, Grade, check, failed, passed, seed_of, start_own_lab


def grade(answer: object, lab: Lab) -> Grade:
    right = lab.random("pages").randint(1, 1000)
    return passed("Yes.") if answer == right else failed("No.")


EXERCISE = Exercise("week3.1", "How many?", grade)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lab_module, "_running", None)
    yield
    OF_OTHER_COURSES.clear()


def test_answers_are_checked_with_the_students_numbers_and_noted(tmp_path: Path) -> None:
    lab = start_own_lab(
        "week3", [EXERCISE], points={"week3.1": 2}, student="Ada", out_dir=str(tmp_path)
    )
    assert lab.seed == seed_of("ada")
    assert check("week3.1", 0) == "failed"
    assert check("week3.1", lab.random("pages").randint(1, 1000)) == "passed"
    written = tmp_path / "students" / "ada" / "evidence" / "week3.json"
    noted = read_evidence(written.read_bytes())["exercises"]["week3.1"]
    assert (noted["state"], noted["points"], noted["of"]) == ("passed", 2, 2)


def test_names_that_would_be_taken_for_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="lab 05 is one of this kit"):
        start_own_lab("05", [], out_dir=str(tmp_path))
    with pytest.raises(BadParameter, match=r"write 'week4\.1'"):
        start_own_lab("week4", [EXERCISE], out_dir=str(tmp_path))
