"""Does a run agree with one that was published?

    python -m ci.bench --against data/bench.json [SECTION ...]

Held against each other are the ratios, where a row has one. Two marks, and both are told:

- the ranges touch;
- the new median lies within the old range.

Neither is owed. Of n old and m new rounds that differ by nothing but chance, each order is equally
likely: all of one lie below all of the other in 2 of binomial(n + m, n), which is 1 in 10 for
three and three; and the new median lies outside in 2 of 5. So what chance alone would give is said
beside what was found, and rows beyond that have changed: the code, or the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from ci.bench.figures import Figures, Row
from ci.bench.pages import control_of
from zerocopy_lab.instruments.spread import Spread


def agreement(runs: Sequence[Figures], published: Sequence[Figures]) -> str:
    """In words, for each congestion control that both know; named are the rows that do not touch,
    and those of one round only with how many times the old figure the new one is.
    """
    before = {control_of(run): run for run in published}
    told = [
        f"under {control}: {_agreement(run, before[control])}"
        for run in runs
        if (control := control_of(run)) in before
    ]
    return "\n".join(told) or "nothing was published under the same congestion control"


def chance_that_ranges_touch(n: int, m: int) -> float:
    """Of n and m values of one distribution."""
    return 1 - 2 / comb(n + m, n)


def chance_that_median_is_inside(n: int, m: int) -> float:
    """Of m values within the range of n others of one distribution; exact for odd m."""
    least = m // 2 + 1
    return 1 - 2 * comb(n + m - least, n) / comb(n + m, n)


def _agreement(run: Figures, published: Figures) -> str:
    old = {(row.table, row.name): row.compared for row in published.rows}
    pairs = [
        (row, old[row.table, row.name], row.compared)
        for row in run.rows
        if (row.table, row.name) in old
    ]
    several = [each for each in pairs if min(each[1].n, each[2].n) > 1]
    touch = [each for each in several if _touch(each[1], each[2])]
    inside = [each for each in several if each[1].low <= each[2].median <= each[1].high]
    counts = [(before.n, after.n) for _, before, after in several]
    by_chance = sum(chance_that_ranges_touch(*each) for each in counts)
    inside_by_chance = sum(chance_that_median_is_inside(*each) for each in counts)
    lines = [
        f"of {len(several)} rows of several rounds the ranges of {len(touch)} touch (by chance "
        f"{by_chance:.0f}); of {len(inside)} the new median is in the old range (by chance "
        f"{inside_by_chance:.0f})"
    ]
    lines += [_line("apart", *each) for each in several if each not in touch]
    lines += [
        _line(f"one round, {after.median / before.median:.2f} times", row, before, after)
        for row, before, after in pairs
        if min(before.n, after.n) == 1
    ]
    return "\n".join(lines)


def _touch(one: Spread, other: Spread) -> bool:
    return one.low <= other.high and other.low <= one.high


def _line(word: str, row: Row, before: Spread, after: Spread) -> str:
    return f"  {word}: {row.table}, {row.name}: {before.text()} then, {after.text()} now"
