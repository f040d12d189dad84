"""What a conclusion is made of: verdicts, kinds of evidence, quantities, findings.

These are plain values. A lesson computes them from what it measured, `conclude` writes them down,
the report reads them back. A finding that shows nothing is refused the moment it is built: see
`Finding`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from zerocopy_lab.classroom.claims import claim
from zerocopy_lab.classroom.subject import Subject, SubjectKind, cited
from zerocopy_lab.instruments.spread import Spread


class Verdict(StrEnum):
    """What this machine says about a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTABLE = "not testable here"


class Likeness(StrEnum):
    """What our own broker does beside a claim about Kafka: an illustration, never a verdict."""

    DOES_SO = "does so"
    DOES_OTHERWISE = "does otherwise"
    UNCLEAR = "unclear"


class Evidence(StrEnum):
    """How we know."""

    PROVED = "PROVED"
    """a yes/no fact that no clock can blur"""
    COUNTED = "COUNTED"
    """an exact count"""
    TIMED = "TIMED"
    """a duration, a CPU time or a rate: median, range and n"""
    CITED = "CITED"
    """someone else's figure, with its source"""


class NoEvidence(ValueError):
    """A finding that claims something and shows nothing for it."""


class CircularEvidence(NoEvidence):
    """A claim about Kafka, judged by what this kit's own broker does."""


class Quantity(NamedTuple):
    """One figure behind a verdict: what it is, its value (a Spread where it was repeated), its
    unit.
    """

    name: str
    value: Spread | float | int | bool | str
    unit: str = ""

    def in_words(self) -> str:
        """`0.12 s/GiB (0.11-0.14, n=7)`, `yes`, `1,048,576 bytes`."""
        if isinstance(self.value, Spread):
            return self.value.text(self.unit)
        return shown(self.value) + (f" {self.unit}" if self.unit else "")


class Finding(NamedTuple):
    """What a lab found out about one claim. Built with `finding()`, which checks it.

    `part` names what of the claim this is about, where a claim is true in one part and not in
    another.
    """

    claim_id: str
    verdict: Verdict | Likeness
    evidence: Evidence
    words: str
    quantities: tuple[Quantity, ...]
    source: str
    part: str
    about: Subject

    @property
    def shows_evidence(self) -> bool:
        """Not what it would have been, where nothing could be tested."""
        return self.verdict is not Verdict.NOT_TESTABLE or self.evidence is Evidence.CITED

    @property
    def tag(self) -> str:
        """Its kind of evidence, "" where nothing was shown; what was recorded says so first."""
        if not self.shows_evidence:
            return ""
        is_recorded = self.about.kind is SubjectKind.RECORDED
        return f"RECORDED, {self.evidence}" if is_recorded else str(self.evidence)


def finding(
    claim_id: str,
    verdict: Verdict,
    evidence: Evidence,
    words: str,
    *quantities: Quantity,
    source: str = "",
    part: str = "",
    about: Subject,
) -> Finding:
    """A finding that has shown its evidence; NoEvidence says what is missing, KeyError an unknown
    claim.

    `words` is the conclusion for a reader, computed from the quantities. A claim that is not
    testable here needs no quantity but a reason in `words`; timed evidence needs a range over n
    >= 3 runs; cited evidence a source. Raises CircularEvidence for a verdict on what Kafka does
    that is about our own broker: that is an `illustration`.
    """
    is_ours = about.kind is SubjectKind.THIS_BROKER
    if is_ours and claim(claim_id).is_about_kafka and verdict is not Verdict.NOT_TESTABLE:
        raise CircularEvidence(
            f"{claim_id} is about Kafka, and our own broker is no evidence for it: show it on a "
            "Kafka, cite it, or call it an illustration"
        )
    return _shown(Finding(claim_id, verdict, evidence, words, quantities, source, part, about))


def seen_on(
    about: Subject,
    claim_id: str,
    verdict: Verdict,
    evidence: Evidence,
    words: str,
    *quantities: Quantity,
    source: str = "",
    part: str = "",
) -> Finding:
    """What a measurement of `about` says of the claim: a verdict where that is evidence, and where
    it is not (our own broker, a claim about Kafka) an illustration in the column beside it.
    """
    rest: dict[str, Any] = {"source": source, "part": part, "about": about}
    is_ours = about.kind is SubjectKind.THIS_BROKER and claim(claim_id).is_about_kafka
    if is_ours and verdict in _LIKENESS:
        return illustration(claim_id, _LIKENESS[verdict], evidence, words, *quantities, **rest)
    return finding(claim_id, verdict, evidence, words, *quantities, **rest)


def illustration(
    claim_id: str,
    likeness: Likeness,
    evidence: Evidence,
    words: str,
    *quantities: Quantity,
    source: str = "",
    part: str = "",
    about: Subject,
) -> Finding:
    """What our own broker does beside a claim about Kafka. It shows its evidence like a finding."""
    return _shown(Finding(claim_id, likeness, evidence, words, quantities, source, part, about))


def cited_finding(
    claim_id: str, verdict: Verdict, words: str, source: str, part: str = ""
) -> Finding:
    """What a source says of the claim: file and version, or manual page and section."""
    return finding(
        claim_id,
        verdict,
        Evidence.CITED,
        words,
        source=source,
        part=part,
        about=cited(source),
    )


def verdict_if(supported: bool | None) -> Verdict:
    """Yes, no, or neither."""
    if supported is None:
        return Verdict.INCONCLUSIVE
    return Verdict.SUPPORTED if supported else Verdict.CONTRADICTED


def verdict_on_cheaper(comparison_verdict: str) -> Verdict:
    """Of a claim that the first contestant is cheaper, by `Comparison.verdict`."""
    return {
        "cheaper": Verdict.SUPPORTED,
        "dearer": Verdict.CONTRADICTED,
        "inconclusive": Verdict.INCONCLUSIVE,
    }[comparison_verdict]


def verdict_on_dearer(comparison_verdict: str) -> Verdict:
    """Of a claim that the first contestant is dearer."""
    turned = {"cheaper": "dearer", "dearer": "cheaper"}
    return verdict_on_cheaper(turned.get(comparison_verdict, comparison_verdict))


def verdict_within(ratio: Spread, bounds: tuple[float, float]) -> Verdict:
    """Of a claim that a ratio lies between two bounds: only where every round agrees."""
    least, most = bounds
    if ratio.low > most or ratio.high < least:
        return Verdict.CONTRADICTED
    return verdict_if(True if least <= ratio.low and ratio.high <= most else None)


_LIKENESS: dict[Verdict, Likeness] = {
    Verdict.SUPPORTED: Likeness.DOES_SO,
    Verdict.CONTRADICTED: Likeness.DOES_OTHERWISE,
    Verdict.INCONCLUSIVE: Likeness.UNCLEAR,
}


def _shown(found: Finding) -> Finding:
    claim(found.claim_id)
    missing = _what_is_missing(
        found.verdict, found.evidence, found.words, found.quantities, found.source
    )
    if missing:
        raise NoEvidence(
            f"the conclusion on {found.claim_id} ({found.verdict}, {found.evidence}) needs "
            f"{missing}"
        )
    return found


def _what_is_missing(
    verdict: Verdict | Likeness,
    evidence: Evidence,
    words: str,
    quantities: tuple[Quantity, ...],
    source: str,
) -> str | None:
    if not words.strip():
        return "words that say what was found (or why it cannot be tested here)"
    if evidence is Evidence.CITED and not source:
        return "the source it cites"
    if verdict is Verdict.NOT_TESTABLE or evidence is Evidence.CITED:
        return None
    if not quantities:
        return "at least one quantity that was measured"
    if evidence is Evidence.TIMED and not any(_is_repeated(quantity) for quantity in quantities):
        return "a quantity with its range over at least 3 runs"
    return None


def _is_repeated(quantity: Quantity) -> bool:
    return isinstance(quantity.value, Spread) and quantity.value.n >= 3


def shown(value: float | int | bool | str) -> str:
    """A number as people read it: thousands separated, three significant digits, yes/no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
