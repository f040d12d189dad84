"""What is left of a rate when one mechanism at a time is taken away: a dot for each, on a line of
powers of ten, beside the line that the rate is held against.

Two panels share their rows: the same rung, two ways of asking. A row without a dot plays no part
there, and says so. Markers differ in shape and hue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    INK,
    MARKERS,
    PAPER,
    QUIET,
    SERIES,
    Origin,
    Picture,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    significant,
    themed,
)

_APART = 0.16


class Panel(NamedTuple):
    """One way of asking: series -> row -> what was measured."""

    title: str
    series: Mapping[str, Mapping[str, Spread]]


@themed
def ablation(
    rows: Sequence[str],
    panels: Sequence[Panel],
    *,
    unit: str,
    mark: float,
    mark_name: str,
    origin: Origin,
    title: str = "",
    absent: str = "plays no part",
) -> Picture:
    """A row for each name, the whole first; `mark` is the value that a line stands for."""
    spreads = [
        value for panel in panels for each in panel.series.values() for value in each.values()
    ]
    picture = new_picture(1.3 + 0.42 * max(len(rows), 1), title, origin.text(spreads))
    picture.alt = _in_words(rows, panels, unit, title, absent)
    all_axes = picture.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    if not spreads:
        say_that_nothing_is_there(all_axes[0], "nothing was measured")
        picture.alt = in_words(title, "Nothing was measured.")
        return picture
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_panel(axes, panel, rows, absent)
        axes.axvline(mark, color=INK, lw=1.2)
        axes.set_xscale("log")
        axes.set_ylim(len(rows) - 0.45, -1.05)
        axes.annotate(mark_name, (mark, -0.8), xytext=(3, 0), textcoords="offset points",
                      fontsize=8, va="center")  # fmt: skip
        axes.set_xlabel(f"{panel.title}, {unit}")
        axes.grid(True, axis="both")
    all_axes[0].set_yticks(range(len(rows)), rows)
    all_axes[0].set_title(" ")  # the room for the legend, which is wider than its axes
    most = max(zip(all_axes, panels, strict=True), key=lambda each: len(each[1].series))[0]
    legend_above(all_axes[0], most.get_legend_handles_labels()[0], gap=0.4)
    all_axes[0].get_legend().set_in_layout(False)
    return picture


def _draw_panel(axes: Axes, panel: Panel, rows: Sequence[str], absent: str) -> None:
    middle = (len(panel.series) - 1) / 2
    for number, (name, by_row) in enumerate(panel.series.items()):
        there = [(place, by_row[row]) for place, row in enumerate(rows) if row in by_row]
        axes.errorbar(
            [value.median for _, value in there],
            [place + _APART * (number - middle) for place, _ in there],
            xerr=[
                [value.median - value.low for _, value in there],
                [value.high - value.median for _, value in there],
            ],
            fmt=MARKERS[number],
            color=SERIES[number],
            ecolor=SERIES[number],
            elinewidth=1,
            capsize=2,
            markersize=5,
            label=name,
        )
    for place, row in enumerate(rows):
        if not any(row in by_row for by_row in panel.series.values()):
            axes.text(
                0.03, place, absent, color=QUIET, va="center", fontsize=8,
                transform=axes.get_yaxis_transform(), backgroundcolor=PAPER,
            )  # fmt: skip


def _in_words(
    rows: Sequence[str], panels: Sequence[Panel], unit: str, title: str, absent: str
) -> str:
    told = []
    for panel in panels:
        said = []
        for row in rows:
            figures = [
                f"{name} {significant(each[row].median)}"
                for name, each in panel.series.items()
                if row in each
            ]
            said.append(f"{row.replace(chr(10), ' ')}: {', '.join(figures) or absent}")
        told.append(f"{panel.title} ({unit}): {'; '.join(said)}.")
    return in_words(title, *told)
