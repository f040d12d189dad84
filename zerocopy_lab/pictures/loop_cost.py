"""What loops cost that send the same bytes, each split into the parts that could be measured by
themselves; and what each of two changes is worth, whichever is made first.

The parts of a bar come from twins of the loop that do less (the same turns with nothing to move),
the total from the loop itself. What no twin accounts for stays as the rest, under its own name. Two
changes that overlap have no shares of their own: what the second brings depends on whether the
first was made. So they are drawn in both orders, and each order adds up to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    ALIAS,
    CPU,
    INK,
    PAPER,
    RATE,
    SENDER,
    TOTAL,
    Origin,
    Picture,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    significant,
    themed,
    whiskers,
)

REST = "the bytes: copies and TCP"
_CHUNKS = "#2A9D7A"
_HUES = (CPU, RATE)
_HATCHES = ("//", "..")


class LoopCost(NamedTuple):
    """What a loop cost, measured, and which parts of it are known; CPU seconds of it per GiB."""

    name: str
    measured: Spread
    parts: tuple[tuple[str, float], ...]
    control: Spread | None = None
    """the same loop in another language, drawn beside it"""

    @property
    def rest_s_per_gib(self) -> float:
        """What no part accounts for; 0 when they overshoot."""
        return max(0.0, self.measured.median - sum(cost for _, cost in self.parts))


class Order(NamedTuple):
    """Two changes, one after the other, and which share of the whole the first of them saves."""

    first: str
    second: str
    saved_first: Spread


@themed
def cost_of_loops(
    costs: Sequence[LoopCost],
    *,
    origin: Origin,
    orders: Sequence[Order] = (),
    control: str = "",
    title: str = "",
) -> Picture:
    """Stacked bars with the measured cost and its range on top; beside them the orders.

    `control` names what the controls are, such as `the same loop in C`.
    """
    spreads = [cost.measured for cost in costs] + [order.saved_first for order in orders]
    picture = new_picture(3.9, title, origin.text(spreads))
    picture.alt = _in_words(costs, orders, control, title)
    if not costs:
        say_that_nothing_is_there(picture.subplots(), "no loop was measured")
        return picture
    if not orders:
        _draw_costs(picture.subplots(), costs, control)
        return picture
    left, right = picture.subplots(1, 2, width_ratios=(3, 2))
    _draw_costs(left, costs, control)
    _draw_orders(right, orders)
    return picture


def _draw_costs(axes: Axes, costs: Sequence[LoopCost], control: str) -> None:
    places = range(len(costs))
    below = [0.0] * len(costs)
    for number, (name, _) in enumerate(costs[0].parts):
        heights = [cost.parts[number][1] for cost in costs]
        hue, hatch = _HUES[number], _HATCHES[number]
        axes.bar(places, heights, 0.6, below, color=hue, hatch=hatch, label=name)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    rest = [cost.rest_s_per_gib for cost in costs]
    axes.bar(places, rest, 0.6, below, color=TOTAL, label=REST)
    _draw_measured(axes, [cost.measured for cost in costs])
    controls = [(place, cost.control) for place, cost in enumerate(costs) if cost.control]
    if controls:
        axes.errorbar(
            [place + 0.2 for place, _ in controls],
            [value.median for _, value in controls],
            yerr=whiskers([value for _, value in controls]),
            fmt="D",
            color=INK,
            markerfacecolor=ALIAS,
            markersize=6,
            capsize=2,
            lw=1,
            label=control,
        )
    tops = [cost.measured.high for cost in costs] + [value.high for _, value in controls]
    margin = max(0.6, 1.6 - len(costs) / 2)  # a single bar stands in the middle, not as a wall
    axes.set_xticks(places, [cost.name.replace(", ", "\n") for cost in costs])
    axes.set_xlim(-margin, len(costs) - 1 + margin)
    axes.set_ylim(0, 1.14 * max([*tops, *below]))
    axes.set_ylabel("CPU of the sender, seconds per GiB")
    axes.grid(True, axis="y")
    legend_above(axes, columns=2)


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


def _draw_orders(axes: Axes, orders: Sequence[Order]) -> None:
    """A bar from 0 to 100 % for each order: what the first change saves, and then the second."""
    hues = {orders[0].first: (_CHUNKS, INK), orders[0].second: (SENDER, PAPER)}
    for lane, order in enumerate(orders):
        start = 0.0
        first = min(1.0, max(0.0, order.saved_first.median))
        for name, share in ((order.first, first), (order.second, 1 - first)):
            fill, ink = hues[name]
            axes.barh(lane, share, 0.5, start, color=fill, edgecolor=PAPER)
            if share >= 0.1:
                axes.text(
                    start + share / 2, lane, f"{share:.0%}", ha="center", va="center", color=ink
                )
            start += share
        axes.text(0.01, lane - 0.36, f"first {order.first}, then {order.second}", fontsize=8.5)
    axes.set_ylim(len(orders) - 0.4, -0.7)
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel("of what the small loop costs more than sendfile, 1 MiB")


def _in_words(costs: Sequence[LoopCost], orders: Sequence[Order], control: str, title: str) -> str:
    told = []
    for cost in costs:
        parts = ", ".join(f"{name} {significant(value)}" for name, value in cost.parts)
        beside = f"; {control}: {cost.control.text('s/GiB')}" if cost.control else ""
        told.append(
            f"{cost.name}: measured {cost.measured.text('s/GiB')}, of which {parts}, {REST} "
            f"{significant(cost.rest_s_per_gib)}{beside}."
        )
    shares = [
        f"First {order.first}: saves {order.saved_first.median:.0%}; then {order.second} the rest."
        for order in orders
    ]
    return in_words(title, "What loops cost.", *told, *shares)
