"""What a loop costs by the size of its chunk, split into what its calls and what its copies cost.

The split is arithmetic on counts and a calibration (calls counted, times what one costs; bytes
copied, times what copying costs), the total is measured. What the two do not explain stays visible
as a rest: an honest waterfall does not have to add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    INK,
    PAPER,
    RATE,
    SENDER,
    Origin,
    Picture,
    byte_count,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    significant,
    themed,
    whiskers,
)

_REST = "#E3E3E3"


class ChunkCost(NamedTuple):
    """What a loop with this chunk size cost, measured; and how much of it calibration explains.

    All in CPU seconds of the sender per GiB.
    """

    chunk_bytes: int
    measured: Spread
    calls_s_per_gib: float  # system calls counted, times what one costs
    copies_s_per_gib: float  # copies per byte, times what copying a GiB costs

    @property
    def explained_s_per_gib(self) -> float:
        """Calls and copies together."""
        return self.calls_s_per_gib + self.copies_s_per_gib

    @property
    def rest_s_per_gib(self) -> float:
        """What neither accounts for; 0 when the calibration already overshoots."""
        return max(0.0, self.measured.median - self.explained_s_per_gib)


class Benchmark(NamedTuple):
    """A line to hold the bars against, such as what sendfile costs for the same bytes."""

    name: str
    measured: Spread


@themed
def cost_by_chunk(
    costs: Sequence[ChunkCost], *, origin: Origin, beside: Benchmark | None = None, title: str = ""
) -> Picture:
    """Stacked bars per chunk size (copies, calls, rest), the measured cost and its range on top."""
    lines = [beside] if beside else []
    spreads = [cost.measured for cost in costs] + [line.measured for line in lines]
    picture = new_picture(3.6, title, origin.text(spreads))
    picture.alt = _in_words(costs, beside, title)
    axes = picture.subplots()
    if not costs:
        say_that_nothing_is_there(axes, "no chunk size was measured")
        return picture
    _draw_stacks(axes, costs)
    _draw_measured(axes, [cost.measured for cost in costs])
    for line in lines:
        name = f"{line.name}: {significant(line.measured.median)}"
        axes.axhspan(line.measured.low, line.measured.high, color="#2A9D7A", alpha=0.3, lw=0)
        axes.axhline(line.measured.median, color="#14213D", lw=1.4, ls="--", label=name)
    axes.set_xticks(range(len(costs)), [byte_count(cost.chunk_bytes) for cost in costs])
    margin = max(0.6, 1.6 - len(costs) / 2)  # a single bar stands in the middle, not as a wall
    axes.set_xlim(-margin, len(costs) - 1 + margin)
    axes.set_ylim(0, 1.12 * max([v.high for v in spreads] + [c.explained_s_per_gib for c in costs]))
    axes.set_xlabel("chunk size of the loop")
    axes.set_ylabel("CPU of the sender, seconds per GiB")
    axes.grid(True, axis="y")
    legend_above(axes, columns=5)
    return picture


def _draw_stacks(axes: Axes, costs: Sequence[ChunkCost]) -> None:
    places = range(len(costs))
    copies = [cost.copies_s_per_gib for cost in costs]
    calls = [cost.calls_s_per_gib for cost in costs]
    explained = [cost.explained_s_per_gib for cost in costs]
    rest = [cost.rest_s_per_gib for cost in costs]
    axes.bar(places, copies, 0.62, color=SENDER, label="copies")
    axes.bar(
        places, calls, 0.62, copies, color=RATE, hatch="//", edgecolor=PAPER, lw=0, label="calls"
    )
    axes.bar(places, rest, 0.62, explained, color=_REST, label="neither explains")


def _draw_measured(axes: Axes, values: Sequence[Spread]) -> None:
    """A tick with its whiskers per bar, and the figure above it."""
    axes.errorbar(
        range(len(values)),
        [value.median for value in values],
        yerr=whiskers(values),
        fmt="_",
        color=INK,
        markersize=14,
        capsize=3,
        label="measured, with its range",
    )
    for place, value in enumerate(values):
        axes.annotate(
            significant(value.median),
            (place, value.high),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )


def _in_words(costs: Sequence[ChunkCost], beside: Benchmark | None, title: str) -> str:
    told = [
        f"{byte_count(cost.chunk_bytes)}: measured {cost.measured.text('s/GiB')}, "
        f"of which calls {significant(cost.calls_s_per_gib)}, "
        f"copies {significant(cost.copies_s_per_gib)}, neither {significant(cost.rest_s_per_gib)}."
        for cost in costs
    ]
    last = f"Beside it, {beside.name}: {beside.measured.text('s/GiB')}." if beside else ""
    return in_words(title, "Cost by chunk size.", *told, last)
