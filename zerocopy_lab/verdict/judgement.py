"""From the findings of many labs to one judgement for each claim, by a rule that can be applied by
hand: `RULE`.

A claim is judged part by part. Only the best that there is speaks for a part: what was seen on this
machine, else what was recorded on another, else what is cited. Our own broker beside a claim about
Kafka does not speak at all; it stands beside what does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from zerocopy_lab.classroom.claims import Claim, claims
from zerocopy_lab.classroom.evidence import Finding, Likeness, Verdict
from zerocopy_lab.classroom.subject import SubjectKind

RULE: Final = (
    "A part of a claim is decided when what was found says supported or contradicted. Every "
    "decided part supported: the claim is right. Every one contradicted: wrong. Some of each: half "
    "right. None decided: open. For a part speaks what was seen here; what was recorded elsewhere "
    "only where nothing was, and a source only where neither was. Our own broker is no evidence "
    "for what Kafka does."
)


class Overall(StrEnum):
    """What is left of a claim, all parts together."""

    RIGHT = "right"
    HALF = "half right"
    WRONG = "wrong"
    OPEN = "open"


class Basis(StrEnum):
    """Where what speaks for a part comes from, the best first."""

    HERE = "seen here"
    RECORDED = "recorded"
    CITED = "cited"


class LabFinding(NamedTuple):
    """A finding, and the lab that found it."""

    lab_id: str
    finding: Finding

    @property
    def basis(self) -> Basis:
        """By what the finding is about."""
        kinds = {SubjectKind.RECORDED: Basis.RECORDED, SubjectKind.CITED: Basis.CITED}
        return kinds.get(self.finding.about.kind, Basis.HERE)

    @property
    def is_ours(self) -> bool:
        """Whether it says what our own broker does."""
        return self.finding.about.kind is SubjectKind.THIS_BROKER

    @property
    def may_speak(self) -> bool:
        """An illustration may not; nor may our broker where only a Kafka could be asked."""
        return not isinstance(self.finding.verdict, Likeness)


class PartVerdict(NamedTuple):
    """One part of a claim ("" where it has only one), and what speaks for it."""

    part: str
    verdict: Verdict
    basis: Basis | None
    speaking: tuple[LabFinding, ...]
    beside: tuple[LabFinding, ...]
    """What was found as well: illustrations, recorded runs and sources that need not speak."""

    @property
    def is_decided(self) -> bool:
        """Whether it counts for the judgement."""
        return self.verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED)

    @property
    def of_our_broker(self) -> list[LabFinding]:
        """What our own broker does."""
        return [each for each in (*self.speaking, *self.beside) if each.is_ours]

    @property
    def of_others(self) -> list[LabFinding]:
        """What is about the kernel, a Kafka or a source; what speaks comes first."""
        return [each for each in (*self.speaking, *self.beside) if not each.is_ours]

    @property
    def words(self) -> str:
        """What was found, of the first that speaks."""
        return self.speaking[0].finding.words if self.speaking else "Nothing was found."


class ClaimVerdict(NamedTuple):
    """A claim, its parts, and what is left of it."""

    claim: Claim
    parts: tuple[PartVerdict, ...]

    @property
    def overall(self) -> Overall:
        """By the rule."""
        return overall_of([part.verdict for part in self.parts])

    def parts_that_are(self, *verdicts: Verdict) -> list[PartVerdict]:
        """The parts with one of these verdicts."""
        return [part for part in self.parts if part.verdict in verdicts]

    @property
    def so(self) -> list[PartVerdict]:
        """What holds."""
        return self.parts_that_are(Verdict.SUPPORTED)

    @property
    def not_so(self) -> list[PartVerdict]:
        """What does not."""
        return self.parts_that_are(Verdict.CONTRADICTED)

    @property
    def undecided(self) -> list[PartVerdict]:
        """What is left open."""
        return [part for part in self.parts if not part.is_decided]

    @property
    def rests_on(self) -> list[Basis]:
        """Where its decided parts come from, the best first."""
        used = {part.basis for part in self.parts if part.is_decided}
        return [basis for basis in Basis if basis in used]


def overall_of(verdicts: Iterable[Verdict]) -> Overall:
    """The rule, over the verdicts of a claim's parts."""
    decided = {each for each in verdicts if each in (Verdict.SUPPORTED, Verdict.CONTRADICTED)}
    if not decided:
        return Overall.OPEN
    if len(decided) == 2:
        return Overall.HALF
    return Overall.RIGHT if Verdict.SUPPORTED in decided else Overall.WRONG


def judge(found: Sequence[LabFinding]) -> list[ClaimVerdict]:
    """Every claim of the article, in its order, with what these findings say about it."""
    by_claim: Mapping[str, list[LabFinding]] = {claim_id: [] for claim_id in claims()}
    for each in found:
        by_claim[each.finding.claim_id].append(each)
    return [ClaimVerdict(claim, _parts(by_claim[claim.id])) for claim in claims().values()]


def _parts(found: Sequence[LabFinding]) -> tuple[PartVerdict, ...]:
    names = dict.fromkeys(each.finding.part for each in found)
    return tuple(
        _part(name, [each for each in found if each.finding.part == name]) for name in names
    )


def _part(name: str, found: Sequence[LabFinding]) -> PartVerdict:
    """What was tested here outranks what was recorded, and that what is cited."""
    may_speak = [each for each in found if each.may_speak]
    tested = [each for each in may_speak if each.finding.verdict is not Verdict.NOT_TESTABLE]
    for basis in Basis:
        speaking = [each for each in tested if each.basis is basis]
        if speaking:
            return _told(name, speaking, found, _agreed(speaking), basis)
    return _told(name, may_speak[:1], found, Verdict.NOT_TESTABLE, None)


def _told(
    name: str,
    speaking: Sequence[LabFinding],
    found: Sequence[LabFinding],
    verdict: Verdict,
    basis: Basis | None,
) -> PartVerdict:
    beside = tuple(each for each in found if each not in speaking)
    return PartVerdict(name, verdict, basis, tuple(speaking), beside)


def _agreed(speaking: Sequence[LabFinding]) -> Verdict:
    """What they say, where they agree; what does not decide takes nothing from what does."""
    said = {Verdict(each.finding.verdict) for each in speaking} - {Verdict.INCONCLUSIVE}
    return said.pop() if len(said) == 1 else Verdict.INCONCLUSIVE
