"""The exercises of lab 00: count the calls of a loop, judge seven rounds, write the judge."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.conformance.part import NotBegun
from zerocopy_lab.conformance.plain_values import NotPlain, plain
from zerocopy_lab.measuring.comparison import compare_pairs

Pairs = list[tuple[float, float]]
"""CPU seconds of the first and the second contestant, measured in the same round."""

WORDS: Final = ("cheaper", "dearer", "inconclusive")
_ROUNDS: Final = 7


# -- 00.1: calls of a loop -------------------------------------------------------------------------


class FileToSend(NamedTuple):
    """A learner's own numbers for exercise 00.1."""

    file_bytes: int
    chunk_bytes: int


def file_to_send(lab: Lab) -> FileToSend:
    """Drawn from the seed, so that neighbours have different answers."""
    draw = lab.random("file to send")
    chunk_bytes = draw.choice([4, 16, 64]) << 10
    return FileToSend(
        chunk_bytes * draw.randrange(1000, 9000) + draw.randrange(1, 999), chunk_bytes
    )


def _grade_calls(answer: Any, lab: Lab) -> Grade:
    file_bytes, chunk_bytes = file_to_send(lab)
    chunks = math.ceil(file_bytes / chunk_bytes)
    if answer == 2 * chunks:
        return passed("Each chunk is read and written, and the last one is shorter.")
    if answer == chunks:
        return failed("You counted one call per chunk. How does a chunk get out again?")
    if answer in (2 * (chunks - 1), 2 * file_bytes / chunk_bytes):
        return failed("Look at the last bytes: they are fewer than a chunk, and travel too.")
    return failed("Count the chunks first (the last may be short), then the calls for each.")


# -- 00.2 and 00.3: the rule -----------------------------------------------------------------------


def rounds_of(draw: random.Random) -> Pairs:
    """Seven rounds of two contestants, such that no rounding decides the verdict."""
    while True:
        kind = draw.choice(_KINDS)
        pairs = [_round(draw, ratio) for ratio in kind(draw)]
        if draw.random() < 0.5:
            pairs = [(second, first) for first, second in pairs]
        draw.shuffle(pairs)
        ratio = statistics.median(first / second for first, second in pairs)
        if not any(0.94 < each < 0.96 or 1.04 < each < 1.06 for each in (ratio, 1 / ratio)):
            return pairs


def _round(draw: random.Random, ratio: float) -> tuple[float, float]:
    """The pace of the machine differs from round to round, and it is the same for both."""
    second = 0.2 * draw.uniform(1, 1.7)
    return round(second * ratio, 4), round(second, 4)


Kind = Callable[[random.Random], list[float]]
"""Draws the ratios of some rounds."""


def _between(low: float, high: float, count: int = _ROUNDS) -> Kind:
    return lambda draw: [draw.uniform(low, high) for _ in range(count)]


_KINDS: Final[tuple[Kind, ...]] = (
    _between(0.3, 0.5),
    _between(0.8, 0.92),
    lambda draw: [*_between(0.75, 0.9, _ROUNDS - 1)(draw), draw.uniform(1.02, 1.1)],
    _between(0.965, 0.985),
    lambda draw: [math.exp(draw.gauss(0, 0.2)) for _ in range(_ROUNDS)],
)
"""Ratios: clear, all on one side, one against the rest, too little, noise."""


def seven_rounds(lab: Lab) -> Pairs:
    """A learner's own for exercise 00.2: the ranges overlap, whatever the verdict."""
    draw = lab.random("seven rounds")
    while True:
        pairs = rounds_of(draw)
        if _by_ranges(pairs) == "inconclusive":
            return pairs


def right_verdict(pairs: Pairs) -> str:
    """By the rule that every lab uses."""
    return compare_pairs("first", "second", "CPU", pairs).verdict


def _by_ranges(pairs: Pairs) -> str:
    first, second = zip(*pairs, strict=True)
    if max(first) < min(second):
        return "cheaper"
    return "dearer" if min(first) > max(second) else "inconclusive"


def _grade_verdict(answer: Any, lab: Lab) -> Grade:
    pairs = seven_rounds(lab)
    right = right_verdict(pairs)
    word = answer.strip().lower() if isinstance(answer, str) else ""
    if word == right:
        return passed("The pairs decide: neither the two medians nor the two ranges.")
    if word not in WORDS:
        return failed("Answer with one of the words 'cheaper', 'dearer', 'inconclusive'.")
    return failed(_what_is_overlooked(word, pairs, right))


def _what_is_overlooked(word: str, pairs: Pairs, right: str) -> str:
    if right == "inconclusive":
        ratios = [first / second for first, second in pairs]
        if min(ratios) < 1 < max(ratios):
            return "Not all seven rounds point the same way: look for the one that does not."
        return "All rounds point the same way, but by how much? Look at the median ratio."
    if word == "inconclusive":
        return (
            "You may have held the two ranges against each other. Both contestants ran in the same "
            "round, on the same slow or fast machine: divide round by round."
        )
    return "The other way round: the question is about the first of the two."


def _grade_judge(answer: Any, lab: Lab) -> Grade:
    if not callable(answer):
        return failed("The answer is a function: verdict(pairs) -> 'cheaper', 'dearer', ...")
    draw = lab.random("rounds to judge")
    for _ in range(_CASES):
        pairs = rounds_of(draw)
        right = right_verdict(pairs)
        word = _said(answer, pairs)
        if word != right:
            return failed(_wrong_words(word, pairs, right))
    return passed(
        f"{_CASES} experiments judged as the labs judge theirs. With the ranges alone, or the "
        "medians, many of them would have come out otherwise."
    )


_CASES: Final = 500


def _said(judge: Callable[[Pairs], object], pairs: Pairs) -> object:
    word = judge(list(pairs))
    if word is None:
        raise NotBegun
    try:
        return plain(word)
    except NotPlain:
        return f"an object of type {type(word).__name__}"


def _wrong_words(word: object, pairs: Pairs, right: str) -> str:
    ratios = ", ".join(f"{first / second:.2f}" for first, second in pairs)
    case = f"These seven rounds: {_shown(pairs)}. Their ratios: {ratios}. You answer {word!r}."
    if word not in WORDS:
        return f"{case} It takes one of {', '.join(WORDS)}."
    return f"{case} {_what_is_overlooked(str(word), pairs, right)}"


def _shown(pairs: Sequence[tuple[float, float]]) -> str:
    return ", ".join(f"({first:.3f}, {second:.3f})" for first, second in pairs)


EXERCISES = (
    Exercise(
        "00.1",
        "How many system calls does the loop need for your file?",
        _grade_calls,
        (
            "How many chunks has the file? What about its end?",
            "A chunk is read with one call, and written with another.",
            "2 * math.ceil(file_bytes / chunk_bytes)",
        ),
    ),
    Exercise(
        "00.2",
        "What is the verdict on your seven rounds?",
        _grade_verdict,
        (
            "Do not look at the columns, look at the lines: which of the two was cheaper, round by "
            "round?",
            "Divide first by second in each line. Are all seven below 1, or all above?",
            "All seven on the same side, and the median of the seven ratios off by 5 % or more: "
            "then 'cheaper' (below 1) or 'dearer'. Otherwise 'inconclusive'.",
        ),
    ),
    Exercise(
        "00.3",
        "Write the judge: a verdict from seven pairs.",
        _grade_judge,
        (
            "Make a list of seven ratios first. Two questions decide: which side, and how far?",
            "all(ratio < 1 for ratio in ratios) is the one, statistics.median(ratios) the other. "
            "Off by 5 % is below 1 / 1.05 or above 1.05.",
            "if all(r < 1 for r in ratios) and median <= 1 / 1.05: return 'cheaper'; the same with "
            "> 1 and >= 1.05 is 'dearer'; what is left is 'inconclusive'.",
        ),
        takes_code=True,
    ),
)
