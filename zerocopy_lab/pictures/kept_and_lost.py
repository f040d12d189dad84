"""What is kept and what is lost: a row of pieces end to end, one row beneath the other.

A piece is as long as what it stands for (messages, bytes). Kept pieces are dark and plain, lost
ones light and hatched, damaged ones carry a cross hatch: hue is never the only difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from zerocopy_lab.pictures.theme import (
    CPU,
    INK,
    RATE,
    SENDER,
    Origin,
    Picture,
    in_words,
    legend_above,
    new_picture,
    readable_on,
    say_that_nothing_is_there,
    themed,
)

Kind = Literal["kept", "lost", "damaged"]

_LOOKS: Final[Mapping[Kind, tuple[str, str]]] = {
    "kept": (SENDER, ""),
    "lost": (RATE, "///"),
    "damaged": (CPU, "xxx"),
}
_LEAST_LABELLED = 0.06


class Piece(NamedTuple):
    """So much of one kind. `label` stands in it, if there is room."""

    amount: float
    kind: Kind
    label: str = ""


class Stretch(NamedTuple):
    """One row: what it is, its pieces in order, and a remark behind them."""

    name: str
    pieces: tuple[Piece, ...]
    remark: str = ""


@themed
def kept_and_lost(
    rows: Sequence[Stretch],
    *,
    unit: str,
    kinds: Mapping[Kind, str],
    origin: Origin,
    title: str = "",
) -> Picture:
    """The rows from the top; `kinds` says what each kind means here, `unit` what is counted."""
    picture = new_picture(0.95 + 0.46 * max(len(rows), 1), title, origin.text())
    picture.alt = _in_words(rows, unit, kinds, title)
    axes = picture.subplots()
    longest = max((sum(piece.amount for piece in row.pieces) for row in rows), default=0)
    if not longest:
        say_that_nothing_is_there(axes, "there was nothing to lose")
        return picture
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, longest)
    axes.set_xlim(0, longest * 1.3)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= longest])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.set_xlabel(unit)
    shown = {piece.kind for row in rows for piece in row.pieces}
    legend_above(axes, [
        Patch(facecolor=hue, hatch=hatch, label=kinds[kind])
        for kind, (hue, hatch) in _LOOKS.items() if kind in shown
    ])  # fmt: skip
    return picture


def _draw_row(axes: Axes, place: int, row: Stretch, longest: float) -> None:
    start = 0.0
    for piece in row.pieces:
        hue, hatch = _LOOKS[piece.kind]
        axes.barh(place, piece.amount, 0.62, left=start, color=hue, hatch=hatch)
        if piece.label and piece.amount >= _LEAST_LABELLED * longest:
            on_hatch = {"facecolor": hue, "edgecolor": "none", "pad": 1.5} if hatch else None
            axes.text(
                start + piece.amount / 2, place, piece.label,
                ha="center", va="center", fontsize=8.5, color=readable_on(hue), bbox=on_hatch,
            )  # fmt: skip
        start += piece.amount
    axes.annotate(
        row.remark, (start, place), xytext=(6, 0), textcoords="offset points", va="center",
        fontsize=8.5, color=INK,
    )  # fmt: skip


def _in_words(rows: Sequence[Stretch], unit: str, kinds: Mapping[Kind, str], title: str) -> str:
    told = [
        f"{row.name}: "
        + (
            ", ".join(f"{p.amount:,.10g} {kinds[p.kind]}" for p in row.pieces if p.amount)
            or "nothing"
        )
        + (f" ({row.remark})" if row.remark else "")
        + "."
        for row in rows
    ]
    return in_words(title, f"In {unit}, from the top.", *told)
