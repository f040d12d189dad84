"""Section `growth`: how costs grow with the length of a log and with the connections.

Each cost is taken at several sizes, all of them in every round and of both brokers in turns: what
drifts meanwhile, as Kafka's compiler makes it, drifts for all sizes alike. The exponent is the
slope of a straight line through the logarithms (cost ~ size ** exponent): 0 is flat, 1 in
proportion. Every round has its own, so that it has a range. What grows with partitions:
`partitions`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from math import log
from pathlib import Path
from statistics import linear_regression

from ci.bench.contest import (
    KIB,
    MIB,
    Round,
    batch_of,
    connect,
    cpu_us_per_request,
    make_topic,
    play,
    play_crowd,
)
from ci.bench.figures import Figures
from ci.bench.pair import Pair, running_pair
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.topic_admin import create_topic

TABLE = "growth"
LENGTHS_MIB = (8, 64, 512)
BATCH_BYTES = 16 * KIB
SEGMENT = {"segment.bytes": str(16 * MIB), "retention.ms": "-1"}
CROWDS = (1, 10, 100, 1_000)
MOST_ROUNDS, REQUESTS = 3, 2_000

Curve = Mapping[int, float]
"""A cost by size."""


def exponent(curve: Curve) -> float:
    """The slope of the logarithms of the costs over those of the sizes."""
    return linear_regression(list(map(log, curve)), list(map(log, curve.values()))).slope


def add_curves(
    figures: Figures,
    table: str,
    title: Callable[[str], str],
    unit: str,
    ours: Sequence[Curve],
    theirs: Sequence[Curve] | None,
    *,
    goal: float,
) -> None:
    """A row for each size, called `title` of it, and one for the exponent: a curve a round. `goal`
    is the most that a ratio should be. Sizes may be missing.
    """
    for size in ours[0]:
        others = [curve[size] for curve in theirs or () if size in curve] or None
        mine = [curve[size] for curve in ours]
        figures.add(table, title(f"{size:,}"), unit, mine, others, goal=goal, at_most=True)
    sizes = f"{min(ours[0]):,} to {max(ours[0]):,}"
    name = f"… exponent: {title(sizes)}"
    slopes = _exponents(ours)
    if slopes:
        others = _exponents(theirs or ()) or None
        figures.add(table, name, "", slopes, others, with_ratio=False)


def _exponents(curves: Sequence[Curve]) -> list[float]:
    return [exponent(curve) for curve in curves if len(curve) > 1]


def bench_growth(workspace: Path, figures: Figures, rounds: int) -> None:
    """Logs of 8 to 512 MiB, 1 to 1,000 connections."""
    print("how costs grow: CPU of the broker for a request")
    with running_pair(workspace) as pair:
        _with_the_log(pair, figures, min(rounds, MOST_ROUNDS))
        _with_connections(pair, figures, min(rounds, MOST_ROUNDS))


def _with_the_log(pair: Pair, figures: Figures, rounds: int) -> None:
    """One batch of 16 KiB from anywhere; and a batch of 1 KiB at the end."""
    chance, batch = random.Random(1), batch_of(BATCH_BYTES)
    fetches: dict[int, list[bytes]] = {}
    appends: dict[int, list[bytes]] = {}
    for length_mib in LENGTHS_MIB:
        topic, count = f"log-{length_mib}", length_mib * MIB // BATCH_BYTES
        for broker in pair.both():
            create_topic(broker.bootstrap, topic, settings=SEGMENT)
            make_topic(broker, topic)
            with Wire(broker.host, broker.port) as wire:
                for offset in range(count):
                    assert produce(wire, topic, 0, batch) == (0, offset)
        fetches[length_mib] = [
            fetch_frame(Frames(), topic, 0, chance.randrange(count), max_bytes=BATCH_BYTES)
            for _ in range(REQUESTS)
        ]
        appends[length_mib] = [produce_frame(Frames(), topic, 0, batch_of(KIB), acks=1)]

    def fetched(broker: RunningBroker, length_mib: int) -> Round:
        sock = connect(broker.port, as_it_comes=True)
        frames = fetches[length_mib]
        return play(broker.pid, sock, frames, REQUESTS, BATCH_BYTES, BATCH_BYTES)

    def appended(broker: RunningBroker, length_mib: int) -> Round:
        sock = connect(broker.port, as_it_comes=True)
        return play(broker.pid, sock, appends[length_mib], REQUESTS, KIB)

    what = "a fetch of 16 KiB at a random offset, log of {} MiB"
    _curves(pair, figures, what, LENGTHS_MIB, fetched, rounds, goal=0.6)
    what = "a produce of 1 KiB, log of {} MiB"
    _curves(pair, figures, what, LENGTHS_MIB, appended, rounds, goal=0.5)


def _with_connections(pair: Pair, figures: Figures, rounds: int) -> None:
    """Each connection has one request under way."""
    for broker in pair.both():
        make_topic(broker, "small")
        with Wire(broker.host, broker.port) as wire:
            assert produce(wire, "small", 0, batch_of(KIB)) == (0, 0)
    frames = [fetch_frame(Frames(), "small", 0, 0, max_bytes=KIB)]

    def asked(broker: RunningBroker, connections: int) -> Round:
        return play_crowd(broker.pid, broker.port, frames, connections, 4 * REQUESTS, KIB)

    what = "a fetch of 1 KiB, connections: {}"
    _curves(pair, figures, what, CROWDS, asked, rounds, goal=0.6)


def _curves(
    pair: Pair,
    figures: Figures,
    what: str,
    sizes: Sequence[int],
    player: Callable[[RunningBroker, int], Round],
    rounds: int,
    *,
    goal: float,
) -> None:
    found: list[list[Curve]] = [[] for _ in pair.both()]
    for _ in range(1 + rounds):  # the first warms up
        curves: list[dict[int, float]] = [{} for _ in found]
        for size in sizes:
            for curve, broker in zip(curves, pair.both(), strict=True):
                curve[size] = cpu_us_per_request(player(broker, size))
        for curves_so_far, curve in zip(found, curves, strict=True):
            curves_so_far.append(curve)
    sides = [curves_of_one[1:] for curves_of_one in found]
    theirs = sides[1] if len(sides) > 1 else None
    add_curves(figures, TABLE, what.format, "µs", sides[0], theirs, goal=goal)
