"""A member of a classic group, and the plain values that go in and out of the group's rules.

No Kafka message and no socket appears here: the handlers translate, so that a test or a notebook
can play a whole rebalance with a few values. Source: Kafka's `ClassicGroupMember`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from zerocopy_lab.broker.groups.alarm import Alarm


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
