"""Many brokers, by arithmetic: who stores which replica, and how even "evenly" turns out.

The two placement algorithms are Kafka's own (`zerocopy_lab.placement`). Kafka draws random numbers
for each topic; here a `start` stands for them, so that all of them can be tried.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.pictures.replica_map import replica_map, sums_per_broker
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.placement import Replicas
from zerocopy_lab.placement.shifted_replicas import place_shifted, place_shifted_over_racks
from zerocopy_lab.placement.striped_replicas import place_striped

PARTITIONS, REPLICAS, BROKERS = 10, 3, 6


NO_RACKS = "no racks"
ALGORITHMS = ("shifted (ZooKeeper era)", "striped (KRaft)")


def racks_of(broker_count: int, rack_count: int) -> dict[int, str]:
    """Brokers dealt out to racks in turn; a single rack is as good as none."""
    return {broker: f"rack {chr(65 + broker % rack_count)}" for broker in range(broker_count)}


def place(
    partitions: int, replicas: int, brokers: int, rack_count: int, algorithm: str, start: int
) -> Replicas:
    """Replicas by one of ALGORITHMS; `start` stands for the random numbers that Kafka draws."""
    racks = racks_of(brokers, rack_count)
    if algorithm == ALGORITHMS[1]:
        return place_striped(partitions, replicas, racks, random.Random(start))
    begin, shift = start % brokers, start // brokers
    if rack_count == 1:
        return place_shifted(partitions, replicas, list(racks), start_index=begin, shift=shift)
    return place_shifted_over_racks(partitions, replicas, racks, start_index=begin, shift=shift)


class Evenness(NamedTuple):
    """Over all starts that were tried: the emptiest and the fullest broker, and how often all
    brokers had the same.
    """

    fewest: int
    most: int
    exactly_even: int
    starts: int


def evenness(
    algorithm: str,
    rack_count: int,
    partitions: int = PARTITIONS,
    replicas: int = REPLICAS,
    brokers: int = BROKERS,
) -> Evenness:
    """Every start that makes a difference: all pairs for the shifts, as many seeds for the
    stripes.
    """
    starts = brokers * max(1, brokers - 1)
    placed = (
        place(partitions, replicas, brokers, rack_count, algorithm, start)
        for start in range(starts)
    )
    sums = [sums_per_broker(each, range(brokers)) for each in placed]
    return Evenness(
        min(map(min, sums)), max(map(max, sums)), sum(len(set(each)) == 1 for each in sums), starts
    )


def replicas_picture(
    brokers: int, partitions: int, replicas: int, racks: int, algorithm: str, start: int = 0
) -> Picture:
    """The replica map of one such cluster. More replicas than brokers become as many as brokers."""
    rack_count = min(racks, brokers)
    placed = place(partitions, min(replicas, brokers), brokers, rack_count, algorithm, start)
    return replica_map(
        placed,
        brokers=range(brokers),
        racks=racks_of(brokers, rack_count) if rack_count > 1 else None,
        origin=Origin(f"COMPUTED with Kafka's algorithm: {algorithm}"),
    )


def replicas_words(
    brokers: int, partitions: int, replicas: int, racks: int, algorithm: str, start: int = 0
) -> str:
    """The conclusion under that picture."""
    used = min(replicas, brokers)
    placed = place(partitions, used, brokers, min(racks, brokers), algorithm, start)
    held = sums_per_broker(placed, range(brokers))
    capped = f" ({replicas} replicas cannot be on {brokers} brokers)" if used < replicas else ""
    shape = f"a broker stores {min(held)} to {max(held)}"
    if len(set(held)) == 1:
        shape = "every broker stores the same"
    mean = partitions * used / brokers
    return f"{partitions * used} replicas{capped}, {mean:.3g} a broker on average: {shape}."


def show_evenness() -> None:
    """A table: 10 × 3 on 6 brokers, both algorithms, with and without racks."""
    rows = []
    for algorithm in ALGORITHMS:
        for racks in (1, 2, 3):
            even = evenness(algorithm, racks)
            exactly = f"{even.exactly_even} of {even.starts} starts"
            named = NO_RACKS if racks == 1 else f"{racks} racks"
            held = f"{even.fewest} to {even.most}" if even.fewest < even.most else f"{even.most}"
            rows.append([algorithm, named, held, exactly])
    show_table(["algorithm", "racks", "replicas a broker", "exactly 5 on each"], rows)
