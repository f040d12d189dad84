"""Findings as JSON holds them, and back. What is read has to show its evidence once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Likeness,
    Quantity,
    Verdict,
    finding,
    illustration,
)
from zerocopy_lab.classroom.subject import Subject, SubjectKind
from zerocopy_lab.instruments.spread import Spread


def plain_finding(found: Finding) -> dict[str, Any]:
    """Its fields by name, and its `tag`."""
    quantities = [plain_quantity(quantity) for quantity in found.quantities]
    about = found.about._asdict()
    return {**found._asdict(), "quantities": quantities, "about": about, "tag": found.tag}


def plain_quantity(quantity: Quantity) -> dict[str, Any]:
    """With `value`, `unit`, `words`, and `low`, `high`, `n` where it was repeated."""
    told = {"name": quantity.name, "unit": quantity.unit, "words": quantity.in_words()}
    if isinstance(quantity.value, Spread):
        median, low, high, n = quantity.value
        return {**told, "value": median, "low": low, "high": high, "n": n}
    return {**told, "value": quantity.value}


def finding_of(told: Mapping[str, Any], about: Subject | None = None) -> Finding:
    """The finding that these fields were made of; `about` where they do not say it.

    Raises NoEvidence (CircularEvidence) as `finding` does, KeyError for a missing field or an
    unknown claim, ValueError for a verdict, a kind of evidence or of subject that there is not.
    """
    if about is None:
        about = Subject(SubjectKind(told["about"]["kind"]), told["about"]["words"])
    quantities = [quantity_of(each) for each in told["quantities"]]
    claim_id, words, evidence = told["claim_id"], told["words"], Evidence(told["evidence"])
    rest: dict[str, Any] = {"source": told["source"], "part": told["part"], "about": about}
    if told["verdict"] in list(Likeness):
        likeness = Likeness(told["verdict"])
        return illustration(claim_id, likeness, evidence, words, *quantities, **rest)
    return finding(claim_id, Verdict(told["verdict"]), evidence, words, *quantities, **rest)


def quantity_of(told: Mapping[str, Any]) -> Quantity:
    """The quantity that these fields were made of."""
    value: Any = told["value"]
    if "n" in told:
        value = Spread(value, told["low"], told["high"], told["n"])
    return Quantity(told["name"], value, told["unit"])
