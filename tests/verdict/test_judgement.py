"""The rule: parts make a claim, the best basis speaks, our own broker is no evidence for Kafka."""

from __future__ import annotations

import itertools

import pytest

from tests.verdict.conftest import (
    CONTRADICTED,
    ON_A_KAFKA,
    SUPPORTED,
    done_by_ours,
    found,
    said_by_a_source,
)
from zerocopy_lab.classroom.claims import claims
from zerocopy_lab.classroom.evidence import Finding, Likeness, Verdict
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.verdict.judgement import (
    Basis,
    ClaimVerdict,
    LabFinding,
    Overall,
    judge,
    overall_of,
)

UNDECIDED = Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE


def judged(*findings: Finding) -> ClaimVerdict:
    """The claim that these are about."""
    of_all = judge([LabFinding("05", each) for each in findings])
    return next(each for each in of_all if each.claim.id == findings[0].claim_id)


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        ([], Overall.OPEN),
        (UNDECIDED, Overall.OPEN),
        ([SUPPORTED], Overall.RIGHT),
        ([SUPPORTED, *UNDECIDED], Overall.RIGHT),
        ([CONTRADICTED, CONTRADICTED], Overall.WRONG),
        ([CONTRADICTED, *UNDECIDED], Overall.WRONG),
        ([SUPPORTED, CONTRADICTED, SUPPORTED], Overall.HALF),
    ],
)
def test_what_is_not_decided_takes_nothing_from_what_is(
    verdicts: list[Verdict], overall: Overall
) -> None:
    for order in itertools.permutations(verdicts):
        assert overall_of(order) is overall


def test_every_claim_is_judged_whether_anything_was_found_or_not() -> None:
    of_all = judge([])
    assert [each.claim.id for each in of_all] == list(claims())
    assert {each.overall for each in of_all} == {Overall.OPEN}


def test_what_was_seen_here_speaks_before_a_record_and_a_record_before_a_source() -> None:
    cited = said_by_a_source("S2", CONTRADICTED)
    recorded = found("S2", SUPPORTED, about=ON_A_KAFKA)
    assert judged(cited).overall is Overall.WRONG
    both = judged(cited, recorded)
    assert both.overall is Overall.RIGHT
    assert both.rests_on == [Basis.RECORDED]
    assert [told.finding for told in both.parts[0].of_others] == [recorded, cited]
    here = found("Z2", Verdict.INCONCLUSIVE)
    assert judged(said_by_a_source("Z2", SUPPORTED), here).overall is Overall.OPEN


def test_where_nothing_could_be_tested_here_the_next_best_speaks() -> None:
    here = found("Z2", Verdict.NOT_TESTABLE)
    assert judged(here, said_by_a_source("Z2", SUPPORTED)).rests_on == [Basis.CITED]


def test_parts_do_not_speak_for_each_other() -> None:
    claim = judged(
        found("Z2", SUPPORTED, "the sender"),
        said_by_a_source("Z2", CONTRADICTED, "the card"),
        found("Z2", Verdict.INCONCLUSIVE, "its price"),
    )
    assert claim.overall is Overall.HALF
    assert [part.part for part in claim.so] == ["the sender"]
    assert [part.part for part in claim.not_so] == ["the card"]
    assert [part.part for part in claim.undecided] == ["its price"]


def test_our_own_broker_never_speaks_for_kafka_and_stands_in_its_own_column() -> None:
    ours = done_by_ours("S2", Likeness.DOES_OTHERWISE)
    assert judged(ours).overall is Overall.OPEN
    [part] = judged(ours, said_by_a_source("S2", SUPPORTED)).parts
    assert part.verdict is SUPPORTED
    assert [told.finding for told in part.of_our_broker] == [ours]


def test_who_disagree_decide_nothing() -> None:
    assert judged(found("Z2", SUPPORTED), found("Z2", CONTRADICTED)).overall is Overall.OPEN


def test_every_claim_of_the_article_has_a_lab() -> None:
    with_a_lab = {claim_id for entry in labs().values() for claim_id in entry.claims}
    assert with_a_lab == set(claims())
