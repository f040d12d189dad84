"""The exercises of lab 10: where the order changes, what a cipher takes, where copies come back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed, tried
from zerocopy_lab.classroom.lab import Lab

_TABLES: Final = 60
Costs = Mapping[int, tuple[list[float], list[float]]]


def costs_with(draw: random.Random, first_cheaper: int | None, sizes: list[int]) -> Costs:
    """A table in which sendfile is cheaper in every round from the size with this index on.

    Below it sendfile is dearer in at least one round, and cheaper by the medians now and then.
    """
    table = {}
    for index, size in enumerate(sizes):
        copying = [draw.uniform(1, 9) for _ in range(3)]
        wins = first_cheaper is not None and index >= first_cheaper
        factors = [draw.uniform(0.3, 0.95) for _ in copying]
        if not wins:
            last_before = first_cheaper is None or index == first_cheaper - 1
            lost = draw.choice((1, 2, 3) if last_before else (0, 1, 2, 3))
            for place in draw.sample(range(3), lost):
                factors[place] = draw.uniform(1.05, 3)
        table[size] = (copying, [a * b for a, b in zip(copying, factors, strict=True)])
    return table


def _grade_crossover(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("tables")
    return tried(
        answer,
        "crossover(costs) -> size or -1",
        (_drawn_table(draw) for _ in range(_TABLES)),
        _wrong_size,
        f"{_TABLES} tables, in any order of sizes, with and without a crossover.",
    )


def _drawn_table(draw: random.Random) -> tuple[tuple[Costs], int]:
    """A table, and its answer."""
    sizes = sorted(draw.sample([1 << power for power in range(6, 21)], draw.randrange(2, 7)))
    index = draw.choice([None, *range(len(sizes))])
    items = list(costs_with(draw, index, sizes).items())
    draw.shuffle(items)
    return (dict(items),), -1 if index is None else sizes[index]


def _wrong_size(said: Any, right: int, table: Costs) -> str | None:
    if said == right and isinstance(said, float):
        return None
    rounded = {
        size: [[round(each, 2) for each in side] for side in sides]
        for size, sides in sorted(table.items())
    }
    hint = f"costs were {rounded}; you said {said!r}. "
    if said == -1:
        return hint + "There is a size from which on sendfile wins every round."
    if said not in table:
        return hint + "Answer with one of the sizes, or -1."
    if right == -1 or said < right:
        return hint + "At that size or above it, sendfile lost a round."
    return hint + "It wins every round from a smaller size on. Are the sizes in order?"


class TlsPrices(NamedTuple):
    """CPU seconds for a GiB, as somebody measured them."""

    sendfile: float
    copying_in_records: float
    tls: float


def prices(lab: Lab) -> TlsPrices:
    """A learner's own for exercise 10.2."""
    draw = lab.random("prices")
    direct = draw.randrange(5, 20) / 100
    copying = round(direct + draw.randrange(10, 40) / 100, 2)
    return TlsPrices(direct, copying, round(copying + draw.randrange(20, 90) / 100, 2))


def _grade_share(answer: Any, lab: Lab) -> Grade:
    direct, copying, tls = prices(lab)
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return failed("Answer with a number of percent.")
    right = 100 * (tls - copying) / (tls - direct)
    usual = {
        100 * (tls - copying) / tls: "Percent of what TLS costs more, not of all that it costs.",
        100 * (copying - direct) / (tls - direct): "That is the other part: the lost zero copy.",
        right / 100: "In percent.",
    }
    if abs(answer - right) <= 0.6:
        return passed("The rest is the lost zero copy: a card that encrypts brings both back.")
    near = [hint for value, hint in usual.items() if abs(answer - value) <= 0.6]
    return failed(near[0] if near else "Which two ways differ by the cipher alone?")


_COPIED: Final = {"tls", "card without sg"}
_PLACES: Final = _COPIED | {"tmpfs", "overlay", "64 bytes"}


def _grade_places(answer: Any, lab: Lab) -> Grade:
    if not isinstance(answer, set | list | tuple):
        return failed('Answer with a set of words, for example {"tmpfs"}.')
    chosen = {str(each).strip().lower() for each in answer}
    if unknown := chosen - _PLACES:
        return failed(f"{sorted(unknown)[0]!r} is none of the five.")
    if chosen == _COPIED:
        return passed(
            "64 bytes are not copied either: they only cost more to pass on than to copy."
        )
    if "64 bytes" in chosen:
        return failed("What is dear is not yet a copy: run the alias test with 64 bytes.")
    if chosen - _COPIED:
        return failed(f"Not {sorted(chosen - _COPIED)[0]}: what arrived in the table above?")
    return failed(
        "One is missing: whose bytes leave, if not the file's?"
        if "tls" not in chosen
        else "One is missing: lab 09 switched something off."
    )


EXERCISES = (
    Exercise(
        "10.1",
        "From which size on is sendfile the cheaper one, in every round?",
        _grade_crossover,
        (
            "A size counts only if sendfile wins all of its rounds, and all rounds of every larger "
            "size. The dict is in no order.",
            "Go through sorted(costs, reverse=True) and stop at the first size at which a round is "
            "lost; the one before it is the answer, -1 if there was none.",
            "all(b < a for a, b in zip(copying, direct)) says whether it wins every round.",
        ),
        takes_code=True,
    ),
    Exercise(
        "10.2",
        "How many percent of what TLS costs more are the cipher's?",
        _grade_share,
        (
            "More than what? Than sendfile.",
            "The cipher (and its records) is what TLS costs more than copying in pieces of the "
            "same size.",
            "100 * (tls - copying_in_records) / (tls - sendfile)",
        ),
    ),
    Exercise(
        "10.3",
        "Where does somebody copy, although the program calls for no copy?",
        _grade_places,
        (
            "Three of the five were put to the alias test in this lab, one in lab 09.",
            "What TLS sends are not the file's bytes. What a card cannot gather must lie in one "
            "place.",
            "For 64 bytes, change the 8192 in the cell on /dev/shm.",
        ),
    ),
)
