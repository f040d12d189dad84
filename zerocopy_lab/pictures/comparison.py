"""Contestants side by side. Names of strategies are long, and rows can grow in number, so bars are
horizontal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    INK,
    RATE,
    SENDER,
    TOTAL,
    Origin,
    Picture,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    say_why_a_row_is_empty,
    significant,
    themed,
    whiskers,
)


class StrategyCost(NamedTuple):
    """What one strategy cost. CPU in seconds per GiB moved; `total` is the sender and the receiver
    together.
    """

    name: str
    sender_s_per_gib: Spread
    total_s_per_gib: Spread
    gib_per_s: Spread


class Missing(NamedTuple):
    """A contestant that did not run, and why: an empty row with a reason is honest, a missing row
    is not.
    """

    name: str
    why: str


@themed
def strategies_side_by_side(
    rows: Sequence[StrategyCost | Missing], *, origin: Origin, title: str = ""
) -> Picture:
    """Bars for CPU (sender, and sender with receiver) and for throughput, one row per strategy,
    ranges as whiskers.
    """
    ran = [row for row in rows if isinstance(row, StrategyCost)]
    picture = new_picture(
        1.25 + 0.46 * max(len(rows), 1),
        title,
        origin.text(value for row in ran for value in row[1:]),
    )
    picture.alt = _strategies_in_words(rows, title)
    cpu, rate = picture.subplots(1, 2, sharey=True, width_ratios=[1.55, 1])
    if not ran:
        for axes in (cpu, rate):
            say_that_nothing_is_there(axes, "no strategy ran")
        return picture
    for place, row in enumerate(rows):
        if isinstance(row, Missing):
            say_why_a_row_is_empty(cpu, place, row.why)
    at = [place for place, row in enumerate(rows) if isinstance(row, StrategyCost)]
    upper, lower = [place - 0.19 for place in at], [place + 0.19 for place in at]
    _bars(cpu, upper, [row.sender_s_per_gib for row in ran], SENDER, "sender")
    _bars(cpu, lower, [row.total_s_per_gib for row in ran], TOTAL, "sender and receiver together")
    _bars(rate, at, [row.gib_per_s for row in ran], RATE, "throughput")
    cpu.set_yticks(range(len(rows)), [row.name for row in rows])
    cpu.set_ylim(len(rows) - 0.45, -0.55)  # first row on top
    cpu.set_xlabel("CPU, seconds per GiB (shorter is cheaper)")
    rate.set_xlabel("throughput, GiB per second (longer is faster)")
    rate.tick_params(axis="y", length=0, labelleft=False)
    legend_above(cpu)
    return picture


def _bars(
    axes: Axes, places: Sequence[float], values: Sequence[Spread], hue: str, label: str
) -> None:
    """Bars to the medians, whiskers over the ranges, the median in figures where they end."""
    medians = [value.median for value in values]
    axes.barh(places, medians, height=0.36, color=hue, label=label)
    axes.errorbar(
        medians, places, xerr=whiskers(values), fmt="none", ecolor=INK, elinewidth=1, capsize=2
    )
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            significant(value.median),
            (value.high, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    room = 1.14 * max(value.high for value in values)  # for the figures
    axes.set_xlim(0, max(axes.get_xlim()[1], room))
    axes.grid(True, axis="x")


def _strategies_in_words(rows: Sequence[StrategyCost | Missing], title: str) -> str:
    told = [
        f"{row.name}: sender {row.sender_s_per_gib.text('s/GiB')}, with receiver "
        f"{row.total_s_per_gib.text('s/GiB')}, {row.gib_per_s.text('GiB/s')}."
        if isinstance(row, StrategyCost)
        else f"{row.name}: did not run here, {row.why}."
        for row in rows
    ]
    return in_words(title, "CPU and throughput per strategy.", *told)
