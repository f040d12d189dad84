from __future__ import annotations

from typing import Any

import pytest

from tests.classroom.conftest import LabMaker
from zerocopy_lab.classroom.conclusion import InvariantBroken, conclude
from zerocopy_lab.classroom.evidence import (
    CircularEvidence,
    Evidence,
    Finding,
    NoEvidence,
    Quantity,
    Verdict,
    cited_finding,
    finding,
    seen_on,
)
from zerocopy_lab.classroom.evidence_file import conclusion_in
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import KERNEL_HERE, THIS_BROKER
from zerocopy_lab.instruments.spread import Spread

FOUND = finding(
    "Z2",
    Verdict.SUPPORTED,
    Evidence.TIMED,
    "Nobody copied.",
    Quantity("CPU", Spread(0.3, 0.2, 0.4, 7), "s/GiB"),
    Quantity("page references", True),
    about=KERNEL_HERE,
)


def written(lab: Lab) -> Any:
    return conclusion_in(lab.out_root, lab.entry)


def test_a_conclusion_is_written_with_figures_spread_and_host(
    start: LabMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = start()
    conclude([FOUND], {"bytes in = bytes out": True})
    conclusion = written(lab)
    assert conclusion["lab"] == "77"
    assert conclusion["invariants"] == {"bytes in = bytes out": True}
    assert {"system", "processor", "Python", "rights"} <= conclusion["host"].keys()
    [found] = conclusion["findings"]
    assert (found["claim_id"], found["verdict"], found["evidence"]) == ("Z2", "supported", "TIMED")
    cpu, references = found["quantities"]
    assert (cpu["value"], cpu["low"], cpu["high"], cpu["n"]) == (0.3, 0.2, 0.4, 7)
    assert references["value"] is True
    assert "Nobody copied." in capsys.readouterr().out


def test_an_invariant_that_does_not_hold_fails_the_lab_and_is_written_down(
    start: LabMaker,
) -> None:
    lab = start()
    with pytest.raises(InvariantBroken, match="this did not hold: bytes in = bytes out"):
        conclude([FOUND], {"bytes in = bytes out": False, "order kept": True})
    assert written(lab)["invariants"] == {"bytes in = bytes out": False, "order kept": True}


@pytest.mark.parametrize(("claims", "found"), [(("Z2", "Z3"), [FOUND]), (("Z3",), [FOUND])])
def test_findings_are_about_the_claims_that_the_list_promises(
    start: LabMaker, claims: tuple[str, ...], found: list[Finding]
) -> None:
    lab = start(claims=claims)
    with pytest.raises(ValueError, match="lab 77 promises"):
        conclude(found, {"bytes in = bytes out": True})
    assert not written(lab)


def test_a_lab_that_checks_nothing_is_refused(start: LabMaker) -> None:
    start()
    with pytest.raises(NoEvidence, match="checks nothing"):
        conclude([FOUND], {})


def test_figures_fed_from_a_constant_are_refused(start: LabMaker) -> None:
    lab = start()
    constant = Quantity("CPU", Spread(0.3, 0.3, 0.3, 7), "s/GiB")
    found = finding(
        "Z2", Verdict.SUPPORTED, Evidence.TIMED, "Nobody copied.", constant, about=KERNEL_HERE
    )
    with pytest.raises(NoEvidence, match="times that never differ were not measured"):
        conclude([found], {"order kept": True})
    assert not written(lab)


def test_a_claim_about_kafka_needs_somebody_who_speaks_of_a_kafka(start: LabMaker) -> None:
    start(claims=("S5",))
    shown = Quantity("segments", 3)
    ours = seen_on(THIS_BROKER, "S5", Verdict.SUPPORTED, Evidence.COUNTED, "So.", shown)
    with pytest.raises(CircularEvidence, match="nothing here speaks of a Kafka"):
        conclude([ours], invariants={"order kept": True})
    by_the_source = cited_finding("S5", Verdict.SUPPORTED, "So.", "LogSegment.java")
    conclude([ours, by_the_source], invariants={"order kept": True})
