from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from zerocopy_lab.classroom.conclusion import conclusion_of
from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Likeness,
    Quantity,
    Verdict,
    cited_finding,
    finding,
    illustration,
)
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry
from zerocopy_lab.classroom.subject import KERNEL_HERE, THIS_BROKER, Subject, recorded_on
from zerocopy_lab.verdict import report
from zerocopy_lab.verdict.machines import Machine

SUPPORTED, CONTRADICTED = Verdict.SUPPORTED, Verdict.CONTRADICTED
ON_A_KAFKA = recorded_on("Apache Kafka 4.2.0, recorded on 2026-11-27")
Concluded = Callable[..., Lab]


def found(
    claim_id: str, verdict: Verdict, part: str = "", about: Subject = KERNEL_HERE, words: str = ""
) -> Finding:
    """A finding with a count."""
    told = words or f"{part or claim_id} was {verdict}."
    quantity = Quantity("counted", 1)
    return finding(claim_id, verdict, Evidence.COUNTED, told, quantity, part=part, about=about)


def said_by_a_source(claim_id: str, verdict: Verdict, part: str = "") -> Finding:
    """A cited finding."""
    return cited_finding(claim_id, verdict, "It says so.", "Apache Kafka 4.2, Log.scala", part)


def done_by_ours(claim_id: str, likeness: Likeness, part: str = "") -> Finding:
    """What our broker does beside a claim about Kafka."""
    quantity = Quantity("counted", 1)
    return illustration(
        claim_id, likeness, Evidence.COUNTED, "Ours does.", quantity, part=part, about=THIS_BROKER
    )


@pytest.fixture
def concluded() -> Concluded:
    """Lets a lab of the list conclude into a directory of results."""

    def conclude_in(
        out_root: Path,
        lab_id: str,
        findings: Sequence[Finding],
        *,
        held: bool = True,
        guesses: Sequence[tuple[str, str, str]] = (),
    ) -> Lab:
        entry = lab_entry(lab_id)
        lab = Lab(entry, True, 1, out_root / entry.name, True)
        lab.out_dir.mkdir(parents=True, exist_ok=True)
        for question, guess, measured in guesses:
            lab.record_prediction(question, guess, measured, "Measured here")
        figures = [Quantity("a call", 218, "ns")]
        lab.save(conclusion_of(lab, findings, {"order kept": held}, figures))
        return lab

    return conclude_in


@pytest.fixture
def no_recorded_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test makes."""
    none: tuple[Machine, ...] = ()
    monkeypatch.setattr(report, "recorded_machines", lambda: none)
    monkeypatch.setattr(report, "stand_in", lambda: None)
