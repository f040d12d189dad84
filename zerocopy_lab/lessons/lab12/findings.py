"""What lab 12 says of C1, by the rule of `worth`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity, Verdict
from zerocopy_lab.classroom.subject import KERNEL_HERE
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab12.ladder import headline, ranking_in_words
from zerocopy_lab.lessons.lab12.raced_topics import SMALL, Cell
from zerocopy_lab.lessons.lab12.rungs import CLAIMED, DIRECTIONS, PAGE_CACHE, WHOLE, ZERO_COPY
from zerocopy_lab.lessons.lab12.stand import Ladder
from zerocopy_lab.lessons.lab12.worth import (
    MILLION,
    VERB,
    all_worths,
    both_directions,
    makes,
    rate_in_words,
    together,
    zero_copy,
)
from zerocopy_lab.lessons.lab12.yours import rates_of


def findings(ladder: Ladder | Unmeasured) -> list[Finding]:
    """The conclusion; the millions; each mechanism that the article names; DMA."""
    if isinstance(ladder, Unmeasured):
        return [Aspect("C1", KERNEL_HERE, _WHAT).not_testable(str(ladder)), _dma()]
    return [
        _what_makes_them(ladder),
        _millions(ladder),
        *[found for name in CLAIMED if (found := _of(ladder, name))],
        _dma(),
    ]


_WHAT: Final = "what makes the millions"


def verdict_on_the_conclusion(ladder: Ladder) -> Verdict:
    """By the rule above."""
    said = [makes(ladder, name) for name in CLAIMED]
    if False in said:
        return Verdict.CONTRADICTED
    return Verdict.INCONCLUSIVE if None in said else Verdict.SUPPORTED


def _what_makes_them(ladder: Ladder) -> Finding:
    worths = all_worths(ladder)
    sums = [each.in_words for d in DIRECTIONS if (each := together(ladder, d))]
    return Aspect("C1", ladder.subject, _WHAT).timed(
        verdict_on_the_conclusion(ladder),
        f"{headline(ladder)} By what their loss costs: {ranking_in_words(ladder)} "
        f"(messages of {SMALL} bytes, the broker's own rate). " + " ".join(map(_sentence, sums)),
        *[Quantity(f"{one.mechanism}, {VERB[one.direction]}", one.times, "×") for one in worths],
        *_rates(ladder),
    )


def _rates(ladder: Ladder) -> list[Quantity]:
    """What the race of the learner's broker holds itself against, by its rows."""
    return [Quantity(name, rate, "messages/s") for name, rate in rates_of(ladder).items()]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _millions(ladder: Ladder) -> Finding:
    told, verdicts = [], []
    for direction in DIRECTIONS:
        cell = Cell(direction, "ours", SMALL, WHOLE)
        rates = ladder.rates(cell)
        told.append(Quantity(f"{VERB[direction]}, our client", spread(rates), "messages/s"))
        verdicts.append(_are_millions(rates, ladder.broker_cpu_s(cell)))
        real = cell._replace(client="librdkafka")
        if real in ladder.runs:
            rate = spread(ladder.rates(real))
            told.append(Quantity(f"{VERB[direction]}, librdkafka", rate, "messages/s"))
    both = False if False in verdicts else None if None in verdicts else True
    return Aspect("C1", ladder.subject, "millions of messages a second").timed(
        both,
        f"Messages of {SMALL} bytes, one client, one partition: "
        + ", ".join(f"{each.name} {rate_in_words(_median(each))}" for each in told)
        + ". A million is reached where every round of our client's, which costs next to nothing, "
        "has one; it is refused where the broker's processor alone would take longer.",
        *told,
    )


def _are_millions(rates: Sequence[float], broker_cpu_s: Sequence[float] | None) -> bool | None:
    """In every round? A machine that is busy with others makes the rate small, and the broker's
    processor time for a million not large: then nothing is said, nor where it is not seen.
    """
    if min(rates) >= MILLION:
        return True
    takes_too_long = broker_cpu_s is not None and min(broker_cpu_s) > 1
    return False if max(rates) < MILLION and takes_too_long else None


def _median(quantity: Quantity) -> float:
    assert isinstance(quantity.value, Spread)
    return quantity.value.median


def _of(ladder: Ladder, name: str) -> Finding | None:
    """One mechanism of those that the article names."""
    both = both_directions(ladder, name)
    if name == ZERO_COPY and not both and (zero := zero_copy(ladder)):
        both = [zero]
    if not both:
        return None
    by_tls = any(one.mechanism != name for one in both)
    told = "; ".join(f"{VERB[one.direction]} {one.in_words}" for one in both)
    if name == ZERO_COPY:
        told += "; producing, it plays no part"
    why = " (with TLS, which takes it along)" if by_tls else ""
    return Aspect(
        "C1", ladder.subject, f"because of {'the ' if name == PAGE_CACHE else ''}{name}"
    ).timed(
        makes(ladder, name),
        f"Messages a second{why}: {told}.",
        *[Quantity(f"{VERB[one.direction]}, ÷ without", one.times, "×") for one in both],
    )


def _dma() -> Finding:
    why = (
        "Over the loopback no card moves anything, so DMA cannot be taken away here; lab 09 tells "
        "who moves each byte."
    )
    return Aspect("C1", KERNEL_HERE, "because of DMA").not_testable(why)
