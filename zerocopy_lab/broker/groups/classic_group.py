"""A classic consumer group: who is in it, what they agreed on, and the plain values that go in and
out of its rules.

`classic_states` says in which states a group can be, `classic_rebalance` makes it change,
`classic_coordinator` decides who may ask for that. No Kafka message and no socket appears here: the
handlers translate, so that a test or a notebook can play a whole rebalance with a few values.
Source: Kafka's `ClassicGroup` and `ClassicGroupMember`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.broker.groups.alarm import Alarm
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


class JoinRequest(NamedTuple):
    """What a client says when it wants to be a member. Protocols are in the client's order of
    preference.
    """

    group_id: str
    member_id: str  # "" for one who has none yet
    group_instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str  # "consumer" for consumers; Kafka Connect has its own
    protocols: Mapping[str, bytes]  # name of an assignor -> the member's subscription
    needs_member_id: bool  # JoinGroup >= 4: first ask for an id, then join with it (KIP-394)
    may_skip_assignment: bool  # JoinGroup >= 9 (KIP-814)


class JoinResult(NamedTuple):
    """The answer to a JoinRequest. `members` is filled for the leader alone, who assigns partitions
    to them.
    """

    member_id: str
    error_code: int = 0
    generation_id: int = -1
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader_id: str = ""
    members: tuple[tuple[str, str | None, bytes], ...] = ()  # member id, instance id, subscription
    skip_assignment: bool = False


class SyncRequest(NamedTuple):
    """A member asks for its assignment; the leader brings everybody's."""

    group_id: str
    generation_id: int
    member_id: str
    group_instance_id: str | None
    protocol_type: str | None  # SyncGroup >= 5, else None
    protocol_name: str | None
    assignments: Mapping[str, bytes]


class SyncResult(NamedTuple):
    """The answer to a SyncRequest."""

    error_code: int = 0
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignment: bytes = b""


JoinReply = Callable[[JoinResult], object]
SyncReply = Callable[[SyncResult], object]


@dataclass(slots=True, eq=False)
class ClassicMember:
    """One client in one group, as its coordinator knows it."""

    member_id: str
    group_instance_id: str | None  # static membership: the name outlives the process (KIP-345)
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: dict[str, bytes] = field(default_factory=dict)
    assignment: bytes = b""
    #: Who gets the answer of a JoinGroup or SyncGroup that waits for the others.
    join_reply: JoinReply | None = None
    sync_reply: SyncReply | None = None
    #: Rings when nothing was heard of the member for its session timeout. Off while an answer is
    #: owed to it.
    session: Alarm | None = None

    @classmethod
    def from_request(cls, member_id: str, request: JoinRequest) -> ClassicMember:
        """The member that `request` describes, under the id it was given."""
        member = cls(member_id, request.group_instance_id, "", "", 0, 0)
        member.update(request)
        return member

    def update(self, request: JoinRequest) -> None:
        """Take over what may change when a member joins again, or its process starts anew."""
        self.client_id, self.client_host = request.client_id, request.client_host
        self.session_timeout_ms = request.session_timeout_ms
        self.rebalance_timeout_ms = request.rebalance_timeout_ms
        self.protocols = dict(request.protocols)

    def said_the_same(self, request: JoinRequest) -> bool:
        """Whether `request` repeats the protocols, their order and the subscriptions that are known
        already.
        """
        return list(self.protocols.items()) == list(request.protocols.items())

    def wait_to_join(self, reply: JoinReply) -> None:
        """Its JoinGroup is answered when the others are there; until then it need not speak."""
        self.end_session_watch()
        self.join_reply = reply

    def wait_to_sync(self, reply: SyncReply) -> None:
        """Its SyncGroup is answered when the leader has assigned; until then it need not speak."""
        self.end_session_watch()
        self.sync_reply = reply

    def take_join_reply(self) -> JoinReply | None:
        """Who waits for the answer of JoinGroup; nobody does afterwards."""
        reply, self.join_reply = self.join_reply, None
        return reply

    def take_sync_reply(self) -> SyncReply | None:
        """Who waits for the answer of SyncGroup; nobody does afterwards."""
        reply, self.sync_reply = self.sync_reply, None
        return reply

    @property
    def is_owed_an_answer(self) -> bool:
        """Whether it waits, so that it is not expected to speak."""
        return self.join_reply is not None or self.sync_reply is not None

    def watch_session(self, alarm: Alarm) -> None:
        """Let `alarm` ring unless the member is heard of before."""
        self.end_session_watch()
        self.session = alarm

    def end_session_watch(self) -> None:
        """Stop listening for the member's heartbeats."""
        if self.session is not None:
            self.session.cancel()
            self.session = None

    def assign(self, assignment: bytes) -> None:
        """What the leader wants it to work on."""
        self.assignment = assignment


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
