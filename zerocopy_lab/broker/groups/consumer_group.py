"""A consumer group of the new protocol (KIP-848): who is in it, who owns what, who is to own what.

There is no rebalance that stops everybody. The broker has a *target* of who is to read what, and
leads each member there on its own, one heartbeat after the other:

    Stable     ── there is a new target ──▶     Unrevoked     it is told to let go of partitions
    Unrevoked  ── it says that it let go ──▶    Unreleased    it waits for others to let go
    Unreleased ── the others let go ──▶         Stable        it has what it is to have

(Where nobody has to let go of anything, a step is left out.)

A partition is given only when its former owner has said that it let go; so no two members ever read
the same one. Three numbers say how far everybody is: the group's epoch grows with every change of
members, subscriptions or topics; the target has the epoch that it was made for; a member has the
epoch of the last target that it has let go for.

A change is made as a value, written to the log, and then applied, so that what is in memory is in
the log, too. Source: Kafka's `ConsumerGroup`, `ConsumerGroupMember`, `CurrentAssignmentBuilder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple, TypeVar

from zerocopy_lab.broker.groups.alarm import Alarm
from zerocopy_lab.broker.groups.assignors import NO_SLOTS, Slots, favourite
from zerocopy_lab.broker.groups.classic_group import CONSUMER
from zerocopy_lab.errors import StaleMemberEpoch, UnknownMemberId, UnsupportedVersion

T = TypeVar("T")

#: Instead of an epoch: a newcomer; one that goes; a static member that will be back.
JOINS, LEAVES, LEAVES_FOR_NOW = 0, -1, -2

#: The first OffsetCommit that can say a member's epoch.
COMMIT_KNOWS_EPOCHS = 9


class MemberState(IntEnum):
    """Where a member is on its way to the target, by the numbers that the log has."""

    STABLE = 0
    UNREVOKED = 1
    UNRELEASED = 2


class Subscription(NamedTuple):
    """What a member says of itself, once and whenever it changes."""

    instance_id: str | None = None  # static membership: the name outlives the process
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int = -1
    topic_names: tuple[str, ...] = ()
    topic_regex: str | None = None
    assignor: str | None = None

    def reads_the_same(self, other: Subscription) -> bool:
        """Whether the same topics are meant."""
        mine = self.topic_names, self.topic_regex
        return mine == (other.topic_names, other.topic_regex)


NOT_TOLD = Subscription()


@dataclass(frozen=True, slots=True)
class ConsumerMember:
    """One member. Never changed: a change is another one."""

    member_id: str
    subscription: Subscription = NOT_TOLD
    epoch: int = JOINS
    previous_epoch: int = JOINS
    state: MemberState = MemberState.STABLE
    owns: Slots = NO_SLOTS
    #: What it was told to let go, and has not said that it did.
    revokes: Slots = NO_SLOTS

    def at(self, epoch: int, state: MemberState, owns: Slots, revokes: Slots) -> ConsumerMember:
        """The member a step further. The epoch before is remembered: the answer that tells of the
        new one may be lost.
        """
        before = self.epoch if epoch != self.epoch else self.previous_epoch
        return replace(
            self, epoch=epoch, previous_epoch=before, state=state, owns=owns, revokes=revokes
        )

    def reconciled(
        self, target: Slots, target_epoch: int, said: Slots | None, others_own: Slots
    ) -> ConsumerMember:
        """The member one step nearer to its target. `said`: what it says it has, if it does."""
        if self.state is MemberState.STABLE and self.epoch == target_epoch:
            return self
        if self.state is MemberState.UNREVOKED and (said is None or said & self.revokes):
            return self
        owns = self.owns & target
        revokes = self.owns - target
        if revokes and (said is None or said & revokes):
            return self.at(self.epoch, MemberState.UNREVOKED, owns, revokes)
        missing = target - owns
        state = MemberState.UNRELEASED if missing & others_own else MemberState.STABLE
        return self.at(target_epoch, state, owns | (missing - others_own), NO_SLOTS)


@dataclass(slots=True)
class GroupChange:
    """What is to be different from now on. None, for a member or its target: no longer there."""

    epoch: int | None = None
    topics_hash: int = 0  # with the epoch
    target_epoch: int | None = None
    members: dict[str, ConsumerMember | None] = field(default_factory=dict)
    targets: dict[str, Slots | None] = field(default_factory=dict)


class ConsumerGroup:
    """The members of one group and its target. Guarded by the coordinator's lock."""

    kind = "consumer"
    protocol_type = CONSUMER

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = 0
        #: Of the topics that are read, their ids and partitions, when the epoch began.
        self.topics_hash = 0
        self.target_epoch = 0
        self.members: dict[str, ConsumerMember] = {}
        self.targets: dict[str, Slots] = {}
        #: Ring when a member was not heard of in time, or has not let go in time.
        self._sessions: dict[str, Alarm] = {}
        self._revocations: dict[str, Alarm] = {}

    def apply(self, change: GroupChange) -> None:
        """Let it be so."""
        if change.epoch is not None:
            self.epoch, self.topics_hash = change.epoch, change.topics_hash
        if change.target_epoch is not None:
            self.target_epoch = change.target_epoch
        _apply(self.members, change.members)
        _apply(self.targets, change.targets)
        for member_id in change.members.keys() - self.members.keys():
            self.watch_session(member_id, None)
            self.watch_revocation(member_id, None)

    def watch_session(self, member_id: str, alarm: Alarm | None) -> None:
        """Have `alarm` ring for this member, instead of the one that was set."""
        _set(self._sessions, member_id, alarm)

    def watch_revocation(self, member_id: str, alarm: Alarm | None) -> None:
        """Have `alarm` ring for this member, instead of the one that was set."""
        _set(self._revocations, member_id, alarm)

    @property
    def state(self) -> str:
        """The state by the name that Kafka's tools print."""
        if not self.members:
            return "Empty"
        if self.epoch > self.target_epoch:
            return "Assigning"
        there = all(
            member.state is MemberState.STABLE and member.epoch == self.target_epoch
            for member in self.members.values()
        )
        return "Stable" if there else "Reconciling"

    @property
    def assignor_name(self) -> str:
        """Who makes the targets."""
        return favourite(member.subscription.assignor for member in self.members.values())

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it."""
        return not self.members

    def static_member(self, instance_id: str | None) -> ConsumerMember | None:
        """Who has this static name."""
        if instance_id is None:
            return None
        members = self.members.values()
        return next((m for m in members if m.subscription.instance_id == instance_id), None)

    def reads_topic(self, topic: str) -> bool:
        """Whether a member is subscribed to `topic`, or may be."""
        said = [member.subscription for member in self.members.values()]
        return any(one.topic_regex or topic in one.topic_names for one in said)

    def unused_since_ms(self, topic: str) -> int | None:
        """Since when the group's offsets in `topic` are of no use (0: for ever); None: they are."""
        return None if self.reads_topic(topic) else 0

    def check_epoch(self, member_id: str, epoch: int) -> None:
        """Whether this member may read or write offsets. Raises UnknownMemberId, StaleMemberEpoch:
        it has to wait for the answer of its heartbeat, and try again.
        """
        member = self.members.get(member_id)
        if member is None:
            raise UnknownMemberId(f"{self.group_id} has no member {member_id}")
        if epoch != member.epoch:
            raise StaleMemberEpoch(f"{member_id} is in epoch {member.epoch}, not {epoch}")

    def check_commit(self, member_id: str, epoch: int, version: int) -> None:
        """Whether offsets may be committed: by a member, or by anybody while there is none."""
        if epoch < 0 and not member_id and not self.members:
            return
        self.check_epoch(member_id, epoch)
        if version < COMMIT_KNOWS_EPOCHS:
            raise UnsupportedVersion(f"OffsetCommit {version} knows no epochs of members")


def _apply(table: dict[str, T], changes: Mapping[str, T | None]) -> None:
    for key, value in changes.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def _set(alarms: dict[str, Alarm], key: str, alarm: Alarm | None) -> None:
    if (before := alarms.pop(key, None)) is not None:
        before.cancel()
    if alarm is not None:
        alarms[key] = alarm
