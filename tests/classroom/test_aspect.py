from __future__ import annotations

import pytest

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.cited import cited_beside
from zerocopy_lab.classroom.evidence import (
    Evidence,
    Likeness,
    NoEvidence,
    Quantity,
    Verdict,
)
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.classroom.subject import KERNEL_HERE, THIS_BROKER, kafka_here
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured

ONCE = Quantity("calls", 3)
KAFKA = kafka_here("4.2.0")


@pytest.mark.parametrize(
    ("holds", "verdict"),
    [
        (True, Verdict.SUPPORTED),
        (False, Verdict.CONTRADICTED),
        (None, Verdict.INCONCLUSIVE),
        (Verdict.CONTRADICTED, Verdict.CONTRADICTED),
    ],
)
def test_yes_and_no_become_a_verdict(holds: Verdict | bool | None, verdict: Verdict) -> None:
    found = Aspect("Z5", KAFKA, "the socket").counted(holds, "So.", ONCE, source="select(2)")
    assert (found.verdict, found.part, found.about) == (verdict, "the socket", KAFKA)
    assert (found.evidence, found.source) == (Evidence.COUNTED, "select(2)")


def test_each_kind_of_evidence_is_called_what_it_is() -> None:
    aspect = Aspect("Z2", KERNEL_HERE)
    thrice = Quantity("CPU", Spread(0.3, 0.2, 0.4, 3), "s/GiB")
    assert aspect.proved(True, "So.", ONCE).tag == "PROVED"
    assert aspect.timed(True, "So.", thrice).tag == "TIMED"
    with pytest.raises(NoEvidence, match="at least 3 runs"):
        aspect.timed(True, "So.", ONCE)
    with pytest.raises(NoEvidence, match="at least one quantity"):
        aspect.counted(True, "So.")


def test_our_own_broker_only_illustrates_what_kafka_does() -> None:
    ours = Aspect("Z5", THIS_BROKER)
    assert ours.counted(True, "So.", ONCE).verdict is Likeness.DOES_SO
    assert ours.not_testable("No /proc here.").verdict is Verdict.NOT_TESTABLE


def test_what_cannot_be_tested_shows_no_evidence() -> None:
    found = Aspect("Z1", KERNEL_HERE, "moves").not_testable("No /proc here.")
    assert (found.verdict, found.tag, found.words) == (Verdict.NOT_TESTABLE, "", "No /proc here.")


def test_a_lab_cites_on_what_it_promises_and_names_each_part_once() -> None:
    for entry in labs().values():
        cited = cited_beside(entry.id)
        assert {each.claim_id for each in cited} <= set(entry.claims)
        assert all(each.evidence is Evidence.CITED and each.source for each in cited)
        parts = [(each.claim_id, each.part) for each in cited]
        assert len(set(parts)) == len(parts)
    assert {each.claim_id for each in cited_beside("01")} == {"S1", "S2", "S3"}


def test_where_an_instrument_is_missing_its_reason_is_the_value() -> None:
    @or_unmeasured()
    def measure() -> int:
        raise Unavailable("perf", "it is not installed", "Install it")

    @or_unmeasured(OSError)
    def other() -> int:
        raise Unavailable("perf", "it is not installed", "Install it")

    assert measure() == Unmeasured("perf is not available here: it is not installed. Install it.")
    with pytest.raises(Unavailable):
        other()
