"""Where the bytes of a partition are: its segments as cells of pages that are in memory, dirty, on
their way out, or absent.

A cell stands for a fixed number of pages, and is filled in proportion: with 64 of 256 pages
resident it is a quarter full. So nothing is rounded to "resident" or "absent", and the counts that
went in can be read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from zerocopy_lab.pictures.theme import (
    ABSENT,
    DIRTY,
    QUIET,
    RESIDENT,
    RULE,
    WRITEBACK,
    Origin,
    Picture,
    byte_count,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    themed,
)

_STATES: Final = (
    ("writeback", WRITEBACK, "", "on its way to the disk"),
    ("dirty", DIRTY, "....", "dirty: only in memory"),
    ("clean", RESIDENT, "", "resident and clean"),
)
_ROW_HEIGHT: Final = 0.5


class PageCell(NamedTuple):
    """Some consecutive pages of a file, and how many of them are in which state (dirty and
    writeback are resident too).
    """

    pages: int
    resident: int
    dirty: int = 0
    writeback: int = 0

    def shares(self) -> dict[str, float]:
        """Fractions of the cell: writeback, dirty (and not yet on its way), clean. What is left is
        absent.
        """
        waiting = max(0, self.dirty - self.writeback)
        clean = max(0, self.resident - self.writeback - waiting)
        return {
            "writeback": self.writeback / self.pages,
            "dirty": waiting / self.pages,
            "clean": clean / self.pages,
        }


class SegmentPages(NamedTuple):
    """One file as a row of cells; all cells of a picture cover `cell_bytes`, the last one of a file
    maybe less.
    """

    name: str
    cells: tuple[PageCell, ...]


@themed
def residency_map(
    segments: Sequence[SegmentPages],
    *,
    cell_bytes: int,
    origin: Origin,
    title: str = "",
    why_empty: str = "",
) -> Picture:
    """Rows of cells, oldest segment on top. Where there are none, `why_empty` says why (nothing
    said: the files are empty).
    """
    picture = new_picture(1.1 + 0.5 * max(len(segments), 1), title, origin.text())
    picture.alt = _map_in_words(segments, title)
    axes = picture.subplots()
    if not any(segment.cells for segment in segments):
        say_that_nothing_is_there(axes, why_empty or "no pages: the files are empty")
        return picture
    longest = max(len(segment.cells) for segment in segments)
    scale, unit = (1 << 20, "MiB") if longest * cell_bytes >= 1 << 20 else (1 << 10, "KiB")
    width = cell_bytes / scale
    for row, segment in enumerate(segments):
        _draw_row(axes, row, segment, width)
    axes.set_xlim(0, longest * width)
    axes.set_ylim(len(segments) - 0.5, -0.4)
    axes.set_yticks(range(len(segments)), [segment.name for segment in segments])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"position in the file, {unit} (a cell is {byte_count(cell_bytes)})")
    legend_above(axes, _keys())
    return picture


def _keys() -> list[Patch]:
    return [
        Patch(facecolor=ABSENT, edgecolor=RULE, label="absent"),
        *(
            Patch(facecolor=hue, hatch=hatch, edgecolor=QUIET, lw=0.3, label=means)
            for _, hue, hatch, means in reversed(_STATES)
        ),
    ]


def _draw_row(axes: Axes, row: int, segment: SegmentPages, width: float) -> None:
    """The states stacked from the bottom of the row; the y axis points down, so heights are
    subtracted.
    """
    starts = [number * width for number in range(len(segment.cells))]
    floor = row + _ROW_HEIGHT / 2
    axes.bar(
        starts,
        [-_ROW_HEIGHT] * len(starts),
        width,
        floor,
        align="edge",
        color=ABSENT,
        edgecolor=RULE,
        lw=0.4,
    )
    bottoms = [floor] * len(starts)
    for state, hue, hatch, _ in _STATES:
        heights = [-_ROW_HEIGHT * cell.shares()[state] for cell in segment.cells]
        if any(heights):
            axes.bar(
                starts,
                heights,
                width,
                bottoms,
                align="edge",
                color=hue,
                hatch=hatch,
                edgecolor=QUIET,
                lw=0.3,
                label=state,
            )
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]


def _map_in_words(segments: Sequence[SegmentPages], title: str) -> str:
    told = []
    for segment in segments:
        pages, resident, dirty, writeback = (
            sum(getattr(cell, count) for cell in segment.cells) for count in PageCell._fields
        )
        told.append(
            f"{segment.name}: {resident} of {pages} pages resident, {dirty} dirty, "
            f"{writeback} under writeback."
        )
    return in_words(title, "Pages in memory, segment by segment.", *told)
