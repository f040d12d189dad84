"""A consumer group: who is in it, in which state it is, who leads, which protocol it speaks.

        Empty ──join──▶ PreparingRebalance ──everybody joined, or too late──▶ CompletingRebalance
          ▲                ▲         ▲                                              │
          │                │         └──────────── join, leave, crash ──────────────┤
          └─last one left──┘◀───────── join, leave, crash ───────── Stable ◀──leader's SyncGroup

A generation is one agreement about who is a member. Every request names the generation it believes
in, so that a process that was away too long cannot commit offsets for partitions that others own by
now.

This module holds the data and answers questions about it; `classic_rebalance` changes the state.
Compared with Kafka's `ClassicGroup` there is no Dead state: one lock guards all groups, so nobody
can hold a group that was deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from struct import Struct, error

from zerocopy_lab.broker.groups.alarm import Alarm
from zerocopy_lab.broker.groups.member import Member

#: The protocol type of consumers, whose subscriptions a broker can read.
CONSUMER = "consumer"

#: A client may ask for 0 or less; the alarm that comes back until a member speaks must not become a
#: busy loop.
SHORTEST_REBALANCE_TIMEOUT_MS = 100

_INT16 = Struct(">h")
_INT32 = Struct(">i")


class GroupState(StrEnum):
    """The states by the names that Kafka's tools print."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"  # what is said of a group that does not exist


class Group:
    """The members of one group and what they agreed on. Guarded by the coordinator's lock."""

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.state = GroupState.EMPTY
        self.state_since_ms = 0  # wall clock
        self.generation_id = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.leader_id: str | None = None
        self.members: dict[str, Member] = {}  # in the order of joining
        self.static_members: dict[str, str] = {}  # group.instance.id -> member id
        #: Ids that were given to newcomers who have not come back with them yet.
        self.pending_members: dict[str, Alarm] = {}
        #: Members that know the new generation but have not asked for their assignment.
        self.pending_sync: set[str] = set()
        self.rebalance_alarm: Alarm | None = None
        self.sync_alarm: Alarm | None = None

    def add(self, member: Member) -> None:
        """Take in a member; the first one leads until it leaves."""
        self.members[member.member_id] = member
        if member.group_instance_id is not None:
            self.static_members[member.group_instance_id] = member.member_id
        if self.leader_id is None:
            self.leader_id = member.member_id

    def remove(self, member: Member) -> None:
        """Forget a member. Its answers, if any are owed, are the caller's business."""
        member.end_session_watch()
        del self.members[member.member_id]
        self.pending_sync.discard(member.member_id)
        if member.group_instance_id is not None:
            del self.static_members[member.group_instance_id]
        if self.leader_id == member.member_id:
            self.leader_id = next(iter(self.members), None)

    def rename(self, member: Member, new_member_id: str) -> None:
        """A static member came back from a restart: same place, same assignment, new id."""
        was_leader = self.leader_id == member.member_id
        self.remove(member)
        member.member_id = new_member_id
        self.add(member)
        if was_leader:
            self.leader_id = new_member_id

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long the slowest member may take to join again."""
        wished_ms = [member.rebalance_timeout_ms for member in self.members.values()]
        return max([SHORTEST_REBALANCE_TIMEOUT_MS, *wished_ms])

    def everybody_joined(self) -> bool:
        """Whether no member, and nobody who was given an id, is still missing."""
        return not self.pending_members and all(
            member.join_reply is not None for member in self.members.values()
        )

    def _spoken_by_all(self) -> set[str]:
        spoken = [set(member.protocols) for member in self.members.values()]
        return set.intersection(*spoken) if spoken else set()

    def accepts(self, protocol_type: str, protocols: Iterable[str]) -> bool:
        """Whether somebody who speaks `protocols` (names) can live with those who are there."""
        names = set(protocols)
        if not self.members:
            return bool(protocol_type) and bool(names)
        return protocol_type == self.protocol_type and bool(names & self._spoken_by_all())

    def choose_protocol(self) -> str:
        """The protocol that most members prefer among those that all of them speak."""
        candidates = self._spoken_by_all()
        assert candidates, "a member was let in that speaks nothing the others do"
        votes = Counter(
            next(name for name in member.protocols if name in candidates)
            for member in self.members.values()
        )
        return votes.most_common(1)[0][0]

    def subscriptions(self) -> tuple[tuple[str, str | None, bytes], ...]:
        """What the leader needs to assign: member id, instance id, subscription of each member."""
        assert self.protocol_name is not None
        return tuple(
            (member.member_id, member.group_instance_id, member.protocols[self.protocol_name])
            for member in self.members.values()
        )

    def reads_topic(self, topic: str) -> bool:
        """Whether a member of this group of consumers is subscribed to `topic`, or may be."""
        for member in self.members.values():
            for subscription in member.protocols.values():
                topics = subscribed_topics(subscription)
                if topics is None or topic in topics:
                    return True
        return False


def subscribed_topics(subscription: bytes) -> set[str] | None:
    """The topics named in a consumer's subscription, or None when it is not in Kafka's format.

    version i16, topics (count i32, each a length i16 and UTF-8), more that only the leader reads.
    Source: Kafka's ConsumerProtocolSubscription.json.
    """
    position = _INT16.size
    topics = set()
    try:
        (count,) = _INT32.unpack_from(subscription, position)
        position += _INT32.size
        for _ in range(count):
            (length_bytes,) = _INT16.unpack_from(subscription, position)
            position += _INT16.size
            topics.add(subscription[position : position + length_bytes].decode())
            position += length_bytes
    except (error, UnicodeDecodeError):
        return None
    return topics
