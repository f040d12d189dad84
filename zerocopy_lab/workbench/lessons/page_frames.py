"""The pages of a segment at one moment, summed up in cells for a picture."""

from __future__ import annotations

from pathlib import Path

from zerocopy_lab.instruments.page_residency import PageMap, page_map
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.pictures.residency_map import PageCell, SegmentPages

CELLS = 64


def frame_of(moment: str, segment: Path) -> SegmentPages:
    """What of the segment is in memory now; no cells where the kernel does not tell."""
    try:
        return SegmentPages(moment, cells_of(page_map(segment)))
    except Unavailable:
        return SegmentPages(moment, ())


def cells_of(pages: PageMap) -> tuple[PageCell, ...]:
    """A page map summed up in CELLS cells."""
    per_cell = _pages_per_cell(len(pages.resident))
    return tuple(
        PageCell(
            len(pages.resident[at : at + per_cell]),
            sum(pages.resident[at : at + per_cell]),
            sum(pages.dirty[at : at + per_cell]) if pages.dirty is not None else 0,
        )
        for at in range(0, len(pages.resident), per_cell)
    )


def _pages_per_cell(pages: int) -> int:
    return max(1, -(-pages // CELLS))


def share_of(frame: SegmentPages, state: str) -> float:
    """The share of a frame's pages in that state: `resident`, `dirty`."""
    pages = sum(cell.pages for cell in frame.cells)
    return sum(getattr(cell, state) for cell in frame.cells) / pages if pages else 0.0
