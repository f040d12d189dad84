"""The sentences at the top: what the article asks, what it answers, and what is left of it here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from zerocopy_lab.verdict.judgement import Basis, ClaimVerdict, Overall

QUESTION: Final = "How can Kafka handle millions of messages a second?"
CLAIMED: Final = (
    "An article answers: because of zero copy, DMA, the page cache and batching; the CPU only "
    "controls."
)
CONCLUSION: Final = "C1"
_REASON: Final = "what makes the millions"
"""The part of the conclusion that answers the question; its words open with the answer."""

INGREDIENTS: Final = {
    "zero copy": ("Z2",),
    "DMA": ("D1", "D2"),
    "the page cache": ("P1", "P2"),
    "batching": ("W2",),
}
"""What the article names, and the claims that say what each is."""


class Ingredient(NamedTuple):
    """One of the article's four reasons, with what is left of each claim about it."""

    name: str
    claims: tuple[tuple[str, Overall], ...]


def ingredients(verdicts: Sequence[ClaimVerdict]) -> list[Ingredient]:
    """The four, in the article's order."""
    overall = {judged.claim.id: judged.overall for judged in verdicts}
    return [
        Ingredient(name, tuple((each, overall[each]) for each in ids))
        for name, ids in INGREDIENTS.items()
    ]


def answer(verdicts: Sequence[ClaimVerdict]) -> list[str]:
    """What came out, in three sentences that are computed."""
    return [_of_the_conclusion(verdicts), _of_all(verdicts), _of_their_basis(verdicts)]


def _of_the_conclusion(verdicts: Sequence[ClaimVerdict]) -> str:
    [conclusion] = [judged for judged in verdicts if judged.claim.id == CONCLUSION]
    if conclusion.overall is Overall.OPEN:
        return "Whether that is the reason was not decided here."
    decided = [part for part in conclusion.parts if part.is_decided]
    tested = [each for each in conclusion.parts if each.basis and each.part == _REASON]
    part = [*tested, *decided][0]
    said = {Overall.RIGHT: "agrees", Overall.HALF: "agrees in part", Overall.WRONG: "disagrees"}[
        conclusion.overall
    ]
    who = "This machine" if part.basis is Basis.HERE else "What was recorded elsewhere"
    return f"{who} {said}. {first_sentence(part.words)}"


def _of_all(verdicts: Sequence[ClaimVerdict]) -> str:
    counts = Counter(judged.overall for judged in verdicts)
    told = [
        f"{counts[overall]} {'is' if counts[overall] == 1 else 'are'} {overall}"
        for overall in Overall
        if counts[overall]
    ]
    return f"Of its {len(verdicts)} claims {in_a_row(told)}."


def _of_their_basis(verdicts: Sequence[ClaimVerdict]) -> str:
    decided = [judged for judged in verdicts if judged.overall is not Overall.OPEN]
    here = [judged for judged in decided if Basis.HERE in judged.rests_on]
    recorded = [j for j in decided if j not in here and Basis.RECORDED in j.rests_on]
    count = str(len(here)) if here else "None"
    told = [f"{count} of these judgements rest on what was seen on this machine"]
    if recorded:
        told.append(f"{len(recorded)} on runs that were recorded on another")
    if cited := len(decided) - len(here) - len(recorded):
        told.append(f"{cited} on sources alone")
    return f"{in_a_row(told)}."


def in_a_row(texts: Sequence[str]) -> str:
    """`one, two and three`."""
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def first_sentence(words: str) -> str:
    """Up to the first full stop that ends a sentence."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z\"“])", words, maxsplit=1)[0]
