"""Other machines: what depends on them, and whose entries are not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.verdict.conftest import CONTRADICTED, ON_A_KAFKA, SUPPORTED, Concluded, found
from zerocopy_lab.classroom.evidence import Finding, Verdict
from zerocopy_lab.classroom.evidence_file import digest_of, evidence_path
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.verdict import machines as machines_module
from zerocopy_lab.verdict.judgement import LabFinding, Overall
from zerocopy_lab.verdict.machines import (
    Machine,
    differences,
    machines_of_class,
    recorded_machines,
)
from zerocopy_lab.verdict.results import LabResult

PATH = evidence_path(Path(), lab_entry("05"))
Told = dict[str, Any]


def edit(told: Told) -> None:
    told["conclusion"]["findings"][0]["verdict"] = "contradicted"


def edit_and_seal_again(told: Told) -> None:
    """A claim about Kafka, judged by our own broker: no digest makes that evidence."""
    first = told["conclusion"]["findings"][0]
    first.update(claim_id="S1", about={"kind": "this kit's broker", "words": "ours"})
    told["digest"] = digest_of(told)


def shows_nothing(told: Told) -> None:
    told["conclusion"]["findings"][0]["quantities"] = []
    told["digest"] = digest_of(told)


def of_the_future(told: Told) -> None:
    told["version"] += 1
    told["digest"] = digest_of(told)


def of_no_lab(told: Told) -> None:
    told["lab"] = "99"
    told["digest"] = digest_of(told)


def breaks_an_invariant(told: Told) -> None:
    told["conclusion"]["invariants"]["order kept"] = False
    told["digest"] = digest_of(told)


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (edit, "changed after it was written"),
        (edit_and_seal_again, "our own broker is no evidence"),
        (shows_nothing, "at least one quantity"),
        (of_the_future, "it is of version 2; this program reads 1"),
        (of_no_lab, "no lab '99'"),
        (breaks_an_invariant, "void, this did not hold: order kept"),
    ],
)
def test_a_forged_outdated_or_void_entry_is_left_out_and_named(
    tmp_path: Path, concluded: Concluded, forge: Callable[[Told], None], reason: str
) -> None:
    for name in ("ada", "bob"):
        concluded(tmp_path / name, "05", [found("Z2", SUPPORTED, "the sender")])
    entry = tmp_path / "bob" / PATH
    told = json.loads(entry.read_text())
    forge(told)
    entry.write_text(json.dumps(told))
    machines, refused = machines_of_class(tmp_path)
    seen = {machine.name: len(machine.seen_there) for machine in machines}
    assert seen.get("ada") == 1
    assert seen.get("bob", 0) == 0
    [said] = refused
    assert said.name == "bob/05_zero_copy.json"
    assert reason in said.reason


def test_what_is_no_evidence_at_all_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("[1, 2]")
    (tmp_path / "half.json").write_text('{"schema": "zerocopy_lab ev')
    machines, refused = machines_of_class(tmp_path)
    assert machines == []
    assert [each.name for each in refused] == ["half.json", "notes.json"]


def test_the_newest_run_of_a_lab_counts(tmp_path: Path, concluded: Concluded) -> None:
    concluded(tmp_path / "ada" / "monday", "05", [found("Z4", CONTRADICTED)])
    path = tmp_path / "ada" / "monday" / PATH
    told = json.loads(path.read_text())
    told["written"] = "2020-01-01T00:00:00+00:00"
    told["digest"] = digest_of(told)
    flat = tmp_path / "ada" / "05_old.json"
    flat.write_text(json.dumps(told))
    path.unlink()
    concluded(tmp_path / "new", "05", [found("Z4", SUPPORTED)])
    (tmp_path / "new" / PATH).rename(tmp_path / "ada" / "05_zero_copy.json")
    [machine], refused = machines_of_class(tmp_path)
    assert refused == []
    assert machine.seen_there == {("Z4", ""): SUPPORTED}


# -- what depends on the machine -------------------------------------------------------------------


def a_machine(name: str, facts: dict[str, str], *findings: Finding) -> Machine:
    told = tuple(LabFinding("05", each) for each in findings)
    return Machine(name, facts, {"05": LabResult("05", "2026-11-27", facts, told, {})})


BBR, CUBIC = {"tcp": "bbr", "rights": "root"}, {"tcp": "cubic", "rights": "root"}
PLAIN_USER = {"tcp": "bbr", "rights": "ordinary user"}


def test_a_part_depends_on_the_machine_when_its_verdict_is_turned_round() -> None:
    one = a_machine("one", BBR, found("Z2", SUPPORTED, "price"), found("Z4", SUPPORTED))
    two = a_machine("two", CUBIC, found("Z2", CONTRADICTED, "price"), found("Z4", SUPPORTED))
    three = a_machine("three", PLAIN_USER, found("Z2", SUPPORTED, "price"))
    [difference] = differences([one, two, three])
    assert (difference.claim_id, difference.part) == ("Z2", "price")
    assert difference.is_opposite
    assert difference.sides == {SUPPORTED: ("one", "three"), CONTRADICTED: ("two",)}
    assert difference.facts == ("tcp",)


def test_what_could_not_be_told_is_no_opposite() -> None:
    one = a_machine("one", BBR, found("Z2", SUPPORTED, "counts"))
    two = a_machine("two", PLAIN_USER, found("Z2", Verdict.INCONCLUSIVE, "counts"))
    [difference] = differences([one, two])
    assert not difference.is_opposite
    assert difference.facts == ("rights",)


def test_only_what_was_tested_on_the_machine_itself_is_compared() -> None:
    one = a_machine("one", BBR, found("S2", SUPPORTED, about=ON_A_KAFKA))
    two = a_machine("two", CUBIC, found("S2", CONTRADICTED, about=ON_A_KAFKA))
    assert differences([one, two]) == []
    assert [each.overall for each in one.verdicts if each.claim.id == "S2"] == [Overall.RIGHT]


# -- those that ship -------------------------------------------------------------------------------


def test_the_recorded_machines_are_as_they_were_written_and_not_all_alike() -> None:
    machines = recorded_machines()
    assert len(machines) >= 2
    assert len({machine.facts["congestion control"] for machine in machines}) >= 2
    assert len({machine.facts["rights"] for machine in machines}) == 2
    assert all(machine.is_recorded and len(machine.seen_there) > 20 for machine in machines)


def test_a_recorded_machine_that_was_edited_is_refused(
    tmp_path: Path, concluded: Concluded, monkeypatch: pytest.MonkeyPatch
) -> None:
    concluded(tmp_path, "05", [found("Z4", SUPPORTED)])
    kept = tmp_path / "machines" / "mine"
    kept.mkdir(parents=True)
    text = (tmp_path / PATH).read_text()
    (kept / PATH.name).write_text(text.replace('"supported"', '"contradicted"'))
    monkeypatch.setattr(machines_module, "MACHINES_DIR", tmp_path / "machines")
    with pytest.raises(ValueError, match="changed after it was written"):
        recorded_machines.__wrapped__()
