"""Who stores which replica: brokers down, partitions across, the leader darker than its followers.

Beside the map the sums, because "spread evenly" is a claim about sums: replicas a broker, leaders a
broker. Racks are separated by a rule; a partition with two replicas between the same rules loses
both when that rack's power goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from zerocopy_lab.pictures.theme import (
    ABSENT,
    INK,
    QUIET,
    SENDER,
    TOTAL,
    Origin,
    Picture,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    themed,
)


@themed
def replica_map(
    replicas: Mapping[int, Sequence[int]],
    *,
    brokers: Sequence[int],
    origin: Origin,
    racks: Mapping[int, str] | None = None,
    store: str = "broker",
    title: str = "",
    nothing: str = "no replicas to place",
) -> Picture:
    """`store` is what a row stands for ("broker", "directory"), named in front of its number.
    `replicas` is partition -> brokers, leader first, as in Kafka's metadata; `racks` is broker
    -> rack. Without replicas the picture says why there is `nothing`.

    Raises ValueError when a replica is on a broker that is not among `brokers`.
    """
    if strangers := {broker for held in replicas.values() for broker in held} - set(brokers):
        raise ValueError(f"replicas on brokers {sorted(strangers)}, there are only {list(brokers)}")
    rows = sorted(brokers, key=lambda broker: ((racks or {}).get(broker, ""), broker))
    picture = new_picture(1.15 + 0.3 * max(len(rows), 1), title, origin.text())
    picture.alt = _in_words(replicas, rows, racks or {}, store, title)
    grid, sums = picture.subplots(1, 2, sharey=True, width_ratios=[3.2, 1])
    if not rows or not replicas:
        sums.set_axis_off()
        say_that_nothing_is_there(grid, nothing)
        return picture
    partitions = sorted(replicas)
    _draw_grid(grid, replicas, partitions, rows)
    _draw_sums(sums, replicas, rows)
    names = [
        f"{store} {broker}" + (f"  {racks[broker]}" if racks and broker in racks else "")
        for broker in rows
    ]
    grid.set_yticks(range(len(rows)), names)
    grid.set_ylim(len(rows) - 0.5, -0.5)
    for above, (one, other) in enumerate(pairwise(rows)):
        if racks and racks.get(one) != racks.get(other):
            for axes in (grid, sums):
                axes.axhline(above + 0.5, color=INK, lw=1.2)
    legend_above(grid, _keys(replicas))
    return picture


def _keys(replicas: Mapping[int, Sequence[int]]) -> list[Patch]:
    """Who leads says nothing where nobody follows."""
    if all(len(held) == 1 for held in replicas.values()):
        return [Patch(facecolor=SENDER, label="stored here")]
    return [Patch(facecolor=SENDER, label="leader"), Patch(facecolor=TOTAL, label="follower")]


def _draw_grid(
    axes: Axes,
    replicas: Mapping[int, Sequence[int]],
    partitions: Sequence[int],
    rows: Sequence[int],
) -> None:
    """One cell per broker and partition. A bar per row of cells keeps a map of 100 partitions quick
    to draw.
    """
    columns = {partition: column for column, partition in enumerate(partitions)}
    for row, broker in enumerate(rows):
        led = [columns[p] for p in partitions if replicas[p] and replicas[p][0] == broker]
        followed = [columns[p] for p in partitions if broker in replicas[p][1:]]
        empty = [column for column in columns.values() if column not in {*led, *followed}]
        for cells, hue, name in (
            (empty, ABSENT, ""),
            (followed, TOTAL, "follower"),
            (led, SENDER, "leader"),
        ):
            if cells:
                axes.bar(
                    cells,
                    [0.84] * len(cells),
                    0.9,
                    row - 0.42,
                    color=hue,
                    edgecolor=QUIET,
                    lw=0.3,
                    label=name,
                )
    step = max(1, -(-len(partitions) // 20))
    axes.set_xticks(range(0, len(partitions), step), [str(p) for p in partitions[::step]])
    axes.set_xlim(-0.6, len(partitions) - 0.4)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("partition")


def _draw_sums(axes: Axes, replicas: Mapping[int, Sequence[int]], rows: Sequence[int]) -> None:
    """Per broker: leaders, and on top of them followers; the sum in figures."""
    led, held = (sums_per_broker(replicas, rows, leaders_only=only) for only in (True, False))
    nobody_follows = led == held
    axes.barh(range(len(rows)), led, 0.62, color=SENDER)
    axes.barh(
        range(len(rows)), [h - n for h, n in zip(held, led, strict=True)], 0.62, led, color=TOTAL
    )
    for row, (leaders, all_of_them) in enumerate(zip(led, held, strict=True)):
        axes.annotate(
            f"{all_of_them}" if nobody_follows else f"{all_of_them} ({leaders})",
            (all_of_them, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_xlim(0, 1.45 * max([*held, 1]))
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.set_xlabel("partitions" if nobody_follows else "replicas (leaders)")
    axes.grid(True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def sums_per_broker(
    replicas: Mapping[int, Sequence[int]], brokers: Sequence[int], *, leaders_only: bool = False
) -> list[int]:
    """How many replicas (or only leaders) each of `brokers` has, in their order."""
    held = [
        broker for places in replicas.values() for broker in places[: 1 if leaders_only else None]
    ]
    return [held.count(broker) for broker in brokers]


def _in_words(
    replicas: Mapping[int, Sequence[int]],
    rows: Sequence[int],
    racks: Mapping[int, str],
    store: str,
    title: str,
) -> str:
    led, held = (sums_per_broker(replicas, rows, leaders_only=only) for only in (True, False))
    told = [
        f"{store.capitalize()} {broker}"
        + (f" in {racks[broker]}" if broker in racks else "")
        + f": {all_of_them} replicas, leads {leaders}."
        for broker, all_of_them, leaders in zip(rows, held, led, strict=True)
    ]
    stores = f"{store[:-1]}ies" if store.endswith("y") else f"{store}s"
    placed = f"{len(replicas)} partitions on {len(rows)} {stores}, {sum(held)} replicas."
    return in_words(title, placed, *told)
