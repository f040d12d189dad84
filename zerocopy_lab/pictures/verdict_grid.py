"""A square for each verdict: the parts of many claims, or one thing on many machines.

Rows that name columns are a table. Without columns each row has as many squares as it has parts,
which are named in them where the row names them, and a word behind them or under its name. A sign
in each square says the same as its hue.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from zerocopy_lab.pictures.theme import (
    ABSENT,
    CPU,
    PAPER,
    QUIET,
    SENDER,
    TOTAL,
    Origin,
    Picture,
    in_words,
    legend_above,
    new_picture,
    readable_on,
    say_that_nothing_is_there,
    themed,
)

ROW_INCHES: Final = 0.25
_NAMED_ROW_INCHES: Final = 0.41  # three lines of the least letters
_LETTERS: Final = 84
"""So many fit beside each other under all columns together."""
YES: Final = ("right", "supported")
NO: Final = ("wrong", "contradicted")
_LOOKS: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(YES, (SENDER, "✓")),
    **dict.fromkeys(NO, (CPU, "✗")),
    "half right": (TOTAL, "◐"),
    "inconclusive": (TOTAL, "~"),
    "open": (ABSENT, "○"),
    "not testable here": (ABSENT, "–"),
    "": (PAPER, ""),
}
"""Fill and sign of each word; "" is a square with nothing to say."""


class GridRow(NamedTuple):
    """Its name, a word for each square (keys of the looks above), what stands behind them, and
    what each square is about.
    """

    name: str
    words: Sequence[str]
    remark: str = ""
    parts: Sequence[str] = ()


@themed
def verdict_grid(
    rows: Sequence[GridRow], *, origin: Origin, columns: Sequence[str] = (), title: str = ""
) -> Picture:
    """Rows from top to bottom. Raises ValueError for a word that has no look, or a row that has
    not a square for each column.
    """
    for row in rows:
        if unknown := set(row.words) - set(_LOOKS):
            raise ValueError(f"{row.name}: no square says {sorted(unknown)}")
        if columns and len(row.words) != len(columns):
            raise ValueError(f"{row.name}: {len(row.words)} squares for {len(columns)} columns")
    room = max(4, _LETTERS // max(len(columns), 1))
    heads = ["\n".join(textwrap.wrap(name, room)) for name in columns]
    lines = max((head.count("\n") + 1 for head in heads), default=0)
    named = any(row.parts for row in rows)
    height = 0.55 + (_NAMED_ROW_INCHES if named else ROW_INCHES) * max(len(rows), 1) + 0.16 * lines
    picture = new_picture(height, title, origin.text())
    picture.alt = _in_words(rows, columns, title)
    axes = picture.subplots()
    if not rows:
        say_that_nothing_is_there(axes, "no verdicts")
        return picture
    for place, row in enumerate(rows):
        _row(axes, place, row)
    most = max(1, *(len(row.words) for row in rows))
    axes.set_xlim(-0.6, most - 0.5 + (0 if columns or named else 2.5))
    axes.set_ylim(len(rows) - 0.45, -0.55)
    under = [f"{row.name}\n{row.remark}" if row.parts else row.name for row in rows]
    axes.set_yticks(range(len(rows)), under)
    axes.set_xticks(range(len(columns)), heads)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    shown = dict.fromkeys(word for word in _LOOKS if any(word in row.words for row in rows))
    legend_above(
        axes,
        [
            Rectangle((0, 0), 1, 1, facecolor=_LOOKS[word][0], label=f"{_LOOKS[word][1]} {word}")
            for word in shown
            if word
        ],
    )
    return picture


def _row(axes: Axes, place: int, row: GridRow) -> None:
    for column, word in enumerate(row.words):
        fill, sign = _LOOKS[word]
        axes.add_patch(
            Rectangle((column - 0.46, place - 0.42), 0.92, 0.84, facecolor=fill, edgecolor=QUIET)
        )
        about = row.parts[column] if row.parts else ""
        if sign:
            axes.text(
                column,
                place,
                _in_a_square(f"{sign} {about}".rstrip()),
                ha="center",
                va="center",
                color=readable_on(fill),
                fontsize=7 if about else 9,
                linespacing=1.05,
            )
    if row.remark and not row.parts:
        axes.text(len(row.words) - 0.3, place, row.remark, va="center", fontsize=8.5)


def _in_a_square(text: str) -> str:
    """As narrow as three lines allow."""
    ways = (textwrap.wrap(text, most, break_long_words=False) for most in range(15, 22))
    return "\n".join(next((lines for lines in ways if len(lines) <= 3), [text]))


def _in_words(rows: Sequence[GridRow], columns: Sequence[str], title: str) -> str:
    told = []
    for row in rows:
        names = columns or row.parts or [""] * len(row.words)
        said = [
            f"{name}: {word}" if name else word
            for name, word in zip(names, row.words, strict=True)
            if word
        ]
        remark = f" ({row.remark})" if row.remark else ""
        told.append(f"{row.name}{remark}: {', '.join(said) or 'nothing found'}.")
    return in_words(title, "Verdicts as squares.", *told)
