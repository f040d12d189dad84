"""Bytes as they lie in a file, coloured field by field, beside the index entry that leads to them.

Sixteen bytes a row, as in every hex dump; the frame of a field and its line in the list say where
it begins and ends, its hue what kind of field it is. The index entry is drawn under the bytes with
a line to where its position points.

The fields are those of `records.fields`, or any others of the same shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from zerocopy_lab.pictures.theme import (
    INK,
    PAPER,
    QUIET,
    Origin,
    Picture,
    centered,
    in_words,
    new_picture,
    readable_on,
    say_that_nothing_is_there,
    themed,
)
from zerocopy_lab.records.fields import Field

BYTES_PER_ROW: Final = 16
_ROW_INCHES: Final = 0.26
KINDS: Final = {
    "broker": "#0060A0",  # written by the broker: patched, outside the CRC, and its index
    "length": "#8CC8F0",  # how long, how many, how far
    "check": "#C45500",  # what it is, and whether it is whole
    "time": "#F0E442",
    "producer": "#6A1B4D",
    "content": "#F1F1F1",
    "singled out": INK,
}
_KIND_OF: Final = {
    **dict.fromkeys(("baseOffset", "partitionLeaderEpoch"), "broker"),
    **dict.fromkeys(("magic", "crc", "attributes"), "check"),
    **dict.fromkeys(("baseTimestamp", "maxTimestamp", "timestampDelta", "timestamp"), "time"),
    **dict.fromkeys(("producerId", "producerEpoch", "baseSequence"), "producer"),
    **dict.fromkeys(("batchLength", "lastOffsetDelta", "recordsCount", "length"), "length"),
    "the inverted byte": "singled out",
    **dict.fromkeys(("keyLength", "valueLength", "headersCount", "offsetDelta"), "length"),
}


def hue_of(field: Field) -> str:
    """The hue of a field's kind; what is no field of a batch is content."""
    return KINDS[_KIND_OF.get(field.name, "content")]


class IndexEntry(NamedTuple):
    """An entry of a segment's `.index`, and the base offset that its relative offset counts
    from.
    """

    relative_offset: int
    position: int
    base_offset: int

    def octets(self) -> bytes:
        """The eight bytes in the file."""
        return self.relative_offset.to_bytes(4, "big") + self.position.to_bytes(4, "big")


@themed
def byte_map(
    octets: bytes,
    fields: Sequence[Field],
    *,
    first_position: int,
    origin: Origin,
    entry: IndexEntry | None = None,
    rows: int = 12,
    title: str = "",
) -> Picture:
    """The first `rows` rows of `octets`, which lie at `first_position` of their file, and the list
    of their fields.

    Bytes that no field covers, and what lies beyond the rows, are shown pale and said to be there.
    """
    shown = octets[: rows * BYTES_PER_ROW]
    listed = [field for field in fields if field.position < len(shown)]
    left_out = len(octets) - len(shown)
    lines = -(-len(shown) // BYTES_PER_ROW) + bool(left_out)
    inches = max(_ROW_INCHES * (lines + (3 if entry else 0)), 0.2 * len(listed), 0.5)
    picture = new_picture(0.4 + inches, title, origin.text())
    picture.alt = _in_words(octets, fields, first_position, entry, title)
    cells, names = picture.subplots(1, 2, width_ratios=[1.25, 1])
    names.set_axis_off()
    if not shown:
        say_that_nothing_is_there(cells, "no bytes")
        return picture
    _draw_cells(cells, shown, fields, first_position)
    if left_out:
        words = f"... and {left_out:,} more bytes"
        cells.text(0, lines - 1, words, va="center", color=QUIET, fontsize=8)
    if entry:
        _draw_entry(cells, entry, lines + 0.7)
    cells.set_axis_off()
    cells.set_xlim(-3.4, BYTES_PER_ROW)
    cells.set_ylim(inches / _ROW_INCHES - 0.55, -0.55)
    _draw_names(names, listed)
    return picture


def _draw_cells(axes: Axes, octets: bytes, fields: Sequence[Field], first_position: int) -> None:
    """A square per byte with its hexadecimal digits; a frame where one field ends and another
    begins.
    """
    owners = {
        at: field for field in fields for at in range(field.position, field.position + field.length)
    }
    for at, octet in enumerate(octets):
        row, column = divmod(at, BYTES_PER_ROW)
        field = owners.get(at)
        _cell(axes, column, row, octet, hue_of(field) if field else PAPER)
        if field and at == field.position:
            for hue, width in ((PAPER, 3.6), (INK, 1.5)):  # dark fields need the light rim
                edge = Line2D([column, column], [row - 0.44, row + 0.44], color=hue, lw=width)
                edge.set_solid_capstyle("butt")
                axes.add_line(edge)
    for row in range(-(-len(octets) // BYTES_PER_ROW)):
        position = first_position + row * BYTES_PER_ROW
        axes.text(-0.75, row, f"{position:,}", ha="right", va="center", fontsize=8, color=QUIET)


def _cell(axes: Axes, column: float, row: float, octet: int, fill: str) -> None:
    axes.add_patch(
        Rectangle((column, row - 0.44), 1, 0.88, facecolor=fill, edgecolor=PAPER, lw=0.6)
    )
    more = {"family": "monospace", "fontsize": 8}
    centered(axes, column + 0.5, row, f"{octet:02x}", readable_on(fill), **more)


def _draw_entry(axes: Axes, entry: IndexEntry, row: float) -> None:
    """The eight bytes of the entry, what they mean, and the way from its position back to the
    batch.
    """
    axes.text(
        0,
        row - 0.85,
        "the entry in the .index file that points here",
        va="center",
        fontsize=8,
        color=QUIET,
    )
    for column, octet in enumerate(entry.octets()):
        _cell(axes, column + (column >= 4) * 0.25, row, octet, KINDS["broker"])
    axes.text(
        8.6,
        row,
        f"last offset {entry.base_offset:,} + {entry.relative_offset:,}",
        va="center",
        fontsize=8,
    )
    axes.text(8.6, row + 0.8, f"starts at position {entry.position:,}", va="center", fontsize=8)
    axes.add_line(
        Line2D(
            [6.25, 6.25, -0.4, -0.4, -0.08],
            [row + 0.5, row + 0.8, row + 0.8, 0, 0],
            color=INK,
            lw=1.3,
        )
    )
    axes.plot([-0.16], [0], marker=">", color=INK, markersize=6)


def _draw_names(axes: Axes, fields: Sequence[Field]) -> None:
    """The list: a swatch, where the field lies, its name, its value (cut when it is long)."""
    axes.set_xlim(0, 1)
    axes.set_ylim(max(len(fields), 1) - 0.4, -0.6)
    for row, field in enumerate(fields):
        axes.add_patch(
            Rectangle((0, row - 0.34), 0.03, 0.68, facecolor=hue_of(field), edgecolor=QUIET, lw=0.5)
        )
        end = field.position + field.length - 1
        where = f"{field.position}" if field.length == 1 else f"{field.position}-{end}"
        axes.text(0.17, row, where, ha="right", va="center", fontsize=8, color=QUIET)
        axes.text(0.195, row, field.name, va="center", fontsize=8)
        value = field.told if len(field.told) <= 24 else field.told[:23] + "…"
        axes.text(0.56, row, value, va="center", family="monospace", fontsize=7.5, parse_math=False)


def _in_words(
    octets: bytes,
    fields: Sequence[Field],
    first_position: int,
    entry: IndexEntry | None,
    title: str,
) -> str:
    told = [
        f"{field.name}, {field.length} bytes at {first_position + field.position}: "
        f"{field.told[:60]}."
        for field in fields
    ]
    pointed = (
        [f"Index entry: relative offset {entry.relative_offset}, position {entry.position}."]
        if entry
        else []
    )
    return in_words(title, f"{len(octets)} bytes of a file.", *told, *pointed)
