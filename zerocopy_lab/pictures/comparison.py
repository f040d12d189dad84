"""Contestants side by side, and what was predicted beside what was measured.

Both are horizontal: names of strategies are long, and rows can grow in number without turning text
on its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    INK,
    QUIET,
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


class Guess(NamedTuple):
    """One question with a number for an answer: what the learner said (None: nothing) and what was
    then measured.
    """

    question: str
    predicted: float | None
    measured: Spread


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


@themed
def predicted_against_measured(
    guesses: Sequence[Guess], *, unit: str, origin: Origin, title: str = ""
) -> Picture:
    """Each question a row: a hollow diamond for the prediction, a dot with its range for the
    measurement, the factor.

    All answers share one `unit`. The axis is logarithmic as soon as the largest figure is 20 times
    the smallest.
    """
    picture = new_picture(
        1.05 + 0.5 * max(len(guesses), 1),
        title,
        origin.text(guess.measured for guess in guesses),
    )
    picture.alt = _guesses_in_words(guesses, unit, title)
    axes = picture.subplots()
    if not guesses:
        say_that_nothing_is_there(axes, "no predictions")
        return picture
    for place, guess in enumerate(guesses):
        _one_guess(axes, place, guess, first=place == 0)
    figures = [f for g in guesses for f in (g.predicted, g.measured.low, g.measured.high) if f]
    if figures and min(figures) > 0 and max(figures) > 20 * min(figures):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axes.set_xlim(min(figures) / 1.6, max(figures) * 1.6)
    else:
        axes.set_xlim(0, 1.1 * max([*figures, 1e-12]))
    axes.set_yticks(range(len(guesses)), [guess.question for guess in guesses])
    axes.set_ylim(len(guesses) - 0.5, -0.5)
    axes.set_xlabel(unit)
    axes.grid(True, axis="x")
    legend_above(axes)
    return picture


def _one_guess(axes: Axes, place: int, guess: Guess, *, first: bool) -> None:
    """One row. The factor stands outside the axes on the right, where no figure can run into it."""
    value = guess.measured
    axes.errorbar(
        [value.median],
        [place],
        xerr=whiskers([value]),
        fmt="o",
        color=SENDER,
        ecolor=SENDER,
        markersize=8,
        capsize=3,
        label="measured, with its range" if first else None,
    )
    if guess.predicted is not None:
        axes.plot(
            [guess.predicted, value.median], [place, place], color=QUIET, lw=0.9, ls=":", zorder=1
        )
    axes.plot(
        [] if guess.predicted is None else [guess.predicted],
        [] if guess.predicted is None else [place],
        marker="D",
        ls="none",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor="#D55E00",
        markeredgewidth=1.8,
        label="predicted" if first else None,
    )
    axes.text(
        1.01, place, _factor(guess), va="center", fontsize=8.5, transform=axes.get_yaxis_transform()
    )


def _factor(guess: Guess) -> str:
    """How far off, as a factor: people misjudge these by factors, not by differences."""
    if guess.predicted is None:
        return "no prediction"
    if guess.predicted <= 0 or guess.measured.median <= 0:
        return f"{significant(guess.predicted)} → {significant(guess.measured.median)}"
    factor = guess.predicted / guess.measured.median
    if guess.measured.low <= guess.predicted <= guess.measured.high or 0.9 < factor < 1.1:
        return "right"
    return f"{factor:.2g}× too high" if factor > 1 else f"{1 / factor:.2g}× too low"


def _guesses_in_words(guesses: Sequence[Guess], unit: str, title: str) -> str:
    told = [
        f"{guess.question}: "
        + ("" if guess.predicted is None else f"predicted {significant(guess.predicted)}, ")
        + f"measured {guess.measured.text(unit)}: {_factor(guess)}."
        for guess in guesses
    ]
    return in_words(title, "Predicted against measured.", *told)
