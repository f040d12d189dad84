"""How many times as much each way costs as the one that does nothing: bars from 1 on.

The axis is logarithmic, for one way may cost half as much again and another fifty times as much;
a bar to the left of 1 costs less. What is known of a way besides its price stands behind its bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    INK,
    SENDER,
    TOTAL,
    Origin,
    Picture,
    in_words,
    new_picture,
    say_that_nothing_is_there,
    say_why_a_row_is_empty,
    significant,
    themed,
    whiskers,
)


class Multiple(NamedTuple):
    """A way, its price as a multiple (None with the reason why not), and what else is known."""

    name: str
    times: Spread | None
    remark: str = ""
    why_not: str = ""
    is_another: bool = False
    """a multiple of something else than the rest: said in its name, drawn in another hue"""


@themed
def multiples(rows: Sequence[Multiple], *, of: str, origin: Origin, title: str = "") -> Picture:
    """A bar for each way; `of` says what 1 stands for."""
    spreads = [row.times for row in rows if row.times]
    picture = new_picture(0.8 + 0.4 * max(len(rows), 1), title, origin.text(spreads))
    picture.alt = _in_words(rows, of, title)
    axes = picture.subplots()
    if not spreads:
        say_that_nothing_is_there(axes, "nothing was measured")
        return picture
    axes.set_xscale("log")
    low = min(0.5, *(value.low for value in spreads))
    high = max(value.high for value in spreads)
    axes.set_xlim(low, 8 * max(high, 10.0))  # room for the remarks
    for place, row in enumerate(rows):
        if row.times:
            _draw_row(axes, place, row, row.times)
        else:
            say_why_a_row_is_empty(axes, place, row.why_not)
    axes.axvline(1, color=INK, lw=1.2)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g} ×")
    axes.minorticks_off()
    axes.set_xlabel(f"broker CPU, as a multiple of {of} (shorter is cheaper)")
    axes.grid(True, axis="x")
    return picture


def _draw_row(axes: Axes, place: int, row: Multiple, times: Spread) -> None:
    hue = TOTAL if row.is_another else SENDER
    axes.barh(place, times.median - 1, 0.6, left=1, color=hue)
    axes.errorbar(
        times.median, place, xerr=whiskers([times]), ecolor=INK, elinewidth=1, capsize=2, fmt="none"
    )
    axes.annotate(
        f"{significant(times.median)} ×   {row.remark}".rstrip(),
        (max(times.high, 1), place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )


def _in_words(rows: Sequence[Multiple], of: str, title: str) -> str:
    told = [
        f"{row.name}: {row.times.text('times') if row.times else 'not here, ' + row.why_not}"
        f"{', ' + row.remark if row.remark else ''}."
        for row in rows
    ]
    return in_words(title, f"Broker CPU as multiples of {of}.", *told)
