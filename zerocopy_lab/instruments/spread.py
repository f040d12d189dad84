"""How far repeated measurements of one thing differ: the median, the extremes and how many there
were.

A single figure from one run says nothing about the next run. So no lab shows a duration without its
spread, and no verdict is drawn from two numbers that have none. The median and not the mean,
because a disturbance (an interrupt, a neighbour on the core) only ever makes work slower, and a
mean lets one such outlier speak for all the others.

The range (lowest to highest) widens with every repeat; it describes what was seen and is no
confidence interval. Whether two contestants differ is the business of `measuring.comparison`, which
uses the pairs and not just these summaries.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple


class Spread(NamedTuple):
    """Median and range of `n` measurements, all in the unit of the values that went in."""

    median: float
    low: float
    high: float
    n: int

    def text(self, unit: str = "", digits: int = 3) -> str:
        """For tables and captions, with significant digits: `0.265 s (0.251-0.301, n=7)`."""
        median, low, high = (_significant(value, digits) for value in self[:3])
        return f"{median}{' ' + unit if unit else ''} ({low}-{high}, n={self.n})"


def spread(values: Iterable[float]) -> Spread:
    """Sum up repeated measurements of one thing.

    Raises ValueError when there are none: a median of nothing would be an invented number.
    """
    measured = sorted(values)
    if not measured:
        raise ValueError("no measurements to sum up: nothing was run, or every run was refused")
    return Spread(statistics.median(measured), measured[0], measured[-1], len(measured))


def ratios(ones: Iterable[float], others: Iterable[float]) -> Spread:
    """One thing as a multiple of another, measured in the same rounds. Raises ValueError when one
    has more rounds, or neither has any.
    """
    return spread(one / other for one, other in zip(ones, others, strict=True))


def _significant(value: float, digits: int) -> str:
    """Plain decimals: a reader compares 0.0042 and 0.013 faster than 4.2e-03 and 1.3e-02."""
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    shown = f"{value:.{digits}g}"
    return shown if "e" not in shown else f"{value:.10f}".rstrip("0").rstrip(".")
