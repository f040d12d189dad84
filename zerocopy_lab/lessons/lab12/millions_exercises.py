"""The exercises of lab 12: the rule of its verdict, a sum that does not hold, and who waits for
whom.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed, tried
from zerocopy_lab.classroom.lab import Lab

MILLION: Final = 1_000_000
_TABLES: Final = 60
_NAMES: Final = (
    "batching",
    "zero copy",
    "page cache",
    "plain sockets",
    "untouched batches",
    "index",
)
Rates = Mapping[str, tuple[Sequence[int], Sequence[int]]]
"""mechanism -> messages a second with it and without it, round by round"""


# -- 12.1: the rule --------------------------------------------------------------------------------


def drawn_rates(draw: random.Random) -> dict[str, tuple[list[int], list[int]]]:
    """A ladder's figures; rounds at the edge, and one round that says otherwise, are frequent."""
    return {
        name: (_rounds(draw, draw.random() < 0.75), _rounds(draw, draw.random() < 0.45))
        for name in draw.sample(_NAMES, draw.randrange(1, len(_NAMES) + 1))
    }


def _rounds(draw: random.Random, millions: bool) -> list[int]:
    """Three rounds, on one side of a million or with one across."""
    bounds = (MILLION, 9 * MILLION) if millions else (1000, MILLION - 1)
    rounds = [draw.randint(*bounds) for _ in range(3)]
    if draw.random() < 0.25:
        rounds[draw.randrange(3)] = MILLION if millions else MILLION - 1
    if draw.random() < 0.2:
        rounds[draw.randrange(3)] = draw.randint(1000, 9 * MILLION)
    return rounds


def by_striking_out(rates: Rates) -> list[str]:
    """The oracle: who fails in any round is struck out, the rest is put in order."""
    left = dict(rates)
    for name, (with_it, without) in rates.items():
        for one, other in zip(with_it, without, strict=True):
            if name in left and (one < MILLION or other >= MILLION):
                del left[name]
    middle = {
        name: sorted(a / b for a, b in zip(*both, strict=True))[1] for name, both in left.items()
    }
    return sorted(left, key=lambda name: -middle[name])


def _grade_rule(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("rates")
    ladders = (drawn_rates(draw) for _ in range(_TABLES))
    return tried(
        answer,
        "makes_the_millions(rates) -> list of names",
        (((rates,), by_striking_out(rates)) for rates in ladders),
        _wrong_names,
        f"{_TABLES} ladders, with rounds that disagree and rounds of exactly a million.",
    )


def _wrong_names(said: Any, right: list[str], rates: Rates) -> str:
    told = f"rates were {dict(rates)}; you said {said!r}. "
    if not isinstance(said, list) or not all(name in rates for name in said):
        return told + "Answer with a list of names."
    for name in said:
        with_it, without = rates[name]
        if min(with_it) < MILLION:
            return told + f"With {name} there were no millions in some round: nothing to lose."
        if max(without) >= MILLION:
            return told + f"Without {name} there still were millions in some round."
    if set(said) != set(right) or len(said) != len(right):
        return told + "One is missing: a million in every round with it, in none without."
    return told + "The right ones; the order is by the median of the ratios, the most first."


# -- 12.2: the sum ---------------------------------------------------------------------------------


class TwoLosses(NamedTuple):
    """What a broker takes for a million messages, and two losses, each for itself."""

    in_a_batch: int
    whole_s: float
    flushing_s: float
    """with an fsync for each batch"""
    one_by_one_s: float
    """without batches, and without flushes"""


def two_losses(lab: Lab) -> TwoLosses:
    """A learner's own, for exercise 12.2."""
    draw = lab.random("losses")
    whole_s = draw.randrange(3, 9) / 10
    flushes_s = draw.randrange(2, 30) / 10
    return TwoLosses(
        draw.choice((500, 1000, 2000, 4000)),
        whole_s,
        round(whole_s + flushes_s, 1),
        round(whole_s + draw.randrange(40, 120), 1),
    )


def _grade_losses(answer: Any, lab: Lab) -> Grade:
    batch, whole_s, flushing_s, single_s = two_losses(lab)
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return failed("Answer with a number of seconds.")
    flushes_s = flushing_s - whole_s
    right = single_s + flushes_s * batch
    if abs(answer - right) <= 0.01 * right:
        return passed("What costs once a batch costs once a message when there are no batches.")
    usual = {
        single_s + flushes_s: "That is the sum. How many flushes are there without batches?",
        whole_s * (flushing_s / whole_s) * (single_s / whole_s): "That is the product of the "
        "factors. What does one flush cost, and how many are there?",
        flushes_s * batch: "That is the flushing alone; what one by one costs comes on top.",
        flushing_s * batch: "Only the flushes come once a message, not all the rest.",
    }
    near = [hint for value, hint in usual.items() if abs(answer - value) <= 0.01 * value]
    return failed(near[0] if near else "What does one flush cost? How many are there in the end?")


# -- 12.3: who waits for whom ----------------------------------------------------------------------


class Chain(NamedTuple):
    """Processor microseconds that one message costs, each on a processor of its own."""

    client_us: float
    broker_us: float
    broker_copying_us: float


def chain(lab: Lab) -> Chain:
    """A learner's own, for exercise 12.3: copying may or may not make the broker the slower one."""
    draw = lab.random("chain")
    client_us = draw.randrange(40, 90) / 100
    broker_us = draw.randrange(10, 30) / 100
    return Chain(client_us, broker_us, round(broker_us + draw.randrange(15, 80) / 100, 2))


def _grade_chain(answer: Any, lab: Lab) -> Grade:
    client_us, direct_us, copying_us = chain(lab)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return failed("Answer with two rates: (with zero copy, without), in messages a second.")
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in answer):
        return failed("Both are numbers of messages a second.")
    right = [MILLION / max(client_us, broker_us) for broker_us in (direct_us, copying_us)]
    if _alike(answer, right):
        return passed("The slower of the two decides; what the other saves is not seen.")
    added = [MILLION / (client_us + broker_us) for broker_us in (direct_us, copying_us)]
    broker = [MILLION / broker_us for broker_us in (direct_us, copying_us)]
    if _alike(answer, added):
        return failed("They work at the same time, each on its own processor: nobody adds up.")
    if _alike(answer, broker):
        return failed("That is the broker alone. Who sends so many?")
    if _alike(answer, right[::-1]):
        return failed("The other way round: with zero copy first.")
    return failed("Who is the slower one, with zero copy, and without?")


def _alike(answer: Sequence[float], right: Sequence[float]) -> bool:
    return all(abs(a - b) <= 0.01 * b for a, b in zip(answer, right, strict=True))


EXERCISES: Final = (
    Exercise(
        "12.1",
        "the mechanisms that make the millions",
        _grade_rule,
        (
            "Two conditions, each over all rounds. What is the smallest rate with it, the largest "
            "without?",
            "It counts if min(with_it) >= 1_000_000 > max(without). Then put those that count in "
            "an order.",
            "sorted(names, key=lambda n: statistics.median(a / b for a, b in zip(*rates[n])), "
            "reverse=True)",
        ),
        takes_code=True,
    ),
    Exercise(
        "12.2",
        "two losses at once",
        _grade_losses,
        (
            "A flush costs the same whether there is one message in the batch or a thousand. How "
            "many flushes does a million messages take, before and after?",
            "With batches: 1,000,000 / in_a_batch flushes, and they cost what the loss costs. "
            "Without: a million of them.",
            "one_by_one_s + (flushing_s - whole_s) * in_a_batch",
        ),
    ),
    Exercise(
        "12.3",
        "who waits for whom",
        _grade_chain,
        (
            "Client and broker work at the same time. In a chain, who decides how much comes out?",
            "The slower one. A message every so many microseconds is how many in a second?",
            "(1e6 / max(client_us, broker_us), 1e6 / max(client_us, broker_copying_us))",
        ),
    ),
)
