from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.measuring.experiment import Outcome, Sample, compare
from zerocopy_lab.measuring.recorded import load_outcomes, save_outcomes


@pytest.fixture
def outcome() -> Outcome:
    elsewhere = dataclasses.replace(describe_host(), cpu_model="Abacus 3000", kernel="9.9")
    return Outcome(
        "sums",
        tuple(
            Sample(name, number, {"cpu_s": cost})
            for number in range(1, 8)
            for name, cost in (("abacus", 2.0 + number / 100), ("slate", 3.0))
        ),
        {"abacus": {"beads": 10}, "slate": {}},
        {"repeats": 7, "seed": 1},
        ("not pinned: it is made of wood",),
        elsewhere,
        {"zerocopy_lab": "0.1.0"},
        "2026-01-02T03:04:05+00:00",
    )


def test_what_was_saved_comes_back_marked_as_recorded(outcome: Outcome, tmp_path: Path) -> None:
    save_outcomes([outcome], tmp_path / "run.json")
    (loaded,) = load_outcomes(tmp_path / "run.json")
    assert loaded == dataclasses.replace(outcome, recorded=True)
    assert compare(loaded, "abacus", "slate").verdict == "cheaper"


def test_a_recorded_outcome_says_so_and_names_its_host(outcome: Outcome, tmp_path: Path) -> None:
    save_outcomes([outcome], tmp_path / "run.json")
    said = load_outcomes(tmp_path / "run.json")[0].provenance()
    assert said.startswith("RECORDED, not measured here: 2026-01-02")
    assert "Abacus 3000" in said


@pytest.mark.parametrize("text", ["{}", '[{"format": "something else"}]', '"x"', "[7]"])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json holds no recorded"):
        load_outcomes(tmp_path / "other.json")


def test_the_file_is_plain_json(outcome: Outcome, tmp_path: Path) -> None:
    save_outcomes([outcome], tmp_path / "run.json")
    fields = json.loads((tmp_path / "run.json").read_text())
    assert fields[0]["samples"][0] == {
        "contestant": "abacus", "round_number": 1, "figures": {"cpu_s": 2.01},
    }  # fmt: skip
