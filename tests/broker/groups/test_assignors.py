"""The assignors of the new protocol: everything is given, once, to somebody who wants it."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerocopy_lab.broker.groups.assignors import (
    ASSIGNORS,
    NO_SLOTS,
    Slots,
    Subscriber,
    favourite,
    range_,
    uniform,
)

TOPICS = [UUID(int=number) for number in range(1, 5)]


def members(*topics: set[UUID], has: list[Slots] | None = None) -> list[Subscriber]:
    owned = has or [NO_SLOTS] * len(topics)
    return [
        Subscriber(f"m{i}", f"m{i}", frozenset(wanted), slots)
        for i, (wanted, slots) in enumerate(zip(topics, owned, strict=True))
    ]


def slots(topic: UUID, *partitions: int) -> Slots:
    return frozenset((topic, partition) for partition in partitions)


def test_range_gives_neighbours_and_the_same_numbers_of_all_topics() -> None:
    a, b = TOPICS[:2]
    given_ = range_(members({a, b}, {a, b}), {a: 3, b: 3})
    assert given_ == {
        "m0": slots(a, 0, 1) | slots(b, 0, 1),
        "m1": slots(a, 2) | slots(b, 2),
    }


def test_range_gives_only_to_those_who_read_the_topic() -> None:
    a, b = TOPICS[:2]
    given_ = range_(members({a, b}, {a}), {a: 2, b: 2})
    assert given_ == {"m0": slots(a, 0) | slots(b, 0, 1), "m1": slots(a, 1)}


def test_uniform_moves_no_more_than_it_must() -> None:
    a = TOPICS[0]
    before = [slots(a, 0, 1, 2), slots(a, 3, 4, 5), NO_SLOTS]
    after = uniform(members({a}, {a}, {a}, has=before), {a: 6})
    assert after["m0"] < before[0]
    assert after["m1"] < before[1]
    assert [len(after[m]) for m in ("m0", "m1", "m2")] == [2, 2, 2]


def test_uniform_balances_members_that_read_different_topics() -> None:
    a, b = TOPICS[:2]
    before = [slots(a, 0, 1, 2, 3) | slots(b, 0, 1), NO_SLOTS]
    after = uniform(members({a, b}, {a}, has=before), {a: 4, b: 2})
    assert len(after["m0"]) == len(after["m1"]) == 3
    assert slots(b, 0, 1) <= after["m0"]


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[Subscriber], dict[UUID, int]]:
    partitions = draw(st.dictionaries(st.sampled_from(TOPICS), st.integers(0, 7)))
    alike = draw(st.none() | st.sets(st.sampled_from(TOPICS)))
    count = draw(st.integers(1, 5))
    wanted = [alike or draw(st.sets(st.sampled_from(TOPICS))) for _ in range(count)]
    # What they have may be of topics that are gone, or of a target of long ago.
    slot = st.tuples(st.sampled_from(TOPICS), st.integers(0, 8))
    has = [frozenset(draw(st.sets(slot, max_size=6))) for _ in range(count)]
    return members(*wanted, has=has), partitions


@pytest.mark.parametrize("name", ASSIGNORS)
@given(groups())
def test_all_partitions_go_to_one_reader_each(
    name: str, group: tuple[list[Subscriber], dict[UUID, int]]
) -> None:
    subscribers, partitions = group
    given_ = ASSIGNORS[name](subscribers, partitions)
    assert given_.keys() == {member.member_id for member in subscribers}
    for member in subscribers:
        assert {topic for topic, _ in given_[member.member_id]} <= member.topic_ids
    wanted = {topic for member in subscribers for topic in member.topic_ids}
    everything = sorted(
        (topic, index) for topic in wanted for index in range(partitions.get(topic, 0))
    )
    assert sorted(slot for slots in given_.values() for slot in slots) == everything


@given(groups())
def test_uniform_is_even_and_stays_as_it_is(
    group: tuple[list[Subscriber], dict[UUID, int]],
) -> None:
    subscribers, partitions = group
    given_ = uniform(subscribers, partitions)
    if len({member.topic_ids for member in subscribers}) == 1:
        counts = [len(slots) for slots in given_.values()]
        assert max(counts) - min(counts) <= 1
    again = [member._replace(has=given_[member.member_id]) for member in subscribers]
    assert uniform(again, partitions) == given_


def test_the_assignor_that_most_members_wish_for() -> None:
    assert favourite([None, None]) == "uniform"
    assert favourite(["range", None, "range", "uniform"]) == "range"
    assert favourite(["of.another.Broker", "of.another.Broker", "range"]) == "range"
