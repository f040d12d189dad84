from __future__ import annotations

import pytest

from zerocopy_lab.classroom.evidence import (
    CircularEvidence,
    Evidence,
    Likeness,
    NoEvidence,
    Quantity,
    Verdict,
    cited_finding,
    finding,
    seen_on,
)
from zerocopy_lab.classroom.subject import KERNEL_HERE, THIS_BROKER, kafka_here
from zerocopy_lab.instruments.spread import Spread

ONCE = Quantity("CPU", 0.3, "s/GiB")
THRICE = Quantity("CPU", Spread(0.3, 0.2, 0.4, 3), "s/GiB")
TWICE = Quantity("CPU", Spread(0.3, 0.2, 0.4, 2), "s/GiB")


@pytest.mark.parametrize(
    ("evidence", "quantities", "source", "missing"),
    [
        (Evidence.PROVED, (), "", "at least one quantity"),
        (Evidence.COUNTED, (), "", "at least one quantity"),
        (Evidence.TIMED, (ONCE,), "", "range over at least 3 runs"),
        (Evidence.TIMED, (TWICE,), "", "range over at least 3 runs"),
        (Evidence.CITED, (ONCE,), "", "the source it cites"),
    ],
)
def test_a_verdict_without_evidence_is_refused(
    evidence: Evidence, quantities: tuple[Quantity, ...], source: str, missing: str
) -> None:
    with pytest.raises(NoEvidence, match=missing):
        finding(
            "Z2",
            Verdict.SUPPORTED,
            evidence,
            "It is so.",
            *quantities,
            source=source,
            about=KERNEL_HERE,
        )


@pytest.mark.parametrize(
    ("verdict", "evidence", "quantities", "source"),
    [
        (Verdict.SUPPORTED, Evidence.PROVED, (Quantity("same bytes", True),), ""),
        (Verdict.CONTRADICTED, Evidence.TIMED, (ONCE, THRICE), ""),
        (Verdict.NOT_TESTABLE, Evidence.TIMED, (), ""),
        (Verdict.SUPPORTED, Evidence.CITED, (ONCE,), "sendfile(2)"),
    ],
)
def test_a_verdict_with_its_evidence_is_taken(
    verdict: Verdict, evidence: Evidence, quantities: tuple[Quantity, ...], source: str
) -> None:
    found = finding(
        "Z2", verdict, evidence, "It is so.", *quantities, source=source, about=KERNEL_HERE
    )
    assert found.quantities == quantities


def test_a_verdict_needs_words_and_a_claim_that_exists() -> None:
    with pytest.raises(NoEvidence, match="words"):
        finding("Z2", Verdict.NOT_TESTABLE, Evidence.PROVED, "  ", about=KERNEL_HERE)
    with pytest.raises(KeyError, match="no claim 'Z9'"):
        finding("Z9", Verdict.SUPPORTED, Evidence.PROVED, "It is so.", ONCE, about=KERNEL_HERE)


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        (Quantity("same bytes", True), "yes"),
        (Quantity("bytes", 1048576, "bytes"), "1,048,576 bytes"),
        (Quantity("share", 0.12345), "0.123"),
        (Quantity("congestion control", "cubic"), "cubic"),
        (THRICE, "0.3 s/GiB (0.2-0.4, n=3)"),
    ],
)
def test_a_quantity_reads_like_a_figure(quantity: Quantity, words: str) -> None:
    assert quantity.in_words() == words


SHOWN = Quantity("segments", 3)


def test_a_claim_about_kafka_is_not_judged_by_our_own_broker() -> None:
    with pytest.raises(CircularEvidence, match="S5 is about Kafka"):
        finding("S5", Verdict.SUPPORTED, Evidence.COUNTED, "So.", SHOWN, about=THIS_BROKER)
    ours = seen_on(THIS_BROKER, "S5", Verdict.SUPPORTED, Evidence.COUNTED, "So.", SHOWN)
    assert ours.verdict is Likeness.DOES_SO
    kafkas = seen_on(kafka_here("4.2.0"), "S5", Verdict.SUPPORTED, Evidence.COUNTED, "So.", SHOWN)
    assert kafkas.verdict is Verdict.SUPPORTED
    assert cited_finding("S5", Verdict.SUPPORTED, "So.", "LogSegment.java").evidence is (
        Evidence.CITED
    )


def test_a_fact_of_the_kernel_may_be_shown_by_whoever_makes_the_call() -> None:
    found = seen_on(THIS_BROKER, "Z2", Verdict.SUPPORTED, Evidence.COUNTED, "So.", SHOWN)
    assert found.verdict is Verdict.SUPPORTED
