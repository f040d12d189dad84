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
    new_picture,
    say_that_nothing_is_there,
    significant,
    themed,
)


class Contestant(NamedTuple):
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
    rows: Sequence[Contestant | Missing], *, origin: Origin, title: str = ""
) -> Picture:
    """Bars for CPU (sender, and sender with receiver) and for throughput, one row per strategy,
    ranges as whiskers.
    """
    ran = [row for row in rows if isinstance(row, Contestant)]
    picture = new_picture(
        1.25 + 0.46 * max(len(rows), 1) + 0.25 * bool(title),
        title,
        origin.text(value for row in ran for value in row[1:]),
    )
    picture.alt = _strategies_in_words(rows, title)
    cpu, rate = picture.subplots(1, 2, sharey=True, width_ratios=[1.55, 1])
    if not ran:
        for axes in (cpu, rate):
            say_that_nothing_is_there(axes, "no strategy ran")
        return picture
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        if isinstance(row, Missing):
            cpu.text(
                0.01,
                place,
                f"not here: {row.why}",
                color=QUIET,
                va="center",
                fontsize=8,
                transform=cpu.get_yaxis_transform(),
            )
    ran_at = [place for place in places if isinstance(rows[place], Contestant)]
    _bars(
        cpu, [at - 0.19 for at in ran_at], [r.sender_s_per_gib for r in ran], SENDER, 0.36, "sender"
    )
    _bars(
        cpu,
        [at + 0.19 for at in ran_at],
        [r.total_s_per_gib for r in ran],
        TOTAL,
        0.36,
        "sender and receiver together",
    )
    _bars(rate, ran_at, [r.gib_per_s for r in ran], RATE, 0.5, "throughput")
    cpu.set_yticks(list(places), [row.name for row in rows])
    cpu.set_ylim(len(rows) - 0.45, -0.55)  # first row on top
    cpu.set_xlabel("CPU, seconds per GiB (shorter is cheaper)")
    rate.set_xlabel("throughput, GiB per second (longer is faster)")
    rate.tick_params(axis="y", length=0, labelleft=False)
    cpu.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, handlelength=1.2
    )
    return picture


def _bars(
    axes: Axes,
    places: Sequence[float],
    values: Sequence[Spread],
    hue: str,
    height: float,
    label: str,
) -> None:
    """Bars to the medians, whiskers over the ranges, and the median in figures where the whisker
    ends.
    """
    axes.barh(places, [v.median for v in values], height=height, color=hue, label=label)
    below = [v.median - v.low for v in values]
    above = [v.high - v.median for v in values]
    axes.errorbar(
        [v.median for v in values],
        places,
        xerr=[below, above],
        fmt="none",
        ecolor=INK,
        elinewidth=1.0,
        capsize=2,
    )
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            significant(value.median),
            (max(value.high, value.median), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xlim(
        0, max(axes.get_xlim()[1], 1.14 * max(v.high for v in values))
    )  # room for the figures
    axes.grid(True, axis="x")


def _strategies_in_words(rows: Sequence[Contestant | Missing], title: str) -> str:
    told = [
        f"{row.name}: sender {row.sender_s_per_gib.text('s/GiB')}, with receiver "
        f"{row.total_s_per_gib.text('s/GiB')}, {row.gib_per_s.text('GiB/s')}."
        if isinstance(row, Contestant)
        else f"{row.name}: did not run here, {row.why}."
        for row in rows
    ]
    return " ".join(
        [title + "." if title else "", "CPU and throughput per strategy.", *told]
    ).strip()


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
        1.05 + 0.5 * max(len(guesses), 1) + 0.25 * bool(title),
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
        axes.xaxis.set_major_formatter(lambda value, _: significant(value))
        axes.set_xlim(min(figures) / 1.6, max(figures) * 1.6)
    else:
        axes.set_xlim(0, 1.1 * max([*figures, 1e-12]))
    axes.set_yticks(range(len(guesses)), [guess.question for guess in guesses])
    axes.set_ylim(len(guesses) - 0.5, -0.5)
    axes.set_xlabel(unit)
    axes.grid(True, axis="x")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2)
    return picture


def _one_guess(axes: Axes, place: int, guess: Guess, *, first: bool) -> None:
    """One row. The factor stands outside the axes on the right, where no figure can run into it."""
    value = guess.measured
    axes.errorbar(
        [value.median],
        [place],
        xerr=[[value.median - value.low], [value.high - value.median]],
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
        f"{g.question}: predicted {'nothing' if g.predicted is None else significant(g.predicted)}, "
        f"measured {g.measured.text(unit)}: {_factor(g)}."
        for g in guesses
    ]
    return " ".join([title + "." if title else "", "Predicted against measured.", *told]).strip()
