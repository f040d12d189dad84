"""What was found on a real Kafka stands beside a lab's findings, marked, and only where no Kafka
was asked live.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.classroom.conftest import LabMaker
from zerocopy_lab.classroom import kafka_runs
from zerocopy_lab.classroom.conclusion import conclude, conclusion_of
from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    NoEvidence,
    Quantity,
    Verdict,
    finding,
    seen_on,
)
from zerocopy_lab.classroom.evidence_file import conclusion_in
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.classroom.subject import (
    KERNEL_HERE,
    THIS_BROKER,
    Subject,
    SubjectKind,
    kafka_here,
)
from zerocopy_lab.instruments.spread import Spread

SPREAD = Quantity("CPU", Spread(0.3, 0.2, 0.4, 7), "s/GiB")


def on(subject: Subject, part: str = "", verdict: Verdict = Verdict.SUPPORTED) -> Finding:
    shown = Quantity("segments", 3)
    return seen_on(subject, "S5", verdict, Evidence.COUNTED, "So.", shown, SPREAD, part=part)


@pytest.fixture
def kept(start: LabMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recorded run of lab 77, with a finding on a Kafka and one on our broker."""
    monkeypatch.setattr(kafka_runs, "DIRECTORY", tmp_path / "kafka_runs")
    lab = start(claims=("S5",))
    conclusion = conclusion_of(lab, [on(kafka_here("4.2.0")), on(THIS_BROKER)], {"so": True}, [])
    return kafka_runs.keep_kafka_run(conclusion, "4.2.0")


def test_what_is_kept_is_the_kafkas_alone_and_reads_back_as_it_was(kept: Path) -> None:
    [found] = kafka_runs.recorded_findings("77")
    assert found.about.kind is SubjectKind.RECORDED
    assert "Apache Kafka 4.2.0, recorded on 20" in found.about.words
    assert found.source.startswith("A run of this lab on Apache Kafka 4.2.0, recorded on 20")
    as_it_was = on(kafka_here("4.2.0"))
    assert found._replace(about=as_it_was.about, source="") == as_it_was
    assert found.tag == "RECORDED, COUNTED"
    assert kafka_runs.recorded_findings("78") == []


def test_a_conclusion_adds_it_marked(
    kept: Path, start: LabMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = start(claims=("S5",))
    conclude([on(THIS_BROKER)], {"so": True})  # ours alone would be circular
    written = conclusion_in(lab.out_root, lab.entry)["findings"]
    assert [each["tag"] for each in written] == ["COUNTED", "RECORDED, COUNTED"]
    assert "S5: supported · RECORDED, COUNTED · about Apache Kafka 4.2.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("live", "added"),
    [
        (on(kafka_here("4.2.0")), 0),
        (on(kafka_here("4.2.0"), part="another part"), 1),
        (on(kafka_here("4.2.0"), verdict=Verdict.NOT_TESTABLE), 1),
        (on(THIS_BROKER), 1),
    ],
)
def test_a_live_kafka_comes_before_a_recorded_one(kept: Path, live: Finding, added: int) -> None:
    assert len(kafka_runs.recorded_beside("77", [live])) == added


def test_a_run_that_found_nothing_on_a_kafka_is_not_kept(start: LabMaker, kept: Path) -> None:
    conclusion = conclusion_of(start(), [on(THIS_BROKER)], {"so": True}, [])
    with pytest.raises(ValueError, match="found out nothing about the Kafka that ran"):
        kafka_runs.keep_kafka_run(conclusion, "4.2.0")


def test_what_was_tampered_with_is_refused(kept: Path) -> None:
    run = json.loads(kept.read_text())
    run["findings"][0]["quantities"] = []
    kept.write_text(json.dumps(run))
    with pytest.raises(NoEvidence):
        kafka_runs.recorded_findings("77")
    kept.write_text(json.dumps({**run, "format": "tea"}))
    with pytest.raises(ValueError, match="is not of the format"):
        kafka_runs.recorded_findings("77")


@pytest.mark.parametrize("path", sorted(kafka_runs.DIRECTORY.glob("*.json")), ids=lambda p: p.stem)
def test_what_is_stored_can_be_read_and_is_of_its_lab(path: Path) -> None:
    found = kafka_runs.recorded_findings(path.stem)
    assert found
    assert {each.claim_id for each in found} <= set(labs()[path.stem].claims)
    assert {each.about.kind for each in found} == {SubjectKind.RECORDED}
    assert path.stat().st_size < 20 << 10
    assert "/tmp" not in path.read_text()


def test_a_finding_of_the_kernel_is_tagged_plainly() -> None:
    plain = finding("Z2", Verdict.SUPPORTED, Evidence.TIMED, "So.", SPREAD, about=KERNEL_HERE)
    assert plain.tag == "TIMED"
    assert plain._replace(verdict=Verdict.NOT_TESTABLE).tag == ""
