"""The path of bytes as a ledger: where they stop, and for every hop who moved them and how we know.

One lane per path (traditional, sendfile, TLS, ...), the same stations in the same columns, so that
what one path skips is a gap in its lane. A reference that is passed on (sendfile hands the socket a
page, not its bytes) is drawn as a thin dashed arrow: something went on, but nobody moved a byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from zerocopy_lab.pictures.theme import (
    CPU,
    DMA,
    INK,
    QUIET,
    RULE,
    Origin,
    Picture,
    centered,
    in_words,
    new_picture,
    say_that_nothing_is_there,
    themed,
)

Mover = Literal["CPU", "DMA", "nobody", "unclear"]
_HUES: Final[dict[str, str]] = {"CPU": CPU, "DMA": DMA, "nobody": QUIET, "unclear": INK}
_DASHES: Final[dict[str, str]] = {"CPU": "-", "DMA": "-", "nobody": "--", "unclear": ":"}
_WIDTHS: Final[dict[str, float]] = {"CPU": 3.2, "DMA": 2.2, "nobody": 1.2, "unclear": 1.2}
_BOX_WIDTH: Final = 0.52  # of the distance between two stations


class Hop(NamedTuple):
    """Bytes (or a reference to them) go from one station to another, or are worked on in place when
    both are the same.

    `evidence` is PROVED, COUNTED, TIMED or CITED; `remark` is a word or two under it ("encrypts",
    "cold only").
    """

    start: str
    end: str
    mover: Mover
    evidence: str
    remark: str = ""


class BytePath(NamedTuple):
    """A name and its hops, in the order in which a byte takes them."""

    name: str
    hops: tuple[Hop, ...]

    def moved_by(self, mover: Mover) -> int:
        """How many hops this mover made."""
        return sum(hop.mover == mover for hop in self.hops)


@themed
def copy_ledger(
    paths: Sequence[BytePath],
    *,
    stations: Sequence[str],
    origin: Origin,
    title: str = "",
    lit: int | None = None,
) -> Picture:
    """Lanes of stations and arrows; with `lit`, only the first so many hops of each are in colour
    and labelled. Raises ValueError when a hop names a station that is not among `stations`.
    """
    for path in paths:
        for hop in path.hops:
            if unknown := {hop.start, hop.end} - set(stations):
                raise ValueError(f"{path.name}: no station {unknown}, there are {list(stations)}")
    picture = new_picture(0.2 + 1.12 * max(len(paths), 1), title, origin.text())
    picture.alt = _in_words(paths, title)
    axes = picture.subplots()
    if not paths:
        say_that_nothing_is_there(axes, "no paths")
        return picture
    axes.set_axis_off()
    axes.set_xlim(-0.32, len(stations) - 0.68)
    axes.set_ylim(len(paths) - 0.5, -0.62)
    columns = {name: column for column, name in enumerate(stations)}
    for lane, path in enumerate(paths):
        _lane(axes, lane, path, columns, len(path.hops) if lit is None else lit)
    return picture


def _lane(axes: Axes, lane: int, path: BytePath, columns: dict[str, int], lit: int) -> None:
    """One path: its name and tally, boxes for the stations it visits, arrows between them."""
    lit_path = BytePath(path.name, path.hops[:lit])
    axes.text(-0.3, lane - 0.5, path.name, weight="bold", va="center", ha="left")
    axes.text(
        len(columns) - 0.7,
        lane - 0.5,
        _tally(lit_path),
        va="center",
        ha="right",
        fontsize=8.5,
        color=INK,
    )
    here = lit_path.hops[-1].end if lit_path.hops else path.hops[0].start
    for name in {name for hop in path.hops for name in (hop.start, hop.end)}:
        _station(axes, columns[name], lane, name, is_here=lit < len(path.hops) and name == here)
    for number, hop in enumerate(path.hops):
        if number >= lit:
            _track(axes, columns[hop.start], columns[hop.end], lane)
        elif hop.start == hop.end:
            _work_in_place(axes, columns[hop.start], lane, hop)
        else:
            _arrow(axes, columns[hop.start], columns[hop.end], lane, hop)


def _station(axes: Axes, column: float, lane: float, name: str, *, is_here: bool) -> None:
    half = _BOX_WIDTH / 2
    axes.add_patch(
        FancyBboxPatch(
            (column - half, lane - 0.16),
            _BOX_WIDTH,
            0.32,
            boxstyle="round,pad=0,rounding_size=0.04",
            facecolor="#F4F4F4",
            edgecolor=INK if is_here else QUIET,
            lw=2.4 if is_here else 1,
        )
    )
    axes.text(column, lane, name.replace(" ", "\n"), ha="center", va="center", fontsize=8.5)


def _track(axes: Axes, start: int, end: int, lane: int) -> None:
    """A hop that is still to come."""
    half = _BOX_WIDTH / 2 if end > start else -_BOX_WIDTH / 2
    axes.plot([start + half, end - half], [lane, lane], color=RULE, lw=1, ls=":")


def _arrow(axes: Axes, start: int, end: int, lane: int, hop: Hop) -> None:
    """From box edge to box edge; who above the middle of it, how we know below."""
    half = _BOX_WIDTH / 2 if end > start else -_BOX_WIDTH / 2
    axes.add_patch(
        FancyArrowPatch(
            (start + half, lane),
            (end - half, lane),
            arrowstyle="-|>",
            mutation_scale=13,
            color=_HUES[hop.mover],
            lw=_WIDTHS[hop.mover],
            ls=_DASHES[hop.mover],
            shrinkA=0,
            shrinkB=0,
        )
    )
    _label(axes, (start + end) / 2, lane, hop)


def _work_in_place(axes: Axes, column: int, lane: int, hop: Hop) -> None:
    """A loop under the box: the bytes stay where they are and somebody goes through all of them."""
    axes.add_patch(
        FancyArrowPatch(
            (column - 0.14, lane + 0.16),
            (column + 0.14, lane + 0.16),
            arrowstyle="-|>",
            connectionstyle="arc3,rad=0.45",
            mutation_scale=11,
            color=_HUES[hop.mover],
            lw=_WIDTHS[hop.mover],
            shrinkA=0,
            shrinkB=0,
        )
    )
    words = "  ".join(part for part in (hop.mover, hop.remark, hop.evidence) if part)
    axes.text(column, lane + 0.4, words, ha="center", va="center", fontsize=7.5, color=INK)


def _label(axes: Axes, middle: float, lane: int, hop: Hop) -> None:
    centered(axes, middle, lane - 0.16, hop.mover, _HUES[hop.mover], weight="bold")
    axes.text(middle, lane + 0.15, hop.evidence, ha="center", va="center", fontsize=7, color=QUIET)
    if hop.remark:
        axes.text(middle, lane + 0.3, hop.remark, ha="center", va="center", fontsize=7, color=QUIET)


def _tally(path: BytePath) -> str:
    cpu, dma = path.moved_by("CPU"), path.moved_by("DMA")
    unclear = f", {count}× unclear" if (count := path.moved_by("unclear")) else ""
    return f"moved {cpu}× by the CPU, {dma}× by DMA{unclear}"


def _in_words(paths: Sequence[BytePath], title: str) -> str:
    told = [
        f"{path.name}: {_tally(path)}. {', '.join(_hop_in_words(hop) for hop in path.hops)}."
        for path in paths
    ]
    return in_words(title, "Who moves each byte.", *told)


def _hop_in_words(hop: Hop) -> str:
    """Such as `page cache to socket buffers by nobody (a reference, PROVED)`."""
    known = ", ".join(part for part in (hop.remark, hop.evidence) if part)
    return f"{hop.start} to {hop.end} by {hop.mover} ({known})"
