"""Is one contestant cheaper than another, or is that noise? A verdict that is rarely wrong.

Measurements come in rounds, in each of which every contestant ran once, in shuffled order. So each
round gives one ratio between two contestants, and whatever disturbed the whole round (a neighbour,
a slower clock) cancels out. If the two were in truth alike, each ratio would be as likely above 1
as below, whatever the noise looks like: the shuffling sees to that.

| rounds | different only if all of these hold                                                  |
|--------|--------------------------------------------------------------------------------------|
| >= 7   | Wilcoxon's signed-rank test on the logarithms of the ratios, exact, says p <= 0.02;  |
|        | the median ratio is off by at least 5 %                                              |
| 3 to 6 | no test can be that sure with so few: all ratios must lie on the same side of 1, and |
|        | the nearest as far from it as they scatter (both on the logarithmic scale);          |
|        | the median ratio is off by at least 20 %                                             |

Otherwise the verdict is *inconclusive*, which is not "equal". The level of the test bounds the
false verdicts at 2 % for any noise; for few rounds that was found by simulation, with noise of 3 to
15 %, outliers, drift and two-speed machines. The least effect keeps out differences that are real
but come from the layout of memory rather than from the work.

Source of the test: F. Wilcoxon, "Individual comparisons by ranking methods", 1945; the exact
distribution of the rank sum is counted here, not approximated.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from zerocopy_lab.instruments.spread import Spread, spread

Verdict = Literal["cheaper", "dearer", "inconclusive"]

LEVEL: Final = 0.02
LEAST_EFFECT: Final = 0.05
LEAST_EFFECT_OF_FEW: Final = 0.20
ENOUGH_ROUNDS_FOR_A_TEST: Final = 7
FEWEST_ROUNDS: Final = 3


class Comparison(NamedTuple):
    """Is `first` cheaper than `second` in `figure`? `ratio`: first / second, per round."""

    verdict: Verdict
    first: str
    second: str
    figure: str
    ratio: Spread
    why: str

    def text(self) -> str:
        """One line for a table: the verdict with its ratio and its reason."""
        said = {"cheaper": "is cheaper than", "dearer": "is dearer than"}
        middle = said.get(self.verdict, "against")
        tail = "inconclusive: " if self.verdict == "inconclusive" else ""
        factor = self.ratio.text(digits=3)
        return f"{self.first} {middle} {self.second}: {tail}{self.figure} x {factor}; {self.why}"


def compare_pairs(
    first: str, second: str, figure: str, pairs: Sequence[tuple[float, float]]
) -> Comparison:
    """Compare from (first, second) measured in the same round; smaller is cheaper.

    Raises ValueError when there is no pair, or a figure is not positive: a ratio needs both.
    """
    if any(value <= 0 for pair in pairs for value in pair):
        raise ValueError(f"{figure} of {first} or {second} is not above 0 in every round: {pairs}")
    ratio = spread(a / b for a, b in pairs)
    doubt = _doubt(pairs, ratio)
    if doubt is not None:
        return Comparison("inconclusive", first, second, figure, ratio, doubt)
    verdict: Verdict = "cheaper" if ratio.median < 1 else "dearer"
    return Comparison(verdict, first, second, figure, ratio, _certainty(pairs))


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, exact: how often would chance alone do this?

    Differences of 0 speak for neither side and are left out; equal ones share their ranks' mean,
    rounded to the side that makes the test more cautious.
    """
    moved = sorted((value for value in differences if value), key=abs)
    ranks = [_mean_rank(moved, value) for value in moved]
    up = sum(rank for rank, value in zip(ranks, moved, strict=True) if value > 0)
    smaller = math.ceil(min(up, sum(ranks) - up))
    ways = _ways_to_reach_rank_sums(len(moved))
    return min(1.0, 2 * sum(ways[: smaller + 1]) / (1 << len(moved)))


def _doubt(pairs: Sequence[tuple[float, float]], ratio: Spread) -> str | None:
    """Why no difference may be claimed, or None."""
    if len(pairs) < FEWEST_ROUNDS:
        return f"{len(pairs)} rounds are too few, it takes {FEWEST_ROUNDS}"
    few = len(pairs) < ENOUGH_ROUNDS_FOR_A_TEST
    least = LEAST_EFFECT_OF_FEW if few else LEAST_EFFECT
    if abs(math.log(ratio.median)) < math.log(1 + least):
        return f"in the median round the two differ by less than {least:.0%}"
    if few:
        return None if _stand_off(_log_ratios(pairs)) else "the ratios scatter too much for so few"
    p = signed_rank_p(_log_ratios(pairs))
    return None if p <= LEVEL else f"too often chance alone would do this: {_how_often(p)}"


def _certainty(pairs: Sequence[tuple[float, float]]) -> str:
    if len(pairs) < ENOUGH_ROUNDS_FOR_A_TEST:
        return f"all {len(pairs)} rounds say so, with little scatter"
    p = signed_rank_p(_log_ratios(pairs))
    return f"chance alone would do this {_how_often(p)} of {len(pairs)} rounds"


def _how_often(p: float) -> str:
    """A p-value as people say it, never rounded towards certainty: `once in 64 experiments`."""
    return f"once in {math.floor(1 / p + 1e-9):,} experiments" if p < 1 else "in every experiment"


def _log_ratios(pairs: Sequence[tuple[float, float]]) -> list[float]:
    return [math.log(a / b) for a, b in pairs]


def _stand_off(log_ratios: Sequence[float]) -> bool:
    """All on one side of 0, and the nearest as far from it as they lie apart."""
    low, high = min(log_ratios), max(log_ratios)
    return low * high > 0 and min(abs(low), abs(high)) >= high - low


def _mean_rank(moved: Sequence[float], value: float) -> float:
    return statistics.fmean(rank for rank, other in enumerate(moved, 1) if abs(other) == abs(value))


def _ways_to_reach_rank_sums(n: int) -> list[int]:
    """In how many of the 2**n patterns of signs do the positive ranks sum to 0, 1, 2, …?"""
    ways = [1]
    for rank in range(1, n + 1):
        without, with_rank = ways + [0] * rank, [0] * rank + ways
        ways = [a + b for a, b in zip(without, with_rank, strict=True)]
    return ways
