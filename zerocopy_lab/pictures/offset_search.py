"""How one offset is found: three views of the same log, each a magnification of the one above.

1. the names of the segment files say which of them holds the offset;
2. the entries of that segment's index say from where on to look;
3. a short walk over batch headers ends at the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch, Rectangle
from matplotlib.ticker import MaxNLocator

from zerocopy_lab.pictures.theme import (
    ABSENT,
    CPU,
    PAPER,
    QUIET,
    RESIDENT,
    SENDER,
    TOTAL,
    Origin,
    Picture,
    in_words,
    new_picture,
    themed,
)
from zerocopy_lab.records.batch import HEADER_BYTES

_TITLE: Final[dict[str, Any]] = {
    "pad": 16,
    "bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 1},  # over the magnifying lines
}


class OffsetRange(NamedTuple):
    """A segment or a batch: its first offset, and the one behind its last."""

    first: int
    end: int

    def holds(self, offset: int) -> bool:
        """Whether the offset is inside."""
        return self.first <= offset < self.end


@themed
def offset_search(
    offset: int,
    *,
    segments: Sequence[OffsetRange],
    entries: Sequence[int],
    walked: Sequence[OffsetRange],
    beyond: Sequence[OffsetRange],
    origin: Origin,
    title: str = "",
) -> Picture:
    """The way to `offset`. `entries` are the offsets in the index of the segment that holds it,
    `walked` the batches whose headers were read, the last of them holding the offset, `beyond` a
    few that were not read.

    Raises ValueError when no segment, or not the last of the walked batches, holds the offset.
    """
    home = next((segment for segment in segments if segment.holds(offset)), None)
    if home is None or not walked or not walked[-1].holds(offset):
        raise ValueError(f"offset {offset} is in none of the segments, or not in the last batch")
    picture = new_picture(4.3, title, origin.text())
    picture.alt = _in_words(offset, segments, home, entries, walked, title)
    names, index, batches = picture.subplots(3, 1)
    _draw_names(names, segments, home)
    _draw_index(index, home, entries, walked[0])
    _draw_batches(batches, walked, beyond)
    for axes in (names, index, batches):
        axes.plot([offset + 0.5], [1.12], marker="v", color=CPU, ms=8, clip_on=False, zorder=4)
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="x", labelsize=8)
        _label_offsets(axes)
    _magnify(picture, names, index, home)
    _magnify(picture, index, batches, OffsetRange(walked[0].first, (beyond or walked)[-1].end))
    batches.set_xlabel("offset")
    return picture


def _label_offsets(axes: Axes) -> None:
    """Whole offsets, on a ground of their own: the magnifying lines pass behind them."""
    low, high = axes.get_xlim()
    ticks = [at for at in MaxNLocator(7, integer=True).tick_values(low, high) if low <= at <= high]
    for label in axes.set_xticks(ticks, [f"{at:,.0f}" for at in ticks]):
        label.label1.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1})


def _draw_names(axes: Axes, segments: Sequence[OffsetRange], home: OffsetRange) -> None:
    for segment in segments:
        _block(axes, segment, SENDER if segment is home else ABSENT)
    axes.set_xlim(segments[0].first, segments[-1].end)
    axes.set_title(
        f"1  {len(segments)} file names: the offset is in {home.first:020d}.log", **_TITLE
    )


def _draw_index(
    axes: Axes, home: OffsetRange, entries: Sequence[int], started: OffsetRange
) -> None:
    """Entries as ticks; the one that was taken is the last at or before the batch that was read
    first.
    """
    _block(axes, home, PAPER)
    taken = [entry for entry in entries if started.holds(entry)]
    others = [entry for entry in entries if entry not in taken]
    axes.vlines([entry + 0.5 for entry in others], 0, 0.75, color=TOTAL, lw=1)
    axes.vlines([entry + 0.5 for entry in taken], 0, 1, color=SENDER, lw=2.6)
    axes.set_xlim(home.first, home.end)
    told = f"an entry for {taken[0]:,}" if taken else "no entry before it: from the start"
    axes.set_title(f"2  {len(entries):,} index entries: {told}", **_TITLE)


def _draw_batches(axes: Axes, walked: Sequence[OffsetRange], beyond: Sequence[OffsetRange]) -> None:
    for batch in walked[:-1]:
        _block(axes, batch, RESIDENT)
    _block(axes, walked[-1], SENDER)
    for batch in beyond:
        _block(axes, batch, ABSENT)
    axes.set_xlim(walked[0].first, (beyond or walked)[-1].end)
    axes.set_title(
        f"3  batch headers read: {len(walked)}, {HEADER_BYTES * len(walked)} bytes", **_TITLE
    )


def _block(axes: Axes, place: OffsetRange, hue: str) -> None:
    width = place.end - place.first
    axes.add_patch(Rectangle((place.first, 0), width, 1, facecolor=hue, edgecolor=QUIET, lw=0.6))


def _magnify(picture: Picture, above: Axes, below: Axes, part: OffsetRange) -> None:
    """Two lines from the part above to the whole of the axes below."""
    for x, corner in ((part.first, 0.0), (part.end, 1.0)):
        line = ConnectionPatch(
            xyA=(x, 0),
            coordsA=above.transData,
            xyB=(corner, 1),
            coordsB=below.transAxes,
            color=QUIET,
            lw=0.7,
            ls=":",
        )
        line.set_in_layout(False)
        line.set_zorder(-1)  # under the titles
        picture.add_artist(line)


def _in_words(
    offset: int,
    segments: Sequence[OffsetRange],
    home: OffsetRange,
    entries: Sequence[int],
    walked: Sequence[OffsetRange],
    title: str,
) -> str:
    return in_words(
        title,
        f"Offset {offset}: of {len(segments)} segments the one from {home.first} holds it.",
        f"Its index has {len(entries)} entries.",
        f"Batch headers read, from offset {walked[0].first} on: {len(walked)}. The last is that of "
        f"the batch from {walked[-1].first} to {walked[-1].end - 1}.",
    )
