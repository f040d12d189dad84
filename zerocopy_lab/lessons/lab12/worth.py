"""What each mechanism of lab 12 is worth, in which order, and whether it makes the millions.

**The rule.** Messages have 100 bytes, and our own client asks, which costs next to nothing, so the
rate is the broker's. A mechanism *makes the millions* in a direction if with it there were at least
a million messages a second in every round, and without it less than a million in every round, by a
difference that the rounds agree on (`measuring.comparison`). It *does not* if without it there were
at least a million in every round too. Otherwise nothing is said. The article names zero copy, page
cache and batching (DMA cannot be taken away over the loopback). Its conclusion is *supported* if
each of the three makes the millions in one direction at least, *contradicted* if one of them does
so in neither, and *inconclusive* otherwise.

What a real Kafka's settings cannot take away (zero copy) is judged by what takes more: with TLS,
zero copy is gone and a cipher is paid for. If the millions survive that, they survive the loss of
zero copy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from zerocopy_lab.classroom.thresholds import are_alike
from zerocopy_lab.instruments.spread import Spread, ratios, spread
from zerocopy_lab.lessons.lab12.orders import Client
from zerocopy_lab.lessons.lab12.raced_topics import SMALL, Cell
from zerocopy_lab.lessons.lab12.rungs import (
    ALL,
    DIRECTIONS,
    NOT_IN_THE_SUM,
    PLAIN,
    RUNGS,
    WHOLE,
    ZERO_COPY,
    Direction,
    Mechanism,
)
from zerocopy_lab.lessons.lab12.stand import Ladder
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs

MILLION: Final = 1_000_000
BY_NAME: Final = {rung.name: rung for rung in RUNGS}
VERB: Final = {"produce": "producing", "consume": "consuming"}
#: What a mechanism's loss must cost at least to be called a factor.
_FACTOR: Final = 2.0


class Worth(NamedTuple):
    """What a mechanism is worth in one direction: messages a second with it and without."""

    mechanism: str
    direction: Direction
    with_it: Sequence[float]
    without: Sequence[float]

    @property
    def times(self) -> Spread:
        """How many times as many messages with it, round by round."""
        return ratios(self.with_it, self.without)

    @property
    def comparison(self) -> Comparison:
        """Of the time for a message."""
        pairs = [(1 / a, 1 / b) for a, b in zip(self.with_it, self.without, strict=True)]
        return compare_pairs("with it", "without", "time a message", pairs)

    @property
    def costs_clearly(self) -> bool:
        """Whether its loss is told from chance."""
        return self.comparison.verdict == "cheaper"

    @property
    def makes_the_millions(self) -> bool | None:
        """By the rule; None where it does not decide."""
        if min(self.with_it) < MILLION:
            return None
        if max(self.without) < MILLION:
            return True if self.costs_clearly else None
        return False if min(self.without) >= MILLION else None

    @property
    def in_words(self) -> str:
        """`1.8 M/s with it, 0.011 M/s without`."""
        told = (f"{rate_in_words(spread(each).median)}" for each in (self.with_it, self.without))
        return "{} with it, {} without".format(*told)


def worth(
    ladder: Ladder,
    mechanism: str,
    direction: Direction,
    message_bytes: int = SMALL,
    client: Client = "ours",
) -> Worth | None:
    """None where the mechanism plays no part, or was not measured."""
    ways = BY_NAME[mechanism].ways(direction)
    if ways is None or mechanism in ladder.why_not:
        return None
    cells = [Cell(direction, client, message_bytes, way) for way in ways]
    if any(cell not in ladder.runs for cell in cells):
        return None
    return Worth(mechanism, direction, *map(ladder.rates, cells))


def all_worths(ladder: Ladder) -> list[Worth]:
    """Of every mechanism and direction, small messages, our client; the most first."""
    each = (
        worth(ladder, rung.name, direction)
        for rung in RUNGS
        for direction in DIRECTIONS
        if rung.name != ALL
    )
    found = [one for one in each if one]
    return sorted(found, key=lambda one: one.times.median, reverse=True)


def best_worths(ladder: Ladder) -> list[Worth]:
    """Each mechanism in the direction in which its loss costs more; the most first."""
    best: dict[str, Worth] = {}
    for one in all_worths(ladder):
        best.setdefault(one.mechanism, one)
    return list(best.values())


def ranks(ladder: Ladder) -> list[list[Worth]]:
    """The ranking as far as the rounds tell it: whoever is in a later group costs less in every
    round than any of the group before in any. A loss that is not told from chance has no rank.
    """
    groups: list[list[Worth]] = []
    for one in best_worths(ladder):
        if not one.costs_clearly:
            continue
        if groups and one.times.high >= min(before.times.low for before in groups[-1]):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


MULTIPLIES, ADDS, UNCLEAR = "multiply the time", "add to it", "no clear change"


def kinds(ladder: Ladder) -> dict[str, list[str]]:
    """Which losses multiply the time for a message (at least twice, in every round), which merely
    add to it, and which are not told from chance; each by the direction in which it costs more.
    """
    found: dict[str, list[str]] = {MULTIPLIES: [], ADDS: [], UNCLEAR: []}
    for one in best_worths(ladder):
        kind = MULTIPLIES if one.times.low >= _FACTOR else ADDS
        found[kind if one.costs_clearly else UNCLEAR].append(one.mechanism)
    return found


def those_that_make_the_millions(ladder: Ladder) -> list[str]:
    """By the rule, in one direction at least, in the order of the ranking."""
    makers = {one.mechanism for one in all_worths(ladder) if one.makes_the_millions}
    return [one.mechanism for one in best_worths(ladder) if one.mechanism in makers]


def zero_copy(ladder: Ladder) -> Worth | None:
    """Itself where it can be taken away, else by TLS, which takes it along: enough to acquit it."""
    direct = worth(ladder, ZERO_COPY, "consume")
    if direct:
        return direct
    by_tls = worth(ladder, PLAIN, "consume")
    return by_tls if by_tls and by_tls.makes_the_millions is False else None


def makes(ladder: Ladder, name: str) -> bool | None:
    """Whether a mechanism makes the millions in one direction at least."""
    if name == ZERO_COPY:
        zero = zero_copy(ladder)
        return zero.makes_the_millions if zero else None
    said = [one.makes_the_millions for one in both_directions(ladder, name)]
    if True in said:
        return True
    return None if None in said or not said else False


def both_directions(ladder: Ladder, name: str) -> list[Worth]:
    """What it is worth, producing and consuming."""
    return [one for direction in DIRECTIONS if (one := worth(ladder, name, direction))]


# -- one at a time, and all at once ----------------------------------------------------------------


class Together(NamedTuple):
    """Seconds for a million messages: whole, without everything, and what the rungs one by one
    would let expect if their costs added up, or if their factors multiplied. Round by round.
    """

    direction: Direction
    whole: Sequence[float]
    measured: Sequence[float]
    added: Sequence[float]
    multiplied: Sequence[float]

    @property
    def more_than_the_sum(self) -> Spread:
        """Measured / added."""
        return ratios(self.measured, self.added)

    @property
    def in_words(self) -> str:
        """The sum, the product, and what came."""
        measured, added, multiplied = (
            seconds_in_words(spread(each).median)
            for each in (self.measured, self.added, self.multiplied)
        )
        told = (
            f"{VERB[self.direction]}, without all of them: {measured} for a million messages; the "
            f"costs one by one add up to {added}, their factors multiply to {multiplied}"
        )
        more = self.more_than_the_sum
        if more.low > _FACTOR:
            return f"{told}. {more.text()} times the sum: they multiply one another."
        if more.high < 1 / _FACTOR:
            return f"{told}. {more.text()} times the sum: they share what they cost."
        if more.low > 1 and not are_alike(more.low, 1):
            return f"{told}. {more.text()} times the sum: more than it, in every round."
        return f"{told}. {more.text()} times the sum: they add up, more or less."


def together(ladder: Ladder, direction: Direction) -> Together | None:
    """None where all together was not measured."""
    everything = worth(ladder, ALL, direction)
    if everything is None:
        return None
    whole = ladder.seconds(Cell(direction, "ours", SMALL, WHOLE))
    parts = [
        ladder.seconds(Cell(direction, "ours", SMALL, rung.ways(direction)[1]))  # type: ignore[index]
        for rung in RUNGS
        if _counts(rung, ladder, direction)
    ]
    rounds = list(zip(whole, *parts, strict=True))
    added = [base + sum(one - base for one in ones) for base, *ones in rounds]
    multiplied = [base * math.prod(one / base for one in ones) for base, *ones in rounds]
    measured = [MILLION / rate for rate in everything.without]
    return Together(direction, whole, measured, [max(a, 1e-9) for a in added], multiplied)


def _counts(rung: Mechanism, ladder: Ladder, direction: Direction) -> bool:
    """Zero copy goes with TLS, so it is not counted twice."""
    if rung.name in NOT_IN_THE_SUM or rung.name in ladder.why_not or not rung.ways(direction):
        return False
    return rung.name != ZERO_COPY or PLAIN in ladder.why_not


def rate_in_words(per_s: float) -> str:
    """`1.84 M/s`, `11,450/s`."""
    if per_s >= 99_500:
        return f"{per_s / MILLION:.3g} M/s"
    return f"{per_s:,.0f}/s"


def seconds_in_words(seconds: float) -> str:
    """`0.54 s`, `1,346 s`."""
    return f"{seconds:,.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"
