"""Many brokers, by arithmetic: who stores which replica, and how even "evenly" turns out.

The two placement algorithms are Kafka's own (`zerocopy_lab.placement`). Kafka draws random numbers
for each topic; here a `start` stands for them, so that all of them can be tried.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab01.kafkas_placer import kafkas_answers
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
    """Over all placements that were tried: the emptiest and the fullest broker, and how often all
    brokers had the same.
    """

    fewest: int
    most: int
    exactly_even: int
    starts: int


def evenness(algorithm: str, rack_count: int) -> Evenness:
    """Every start that makes a difference: all pairs for the shifts, as many seeds for the
    stripes.
    """
    starts = range(BROKERS * (BROKERS - 1))
    placed = [place(PARTITIONS, REPLICAS, BROKERS, rack_count, algorithm, s) for s in starts]
    return evenness_of(placed, BROKERS)


def evenness_of(placed: Sequence[Replicas], brokers: int) -> Evenness:
    """How even these placements of one topic are."""
    sums = [sums_per_broker(each, range(brokers)) for each in placed]
    exactly_even = sum(len(set(each)) == 1 for each in sums)
    return Evenness(min(map(min, sums)), max(map(max, sums)), exactly_even, len(placed))


@cache
def kafkas_evenness(which: str, rack_count: int) -> Evenness | Unmeasured:
    """The same by Kafka's own class, where BROKER names a Kafka that runs here."""
    if which != "kafka":
        return Unmeasured('Kafka\'s own class is asked where BROKER = "kafka"')
    answers = kafkas_answers(PARTITIONS, REPLICAS, BROKERS, rack_count)
    return answers if isinstance(answers, Unmeasured) else evenness_of(answers, BROKERS)


def replicas_picture(
    brokers: int, partitions: int, replicas: int, racks: int, algorithm: str, start: int = 0
) -> Picture:
    """The replica map of one such cluster; more replicas than brokers are no cluster at all."""
    rack_count, refused = min(racks, brokers), replicas > brokers
    return replica_map(
        {} if refused else place(partitions, replicas, brokers, rack_count, algorithm, start),
        brokers=range(brokers),
        racks=racks_of(brokers, rack_count) if rack_count > 1 else None,
        origin=Origin(f"COMPUTED with Kafka's algorithm: {algorithm}"),
        title=replicas_words(brokers, partitions, replicas, racks, algorithm, start).rstrip("."),
        nothing=_refused(brokers, replicas) if refused else "no replicas to place",
    )


def replicas_words(
    brokers: int, partitions: int, replicas: int, racks: int, algorithm: str, start: int = 0
) -> str:
    """The conclusion under that picture."""
    if replicas > brokers:
        return _refused(brokers, replicas)
    placed = place(partitions, replicas, brokers, min(racks, brokers), algorithm, start)
    held = sums_per_broker(placed, range(brokers))
    shape = f"a broker stores {min(held)} to {max(held)}"
    if len(set(held)) == 1:
        shape = "every broker stores the same"
    mean = partitions * replicas / brokers
    return f"{partitions * replicas} replicas, {mean:.3g} a broker on average: {shape}."


def _refused(brokers: int, replicas: int) -> str:
    return (
        f"{replicas} replicas need {replicas} brokers, there "
        f"{'is 1' if brokers == 1 else f'are {brokers}'}: Kafka refuses to create such a topic "
        "(INVALID_REPLICATION_FACTOR), so there is nothing to draw."
    )


def show_evenness(which: str) -> None:
    """A table: 10 × 3 on 6 brokers, both algorithms, with and without racks; Kafka's own class."""
    rows = [
        _row(algorithm, racks, evenness(algorithm, racks))
        for algorithm in ALGORITHMS
        for racks in (1, 2, 3)
    ]
    for racks in (1, 3) if which == "kafka" else ():
        even = kafkas_evenness(which, racks)
        if isinstance(even, Unmeasured):
            print(even)
            break
        rows.append(_row("Kafka's own class, in a JVM", racks, even))
    show_table(["algorithm", "racks", "replicas a broker", "exactly 5 on each"], rows)


def _row(algorithm: str, racks: int, even: Evenness) -> list[str]:
    held = f"{even.fewest} to {even.most}" if even.fewest < even.most else f"{even.most}"
    named = NO_RACKS if racks == 1 else f"{racks} racks"
    return [algorithm, named, held, f"{even.exactly_even} of {even.starts} starts"]
