"""Two curves: what a message costs by its size, and what latency a higher throughput is paid with.

The first shows where one strategy overtakes another as messages grow, the second what batching
trades. Both are logarithmic both ways: the sizes span decades, and so do the answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    DASHES,
    MARKERS,
    QUIET,
    RULE,
    SERIES,
    Origin,
    Picture,
    byte_count,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    themed,
    whiskers,
)


class Curve(NamedTuple):
    """One contestant: (size in bytes, what a message of that size cost), in growing size."""

    name: str
    points: tuple[tuple[int, Spread], ...]


class Setting(NamedTuple):
    """One way to run (a batch size, a linger): what it achieved, and what a record had to wait."""

    label: str
    messages_per_s: float
    latency_ms: Spread


@themed
def crossover(
    curves: Sequence[Curve],
    *,
    unit: str,
    origin: Origin,
    between: tuple[float, float] | None = None,
    size_of: str = "a message",
    title: str = "",
) -> Picture:
    """Cost of one message (or of whatever `size_of` names) against its size, a line and a band of
    its range per contestant.

    `between` marks the sizes (bytes) between which the order changes, when the caller found that
    the ranges say so.
    """
    curves = [curve for curve in curves if curve.points]
    spreads = [value for curve in curves for _, value in curve.points]
    picture = new_picture(3.7, title, origin.text(spreads))
    picture.alt = _in_words(curves, unit, between, title, size_of)
    axes = picture.subplots()
    if not curves:
        say_that_nothing_is_there(axes, "no message size was measured")
        return picture
    _both_logarithmic(axes)
    for number, curve in enumerate(curves):
        _draw_curve(axes, number, curve)
    if between:
        _draw_change(axes, between)
    sizes = sorted({size for curve in curves for size, _ in curve.points})
    _enough_ticks(axes.yaxis, [value.median for value in spreads])
    ticks = sizes[:: -(-len(sizes) // 12)]
    axes.set_xticks(ticks, [byte_count(size) for size in ticks])
    axes.set_xlabel(f"size of {size_of}")
    axes.set_ylabel(unit)
    legend_above(axes, gap=1.7 if between else 0.2)  # room for the words over the change
    return picture


def _draw_curve(axes: Axes, number: int, curve: Curve) -> None:
    """Hue, marker and dashes all differ: any two of the three may be lost on paper."""
    sizes = [size for size, _ in curve.points]
    values = [value for _, value in curve.points]
    hue = SERIES[number % len(SERIES)]
    axes.fill_between(
        sizes, [v.low for v in values], [v.high for v in values], color=hue, alpha=0.18, lw=0
    )
    axes.plot(
        sizes,
        [value.median for value in values],
        color=hue,
        marker=MARKERS[number % len(MARKERS)],
        ls=DASHES[number % len(DASHES)],
        markersize=5,
        lw=1.6,
        label=curve.name,
    )


def _draw_change(axes: Axes, between: tuple[float, float]) -> None:
    axes.axvspan(*between, color=RULE, alpha=0.45, lw=0)
    axes.text(
        (between[0] * between[1]) ** 0.5,  # the middle, on a logarithmic axis
        1.0,
        "order changes here",
        ha="center",
        va="bottom",
        color=QUIET,
        fontsize=8,
        transform=axes.get_xaxis_transform(),
    )


def _both_logarithmic(axes: Axes) -> None:
    """Decades on both axes, written out: a learner should not have to read 10 to the fifth."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(True)


def _enough_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Within a decade or so its powers alone would be a single tick."""
    if max(values) < 30 * min(values):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def _in_words(
    curves: Sequence[Curve],
    unit: str,
    between: tuple[float, float] | None,
    title: str,
    size_of: str,
) -> str:
    told = [
        f"{curve.name}: "
        + ", ".join(f"{value.text(unit)} at {byte_count(size)}" for size, value in curve.points)
        + "."
        for curve in curves
    ]
    change = ""
    if between:
        change = f"The order changes between {byte_count(between[0])} and {byte_count(between[1])}."
    return in_words(title, f"By the size of {size_of}.", *told, change)


def _are_neighbours(values: Sequence[float], number: int) -> bool:
    """Whether a value is so near the one before, on a logarithmic axis, that words would meet."""
    if max(values) == min(values):
        return True
    distance = math.log(values[number] / values[number - 1])
    return abs(distance) < 0.12 * math.log(max(values) / min(values))


@themed
def latency_against_throughput(
    settings: Sequence[Setting], *, origin: Origin, title: str = ""
) -> Picture:
    """A point per setting, joined in the order given: right is more messages, up a longer wait."""
    waits = [setting.latency_ms for setting in settings]
    picture = new_picture(3.6, title, origin.text(waits))
    picture.alt = in_words(
        title,
        "Latency against throughput.",
        *(
            f"{setting.label}: {setting.messages_per_s:,.0f} messages/s, "
            f"{setting.latency_ms.text('ms')}."
            for setting in settings
        ),
    )
    axes = picture.subplots()
    if not settings:
        say_that_nothing_is_there(axes, "no setting was measured")
        return picture
    rates = [setting.messages_per_s for setting in settings]
    medians = [wait.median for wait in waits]
    _both_logarithmic(axes)
    axes.errorbar(
        rates, medians, yerr=whiskers(waits), color=SERIES[0], marker="o", lw=1.2, capsize=3
    )
    for number, setting in enumerate(settings):
        # Below and to the right: the line to the next point leaves upwards. Beside another point's
        # words, on the other side.
        is_crowded = (
            number > 0 and _are_neighbours(rates, number) and _are_neighbours(medians, number)
        )
        axes.annotate(
            setting.label,
            (rates[number], medians[number]),
            xytext=(-7, 8) if is_crowded else (7, -11),
            ha="right" if is_crowded else "left",
            textcoords="offset points",
            fontsize=8,
        )
    _enough_ticks(axes.xaxis, rates)
    _enough_ticks(axes.yaxis, medians)
    axes.margins(0.14, 0.18)
    axes.set_xlabel("messages per second")
    axes.set_ylabel("latency of one record, ms")
    return picture
