"""What a run leaves: whose it is, what it answered, what it concluded, and that it can be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.classroom.conftest import entry_of_a_test
from zerocopy_lab.classroom import lab as lab_module
from zerocopy_lab.classroom.evidence_file import (
    BadEvidence,
    evidence_of,
    evidence_path,
    is_as_written,
    read_evidence,
)
from zerocopy_lab.classroom.exercises import CODE, NOTHING, VALUE, as_given, practice
from zerocopy_lab.classroom.lab import BadParameter, Lab, check_parameters
from zerocopy_lab.classroom.student import (
    STUDENT_VARIABLE,
    BadStudent,
    results_of,
    seed_of,
    student_id,
    student_of,
)

ENTRY = entry_of_a_test(exercises=("77.1", "77.2"), points={"77.1": 2, "77.2": 4})
PARAMETERS: Mapping[str, object] = {
    "FAST": True,
    "SEED": 1,
    "OUT_DIR": "out",
    "BROKER": "zerocopy_lab",
}


def lab_of(out_dir: Path, student: str = "", seed: int = 1) -> Lab:
    results = results_of(out_dir, student) / ENTRY.name
    return Lab(ENTRY, True, seed_of(student, seed), results, True, "zerocopy_lab", student, seed)


def left_by(lab: Lab) -> dict[str, Any]:
    return read_evidence(evidence_path(lab.out_root, lab.entry).read_bytes())


def test_it_says_whose_it_is_and_what_was_answered(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "ada")
    lab.record_answer("77.1", "passed", "value", "7")
    lab.record_prediction("How many?", "two", "three", "Measured here")
    told = left_by(lab)
    assert (told["lab"], told["student"], told["problem"]) == ("77", "ada", 1)
    assert told["seed"] == seed_of("ada")
    assert told["exercises"]["77.1"] == {
        "state": "passed", "points": 2, "of": 2, "kind": "value", "answer": "7",
        "seed": seed_of("ada"),
    }  # fmt: skip
    assert told["predictions"]["How many?"]["guess"] == "two"
    assert told["conclusion"] is None, "a notebook that raises now has left what it had"
    assert {"system", "processor", "Python"} <= told["host"].keys()
    assert set(told["versions"]) == {"zerocopy_lab", "Python"}
    assert is_as_written(told)


def test_nobody_writes_over_another_persons(tmp_path: Path) -> None:
    for student in ("ada", "bob", ""):
        lab_of(tmp_path, student).record_answer("77.1", "passed", "value", student)
    for student in ("ada", "bob", ""):
        told = left_by(lab_of(tmp_path, student))
        assert (told["student"], told["exercises"]["77.1"]["answer"]) == (student, student)


def test_a_stub_does_not_undo_an_answer_nor_a_run_without_a_guess_the_guess(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    lab.record_answer("77.1", "passed", "value", "7")
    lab.record_prediction("How many?", "two", "three", "Measured here")
    lab.save({"findings": []})
    later = lab_of(tmp_path)
    later.record_answer("77.1", "not attempted", "value", "None")
    later.record_answer("77.2", "not attempted", "value", "None")
    later.record_prediction("How many?", "", "four", "Measured here")
    told = left_by(later)
    assert told["exercises"]["77.1"]["state"] == "passed"
    assert told["exercises"]["77.2"]["state"] == "not attempted"
    assert told["predictions"]["How many?"]["guess"] == "two"
    assert told["conclusion"] == {"findings": []}
    later.record_answer("77.1", "failed", "value", "8")
    assert left_by(later)["exercises"]["77.1"]["points"] == 0


def test_what_is_practised_is_another_problem_and_not_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of(tmp_path, "ada")
    monkeypatch.setattr(lab_module, "_running", lab)
    own = lab.random("a key").random()
    lab.record_answer("77.1", "passed", "value", "7")
    drawn = set()
    for _ in range(3):
        practice()
        drawn.add(lab.random("a key").random())
        lab.record_answer("77.1", "failed", "value", "8")
    assert len(drawn | {own}) == 4
    assert left_by(lab)["exercises"]["77.1"]["answer"] == "7"
    practice(0)
    assert lab.random("a key").random() == own


def test_the_digest_tells_a_change(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    lab.record_answer("77.1", "failed", "value", "8")
    path = evidence_path(lab.out_root, lab.entry)
    assert not is_as_written(read_evidence(path.read_text().replace('"failed"', '"passed"')))
    indented = json.dumps(json.loads(path.read_text()), indent=7)
    assert is_as_written(read_evidence(indented)), "spaces are no change"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"schema": "a letter"}, "its schema is not 'zerocopy_lab evidence'"),
        ({"version": 2}, "it is of version 2; this program reads 1"),
        ({"seed": "one"}, "seed is of type str"),
        ({"seed": True}, "seed is of type bool"),
        ({"exercises": {"77.1": "passed"}}, "exercises: 77.1 is no table"),
        ({"exercises": {"77.1": {"state": "passed"}}}, "77.1: kind is missing"),
    ],
)
def test_what_is_no_evidence_is_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    lab = lab_of(tmp_path)
    lab.save()
    path = evidence_path(lab.out_root, lab.entry)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(BadEvidence) as refused:
        read_evidence(path.read_bytes())
    assert problem in str(refused.value)
    assert evidence_of(lab.out_root, lab.entry) == {}


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"[" * 100_000, b" " * (5 << 20)])
def test_any_bytes_at_all_are_answered_in_words(text: bytes) -> None:
    with pytest.raises(BadEvidence):
        read_evidence(text)


FACTOR = 3


def tripled(number: int) -> int:
    return FACTOR * number


def test_an_answer_is_kept_so_that_it_can_be_examined_again() -> None:
    assert as_given({"a": (1, 2.5)}) == (VALUE, "{'a': (1, 2.5)}")
    kind, source = as_given(tripled)
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    assert (kind, namespace["answer"](2)) == (CODE, 6)
    assert as_given(lambda: 7)[0] == NOTHING
    assert as_given(object()) == (
        NOTHING,
        "an object of type object is no plain answer: give a number, text, list, tuple, set or "
        "dict",
    )
    assert as_given("x" * 30_000) == (NOTHING, "it is longer than 20,000 characters")


def test_a_student_has_numbers_of_their_own_and_other_problems_on_demand() -> None:
    assert seed_of("Ada ") == seed_of("ada") != seed_of("bob")
    assert seed_of("ada", 2) != seed_of("ada")
    assert [seed_of("", problem) for problem in (1, 7)] == [1, 7]
    assert all(0 <= seed_of(f"student-{number}") < 1 << 31 for number in range(100))
    assert seed_of("ada") == 1404030160, "seeds that were given out stay as they are"


@pytest.mark.parametrize("bad", ["../ada", "a/b", ".ada", "a" * 65, "ada lovelace", "a\0b"])
def test_an_id_is_also_the_name_of_a_directory(bad: str) -> None:
    with pytest.raises(BadStudent):
        student_id(bad)
    with pytest.raises(BadParameter, match="STUDENT: "):
        check_parameters({**PARAMETERS, "STUDENT": bad})


def test_the_student_is_a_parameter_or_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STUDENT_VARIABLE, "Bob")
    assert student_of({"STUDENT": ""}) == "bob"
    assert student_of({"STUDENT": "ada"}) == "ada"
    monkeypatch.delenv(STUDENT_VARIABLE)
    assert student_of({}) == ""
    with pytest.raises(BadParameter, match="STUDENT is 7, of type int"):
        check_parameters({**PARAMETERS, "STUDENT": 7})
