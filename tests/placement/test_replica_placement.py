"""Both placement algorithms: Kafka's own examples, what always holds, and how even "evenly" is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerocopy_lab.placement import Replicas
from zerocopy_lab.placement.shifted_replicas import (
    deal_by_rack,
    place_shifted,
    place_shifted_over_racks,
)
from zerocopy_lab.placement.striped_replicas import place_striped

NO_RACKS = dict.fromkeys(range(6), "")
THREE_RACKS = {broker: f"rack {'ABC'[broker % 3]}" for broker in range(6)}


class AlwaysFirst(random.Random):
    """Draws 0 and shuffles nothing, so that the examples in Kafka's sources come out."""

    def randrange(self, *_: object) -> int:
        return 0

    def shuffle(self, x: object) -> None:
        pass


def sums(replicas: Replicas) -> list[int]:
    return sorted(Counter(broker for held in replicas.values() for broker in held).values())


def test_shifted_gives_the_example_in_kafkas_adminutils() -> None:
    assert place_shifted(10, 3, range(5)) == {
        0: (0, 1, 2), 1: (1, 2, 3), 2: (2, 3, 4), 3: (3, 4, 0), 4: (4, 0, 1),
        5: (0, 2, 3), 6: (1, 3, 4), 7: (2, 4, 0), 8: (3, 0, 1), 9: (4, 1, 2),
    }  # fmt: skip


def test_shifted_over_racks_gives_the_example_in_kafkas_adminutils() -> None:
    racks = {0: "rack1", 1: "rack3", 2: "rack3", 3: "rack2", 4: "rack2", 5: "rack1"}
    assert deal_by_rack(racks) == [0, 3, 1, 5, 4, 2]
    assert place_shifted_over_racks(7, 3, racks) == {
        0: (0, 3, 1), 1: (3, 1, 5), 2: (1, 5, 4), 3: (5, 4, 2), 4: (4, 2, 0), 5: (2, 0, 3),
        6: (0, 4, 2),
    }  # fmt: skip


def test_striped_gives_the_example_in_kafkas_stripedreplicaplacer() -> None:
    racks = {0: "A", 1: "A", 2: "A", 3: "B", 4: "B", 5: "B", 6: "C", 7: "C", 8: "C"}
    assert place_striped(3, 3, racks, AlwaysFirst()) == {0: (0, 3, 6), 1: (4, 7, 1), 2: (8, 2, 5)}


def test_striped_shuffles_once_all_brokers_have_led() -> None:
    calm = place_striped(12, 3, NO_RACKS, AlwaysFirst())
    assert [calm[p] for p in range(6)] == [calm[p + 6] for p in range(6)]
    shaken = place_striped(12, 3, NO_RACKS, random.Random(3))
    assert [shaken[p] for p in range(6)] != [shaken[p + 6] for p in range(6)]


ALGORITHMS: dict[str, Callable[[int, int, Mapping[int, str], random.Random], Replicas]] = {
    "shifted": lambda partitions, factor, racks, source: place_shifted(
        partitions, factor, list(racks), start_index=source.randrange(9), shift=source.randrange(9)
    ),
    "shifted over racks": lambda partitions, factor, racks, source: place_shifted_over_racks(
        partitions, factor, racks, start_index=source.randrange(9), shift=source.randrange(9)
    ),
    "striped": place_striped,
}
each = pytest.mark.parametrize("place", ALGORITHMS.values(), ids=ALGORITHMS.keys())


@each
@given(
    partitions=st.integers(1, 60),
    factor=st.integers(1, 5),
    racks=st.dictionaries(st.integers(0, 40), st.sampled_from("ABCD"), min_size=2, max_size=9),
    seed=st.integers(0, 1000),
)
def test_no_broker_stores_a_partition_twice(
    place: Callable[..., Replicas], partitions: int, factor: int, racks: dict[int, str], seed: int
) -> None:
    factor = min(factor, len(racks))
    replicas = place(partitions, factor, racks, random.Random(seed))
    assert list(replicas) == list(range(partitions))
    for held in replicas.values():
        assert len(held) == len(set(held)) == factor
        assert set(held) <= set(racks)


@pytest.mark.parametrize("place", [ALGORITHMS["shifted over racks"], place_striped])
@given(partitions=st.integers(1, 40), factor=st.integers(1, 6), seed=st.integers(0, 1000))
def test_replicas_use_as_many_racks_as_they_can(
    place: Callable[..., Replicas], partitions: int, factor: int, seed: int
) -> None:
    replicas = place(partitions, factor, THREE_RACKS, random.Random(seed))
    for held in replicas.values():
        assert len({THREE_RACKS[broker] for broker in held}) == min(3, factor)


@each
def test_too_few_brokers_are_refused(place: Callable[..., Replicas]) -> None:
    with pytest.raises(ValueError, match="4 replicas need as many brokers, there are 3"):
        place(1, 4, {0: "", 1: "", 2: ""}, random.Random(0))
    with pytest.raises(ValueError, match="must be over 0"):
        place(0, 1, {0: "", 1: ""}, random.Random(0))


@pytest.mark.parametrize("seed", range(50))
def test_ten_partitions_three_times_on_six_brokers_are_five_each_on_average(seed: int) -> None:
    """30 replicas, 5 a broker: exactly so with three racks of two, else between 4 and 6.

    Without racks the first six partitions give every broker three; the other four are four
    neighbouring windows of three brokers, which cannot cover six brokers twice each.
    """
    source = random.Random(seed)
    exactly = sums(place_striped(10, 3, THREE_RACKS, source))
    assert exactly == [5] * 6
    assert sums(place_striped(10, 3, NO_RACKS, source)) == [4, 4, 5, 5, 6, 6]
    shifted = sums(ALGORITHMS["shifted"](10, 3, NO_RACKS, source))
    assert sum(shifted) == 30
    assert (shifted[0], shifted[-1]) == (4, 6)


@pytest.mark.parametrize("place", [ALGORITHMS["shifted"], place_striped])
@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_whole_rounds_are_perfectly_even(place: Callable[..., Replicas], rounds: int) -> None:
    assert sums(place(6 * rounds, 3, NO_RACKS, random.Random(rounds))) == [3 * rounds] * 6


def test_shifts_spread_the_followers_of_one_leader() -> None:
    """What the growing shift is for: without it broker 0 would always be followed by 1 and 2."""
    followers = {held[1:] for held in place_shifted(30, 3, range(6)).values() if held[0] == 0}
    assert len(followers) == 5
