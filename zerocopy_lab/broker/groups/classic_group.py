"""A classic consumer group: who is in it, and what they agreed on.

`classic_states` says in which states a group can be, `classic_rebalance` makes it change,
`classic_coordinator` decides who may ask for that. Source: Kafka's `ClassicGroup`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from struct import Struct, error

from zerocopy_lab.broker.groups.alarm import Alarm
from zerocopy_lab.broker.groups.classic_member import ClassicMember
from zerocopy_lab.broker.groups.classic_states import (
    REFUSALS,
    TRANSITIONS,
    ClassicEvent,
    ClassicState,
    Wish,
)

#: The protocol type of consumers, whose subscriptions a broker can read.
CONSUMER = "consumer"

#: A client may ask for 0 or less; the alarm that comes back until a member speaks must not become a
#: busy loop.
SHORTEST_REBALANCE_TIMEOUT_MS = 100

_INT16 = Struct(">h")
_INT32 = Struct(">i")


class ClassicGroup:
    """The members of one group and what they agreed on. Guarded by the coordinator's lock."""

    kind = "classic"

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.state = ClassicState.EMPTY
        self.state_since_ms = 0  # wall clock
        self.generation_id = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.leader_id: str | None = None
        self.members: dict[str, ClassicMember] = {}  # in the order of joining
        self.static_members: dict[str, str] = {}  # group.instance.id -> member id
        #: Ids that were given to newcomers who have not come back with them yet.
        self.pending_members: dict[str, Alarm] = {}
        #: Members that know the new generation but have not asked for their assignment.
        self.pending_sync: set[str] = set()
        #: Ends the half of the rebalance that the group is in, should somebody be too slow.
        self.deadline: Alarm | None = None
        #: While the first members of an empty group gather (group.initial.rebalance.delay.ms).
        self.is_gathering = False

    @classmethod
    def restored(
        cls,
        group_id: str,
        protocol_type: str | None,
        protocol_name: str | None,
        generation_id: int,
        state_since_ms: int,
        leader_id: str | None,
        members: Iterable[ClassicMember],
    ) -> ClassicGroup:
        """A group as the log tells of it: Stable when it has members, else Empty."""
        group = cls(group_id)
        group.protocol_type, group.protocol_name = protocol_type, protocol_name
        group.generation_id, group.state_since_ms = generation_id, state_since_ms
        for member in members:
            group.add(member)
        group.leader_id = leader_id if leader_id in group.members else group.leader_id
        group.state = ClassicState.STABLE if group.members else ClassicState.EMPTY
        return group

    def happen(self, event: ClassicEvent) -> None:
        """Go to the state that the table says. KeyError: the table has no such way."""
        after = TRANSITIONS[self.state, event]
        if after is not self.state:
            self.state, self.state_since_ms = after, time.time_ns() // 1_000_000

    def check(self, wish: Wish) -> None:
        """Raises what somebody with this wish is told, if the table refuses it now."""
        refusal = REFUSALS.get((wish, self.state))
        if refusal is not None:
            raise refusal(f"{self.group_id} is {self.state}")

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it or on the way into it."""
        return not self.members and not self.pending_members

    def add(self, member: ClassicMember, protocol_type: str | None = None) -> None:
        """Take in a member; the first one leads until it leaves, and says which type it is."""
        if not self.members and protocol_type is not None:
            self.protocol_type = protocol_type
        self.members[member.member_id] = member
        if member.group_instance_id is not None:
            self.static_members[member.group_instance_id] = member.member_id
        if self.leader_id is None:
            self.leader_id = member.member_id

    def remove(self, member: ClassicMember) -> None:
        """Forget a member. Its answers, if any are owed, are the caller's business."""
        member.end_session_watch()
        del self.members[member.member_id]
        self.pending_sync.discard(member.member_id)
        if member.group_instance_id is not None:
            del self.static_members[member.group_instance_id]
        if self.leader_id == member.member_id:
            self.leader_id = next(iter(self.members), None)

    def rename(self, member: ClassicMember, new_member_id: str) -> None:
        """A static member came back from a restart: same place, same assignment, new id."""
        was_leader = self.leader_id == member.member_id
        self.remove(member)
        member.member_id = new_member_id
        self.add(member)
        if was_leader:
            self.leader_id = new_member_id

    def set_deadline(self, alarm: Alarm | None) -> None:
        """Have this half of the rebalance end with `alarm`, instead of what was set before."""
        if self.deadline is not None:
            self.deadline.cancel()
        self.deadline = alarm

    def gather(self, is_gathering: bool) -> None:
        """Whether the first members still wait for more."""
        self.is_gathering = is_gathering

    def find_leader(self) -> bool:
        """Make sure that the leader is one of those who have joined; False when nobody has."""
        if self.leader_id is None or self.members[self.leader_id].join_reply is None:
            joined = (m.member_id for m in self.members.values() if m.join_reply is not None)
            leader_id = next(joined, None)
            if leader_id is None:
                return False
            self.leader_id = leader_id
        return True

    def begin_generation(self) -> None:
        """Those who are here are the members from now on."""
        self.generation_id = (self.generation_id + 1) % (1 << 31)
        self.pending_sync = set(self.members)
        self.happen(ClassicEvent.GATHERED if self.members else ClassicEvent.DESERTED)
        self.protocol_name = self.choose_protocol() if self.members else None

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long the slowest member may take to join again."""
        wished_ms = [member.rebalance_timeout_ms for member in self.members.values()]
        return max([SHORTEST_REBALANCE_TIMEOUT_MS, *wished_ms])

    def everybody_joined(self) -> bool:
        """Whether no member, and nobody who was given an id, is still missing."""
        return (
            not self.pending_members
            and not self.is_gathering
            and all(member.join_reply is not None for member in self.members.values())
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

    def unused_since_ms(self, topic: str) -> int | None:
        """Since when the group's offsets in `topic` are of no use (0: for ever); None: they are."""
        if self.state is ClassicState.EMPTY:
            return self.state_since_ms
        settled = self.state is ClassicState.STABLE and self.protocol_type == CONSUMER
        return 0 if settled and not self.reads_topic(topic) else None

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
