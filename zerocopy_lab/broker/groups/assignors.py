"""Which member of a consumer group reads which partition: the two ways that Kafka's brokers know.

    uniform   all members get equally many, and keep what they have as far as that allows
    range     of each topic, the first member gets the first partitions, the next the next ones:
              partitions of the same number meet at the same member, so that topics can be joined

In the classic protocol a member, the leader, does this; since KIP-848 the broker does. A topic is
named by its id here: another topic of the same name is another topic. Compared with Kafka's
`UniformAssignor` members who do not all read the same topics are balanced by moving single
partitions, in fewer rounds and with less care; racks do not count (there is one broker).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

Slot = tuple[UUID, int]  # a topic's id, and one of its partitions
Slots = frozenset[Slot]
NO_SLOTS: Slots = frozenset()


class Subscriber(NamedTuple):
    """One who wants partitions. `name` orders the members: a static one has the same again."""

    name: str
    member_id: str
    topic_ids: frozenset[UUID]
    has: Slots = NO_SLOTS


#: Members and the number of partitions of each topic go in, what each member has to read comes out.
Assignor = Callable[[Sequence[Subscriber], Mapping[UUID, int]], dict[str, Slots]]


def uniform(members: Sequence[Subscriber], partitions: Mapping[UUID, int]) -> dict[str, Slots]:
    """Equally many for all, and as few changes as possible."""
    all_alike = len({member.topic_ids for member in members}) == 1
    wanted = {topic_id for member in members for topic_id in member.topic_ids}
    free = {(topic_id, i) for topic_id in wanted for i in range(partitions.get(topic_id, 0))}
    shares = _equal_shares(members, len(free)) if all_alike else dict.fromkeys(members, len(free))
    given: dict[Subscriber, set[Slot]] = {}
    for member in members:
        kept = sorted(slot for slot in member.has & free if slot[0] in member.topic_ids)
        given[member] = set(kept[: shares[member]])
        free -= given[member]
    for topic_id in sorted(wanted):
        _deal(sorted(slot for slot in free if slot[0] == topic_id), topic_id, given)
    while not all_alike and _level_all(given):
        pass
    return {member.member_id: frozenset(slots) for member, slots in given.items()}


def _equal_shares(members: Sequence[Subscriber], slot_count: int) -> dict[Subscriber, int]:
    """How many each may keep. Those who have most get the one more that does not divide evenly."""
    share, over = divmod(slot_count, len(members))
    richest = sorted(members, key=lambda member: -len(member.has))
    return {member: share + (place < over) for place, member in enumerate(richest)}


def _deal(slots: Iterable[Slot], topic_id: UUID, given: dict[Subscriber, set[Slot]]) -> None:
    """Give each to a reader of its topic who has least."""
    heap = [(len(s), m.name, m) for m, s in given.items() if topic_id in m.topic_ids]
    heapq.heapify(heap)
    for slot in slots:
        count, name, member = heap[0]
        given[member].add(slot)
        heapq.heapreplace(heap, (count + 1, name, member))


def _level_all(given: dict[Subscriber, set[Slot]]) -> bool:
    """Whether anything was moved from one who has much to one who has less."""
    moves = [_level(slot, owner, given) for owner in given for slot in sorted(given[owner])]
    return any(moves)


def _level(slot: Slot, owner: Subscriber, given: dict[Subscriber, set[Slot]]) -> bool:
    """Whether somebody had so much less than the owner that the partition went to him."""
    if slot not in given[owner]:
        return False
    readers = [member for member in given if slot[0] in member.topic_ids]
    poorest = min(readers, key=lambda member: (len(given[member]), member.name))
    if len(given[owner]) - len(given[poorest]) < 2:
        return False
    given[owner].remove(slot)
    given[poorest].add(slot)
    return True


def range_(members: Sequence[Subscriber], partitions: Mapping[UUID, int]) -> dict[str, Slots]:
    """Neighbouring partitions of each topic for each of its readers."""
    given: dict[str, set[Slot]] = {member.member_id: set() for member in members}
    for topic_id in {topic_id for member in members for topic_id in member.topic_ids}:
        readers = sorted(m for m in members if topic_id in m.topic_ids)
        share, over = divmod(partitions.get(topic_id, 0), len(readers))
        first = 0
        for place, member in enumerate(readers):
            behind = first + share + (place < over)
            given[member.member_id] |= {(topic_id, i) for i in range(first, behind)}
            first = behind
    return {member_id: frozenset(slots) for member_id, slots in given.items()}


#: By Kafka's names; the first is taken where the members have no wish (`group.consumer.assignors`).
ASSIGNORS: dict[str, Assignor] = {"uniform": uniform, "range": range_}


def favourite(wishes: Iterable[str | None]) -> str:
    """The assignor that most members wish for. (The log of another broker may know of others.)"""
    votes = Counter(wish for wish in wishes if wish in ASSIGNORS)
    return votes.most_common(1)[0][0] if votes else next(iter(ASSIGNORS))
