"""Which pages of a log are in memory, moment by moment, and where everybody is in it meanwhile.

Time runs to the right, the log grows upwards. Each look at the page cache is a column of cells;
each cell, some consecutive pages, has the mixed hues of its pages' states. On top are the lines of
those who write and read: where a line runs over absent pages, somebody had to wait for the device.
The axes are those of the whole story from the first look on, so that a picture that is drawn again
and again while the story goes on does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Stroke, withStroke

from zerocopy_lab.pictures.memory_over_time import Moment, draw_moments
from zerocopy_lab.pictures.residency_map import PageCell
from zerocopy_lab.pictures.theme import (
    ABSENT,
    ALIAS,
    DIRTY,
    INK,
    PAPER,
    RESIDENT,
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
)

_MIB: Final = 1 << 20
_LINES: Final[tuple[tuple[str, float, Any], ...]] = (
    (INK, 3.4, "-"),  # the first two run side by side: a broad line under a narrow, broken one
    (ALIAS, 1.5, (0, (3, 2))),
    (SERIES[4], 2.6, "-"),
)
"""Hue, width and dashes by the order in which people are named."""


class Look(NamedTuple):
    """One look: the log's cells from its first byte on, and everybody's place in bytes (None: not
    there yet).
    """

    at_s: float
    cells: tuple[PageCell, ...]
    places: tuple[int | None, ...]


@themed
def pages_over_time(
    looks: Sequence[Look],
    *,
    cell_bytes: int,
    who: Sequence[str],
    until_s: float,
    until_bytes: int,
    origin: Origin,
    moments: Sequence[Moment] = (),
    title: str = "",
) -> Picture:
    """The cells of all looks, the lines of up to three people, and dotted moments.

    `who` names the lines in the order of `places`. `until_s` and `until_bytes` are the ends of the
    axes.
    """
    picture = new_picture(4.4, title, origin.text())
    picture.alt = _in_words(looks, who, moments, title)
    axes = picture.subplots()
    if not looks:
        say_that_nothing_is_there(axes, "no look at the page cache")
        return picture
    _draw_cells(axes, looks, cell_bytes / _MIB, until_s)
    for number, _ in enumerate(who):
        _draw_line(axes, looks, number)
    draw_moments(axes, moments)
    axes.set_xlim(0, until_s)
    axes.set_ylim(0, 1.16 * until_bytes / _MIB)  # room for the moments' names
    axes.set_xlabel("seconds")
    axes.set_ylabel("position in the log, MiB")
    legend_above(axes, _keys(who), columns=6)
    return picture


def _draw_cells(axes: Axes, looks: Sequence[Look], cell_mib: float, until_s: float) -> None:
    """A column for each look, from half-way since the one before to half-way to the next."""
    tallest = max(len(look.cells) for look in looks)
    hues = np.ones((tallest, len(looks), 3))
    for column, look in enumerate(looks):
        for row, cell in enumerate(look.cells):
            hues[row, column] = _hue(cell)
    times = [look.at_s for look in looks]
    middles = [(a + b) / 2 for a, b in pairwise(times)]
    edges = [0.0, *middles, min(until_s, 2 * times[-1] - middles[-1]) if middles else until_s]
    axes.pcolorfast(np.array(edges), np.arange(tallest + 1) * cell_mib, hues)


def _hue(cell: PageCell) -> tuple[float, ...]:
    """The states' hues, mixed by their shares of the cell. Writeback still counts as dirty."""
    shares = cell.shares()
    dirty, clean = shares["dirty"] + shares["writeback"], shares["clean"]
    parts = ((1 - dirty - clean, ABSENT), (clean, RESIDENT), (dirty, DIRTY))
    return tuple(sum(part * to_rgb(hue)[at] for part, hue in parts) for at in range(3))


def _draw_line(axes: Axes, looks: Sequence[Look], number: int) -> None:
    """One person's way, cased in white so that it stands out from whatever it crosses."""
    way = [(look.at_s, at / _MIB) for look in looks if (at := look.places[number]) is not None]
    if not way:
        return
    hue, width, dashes = _LINES[number]
    casing = [] if hue == ALIAS else [withStroke(linewidth=width + 1.6, foreground=PAPER)]
    times, positions = [at for at, _ in way], [position for _, position in way]
    axes.plot(times, positions, color=hue, lw=width, ls=dashes, path_effects=casing)
    axes.plot(times[-1:], positions[-1:], marker="o", ms=5, color=hue, mec=INK, clip_on=False)


def _keys(who: Sequence[str]) -> list[Patch | Line2D]:
    meanings = [(ABSENT, "absent"), (RESIDENT, "in memory"), (DIRTY, "only in memory (dirty)")]
    patches = [Patch(facecolor=hue, edgecolor=RULE, label=means) for hue, means in meanings]
    lines = []
    for (hue, width, dashes), name in zip(_LINES, who, strict=False):
        dark = [Stroke(linewidth=3.4, foreground=INK), Stroke()] if hue == ALIAS else []
        lines.append(Line2D([], [], color=hue, lw=width, ls=dashes, label=name, path_effects=dark))
    return [*patches, *lines]


def _in_words(
    looks: Sequence[Look], who: Sequence[str], moments: Sequence[Moment], title: str
) -> str:
    told = [_look_in_words(look, who) for look in (*looks[:1], *looks[1:][-1:])]
    told += [f"At {moment.at_s:.3g} s: {moment.what}." for moment in moments]
    return in_words(title, f"Pages of a log in memory over time, {len(looks)} looks.", *told)


def _look_in_words(look: Look, who: Sequence[str]) -> str:
    pages, resident, dirty = (
        sum(getattr(cell, count) for cell in look.cells) for count in PageCell._fields[:3]
    )
    places = [
        f"{name} at {byte_count(at)}"
        for name, at in zip(who, look.places, strict=True)
        if at is not None
    ]
    return (
        f"At {look.at_s:.3g} s {resident} of {pages} pages are resident, {dirty} dirty; "
        f"{', '.join(places)}."
    )
