"""Replica placement against what Apache Kafka itself answered.

The answers are those of Kafka 3.9.1's `AdminUtils` (with `fixedStartIndex`) and 4.2.0's
`StripedReplicaPlacer` (with a seeded `java.util.Random`), for 10 partitions with 3 replicas on
brokers 0 to 5, dealt out in turn to the racks named.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from zerocopy_lab.placement import Replicas
from zerocopy_lab.placement.shifted_replicas import place_shifted, place_shifted_over_racks
from zerocopy_lab.placement.striped_replicas import place_striped


class JavaRandom(random.Random):
    """`java.util.Random` and `Collections.shuffle`, as their documentation defines them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._state = (seed ^ 0x5DEECE66D) & ((1 << 48) - 1)

    def _next(self, bits: int) -> int:
        self._state = (self._state * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        return self._state >> (48 - bits)

    def randrange(self, bound: int, *_: Any) -> int:
        if bound & -bound == bound:
            return bound * self._next(31) >> 31
        while True:
            drawn = self._next(31)
            if drawn - drawn % bound + bound - 1 < 1 << 31:
                return drawn % bound

    def shuffle(self, x: Any) -> None:
        for last in range(len(x) - 1, 0, -1):
            other = self.randrange(last + 1)
            x[last], x[other] = x[other], x[last]


def racks_of(names: str) -> dict[int, str]:
    return {broker: names[broker % len(names)] if names else "" for broker in range(6)}


def shown(replicas: Replicas) -> str:
    return " ".join("".join(map(str, held)) for held in replicas.values())


@pytest.mark.parametrize(
    ("racks", "seed", "answer"),
    [
        ("", 1, "345 450 501 012 123 234 031 312 124 245"),
        ("", 2, "450 501 012 123 234 345 524 243 430 301"),
        ("", 42, "234 345 450 501 012 123 314 140 402 025"),
        ("AB", 1, "032 521 410 305 254 143 325 054 143 230"),
        ("AB", 2, "123 430 501 214 345 052 230 501 412 325"),
        ("AB", 42, "143 032 521 410 305 254 014 345 250 103"),
        ("ABC", 1, "312 450 231 045 123 504 102 354 210 435"),
        ("ABC", 2, "153 204 315 420 531 042 435 021 543 102"),
        ("ABC", 42, "531 042 153 204 315 420 051 243 105 324"),
    ],
)
def test_striped(racks: str, seed: int, answer: str) -> None:
    assert shown(place_striped(10, 3, racks_of(racks), JavaRandom(seed))) == answer


@pytest.mark.parametrize(
    ("racks", "start", "answer"),
    [
        ("", 0, "012 123 234 345 450 501 023 134 245 350"),
        ("", 2, "250 301 412 523 034 145 201 312 423 534"),
        ("", 5, "501 012 123 234 345 450 512 023 134 245"),
        ("AB", 0, "012 123 234 345 450 501 034 145 250 301"),
        ("AB", 2, "213 324 435 540 051 102 250 301 412 523"),
        ("AB", 5, "501 012 123 234 345 450 523 034 145 250"),
        ("ABC", 0, "012 123 234 345 450 501 045 150 201 312"),
        ("ABC", 2, "240 351 402 513 024 135 213 324 435 540"),
        ("ABC", 5, "501 012 123 234 345 450 534 045 150 201"),
        ("ABBC", 0, "013 134 342 423 203 503 023 103 301 413"),
        ("ABBC", 2, "320 453 203 534 032 143 314 432 243 503"),
        ("ABBC", 5, "503 013 134 342 423 203 543 023 103 301"),
    ],
)
def test_shifted(racks: str, start: int, answer: str) -> None:
    if racks:
        placed = place_shifted_over_racks(10, 3, racks_of(racks), start_index=start, shift=start)
    else:
        placed = place_shifted(10, 3, range(6), start_index=start, shift=start)
    assert shown(placed) == answer
