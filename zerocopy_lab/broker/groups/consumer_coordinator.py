"""Who may do what in a KIP-848 consumer group: one request, ConsumerGroupHeartbeat, for everything.

A member joins, says what it wants and what it has let go of, hears what to read, and leaves, all
with its heartbeats. Errors that clients act upon:

| error                  | what the client does                                          |
|------------------------|---------------------------------------------------------------|
| UNKNOWN_MEMBER_ID      | gives up its partitions, joins anew                           |
| FENCED_MEMBER_EPOCH    | the same: it was away too long, or did not let go in time     |
| STALE_MEMBER_EPOCH     | commits again with the epoch of its next heartbeat            |
| UNRELEASED_INSTANCE_ID | stops: another process has its static name                    |
| UNSUPPORTED_ASSIGNOR   | stops                                                         |

Which protocol may enter which group: a group without members becomes one of the protocol of whoever
comes next, its offsets stay. While there are members, others of the same protocol only may come
(Kafka's `group.consumer.migration.policy=disabled`): a classic member hears
INCONSISTENT_GROUP_PROTOCOL, one of the new protocol GROUP_ID_NOT_FOUND. Left out: the migration of
a group in use, settings of single groups, and regular expressions, since Python's may take for
ever; a client is told.

Source: Kafka's `GroupMetadataManager` (consumer groups) and KIP-848.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

from zerocopy_lab.broker.groups.alarm import Alarm, CoordinatorLock
from zerocopy_lab.broker.groups.assignors import ASSIGNORS, NO_SLOTS, Slots, Subscriber, favourite
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.consumer_group import (
    JOINS,
    LEAVES_FOR_NOW,
    ConsumerGroup,
    ConsumerMember,
    GroupChange,
    MemberState,
    Subscription,
)
from zerocopy_lab.broker.groups.store import GroupStore
from zerocopy_lab.broker.settings import GroupSettings
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import (
    FencedInstanceId,
    FencedMemberEpoch,
    GroupIdNotFound,
    GroupMaxSizeReached,
    InvalidRegularExpression,
    InvalidRequest,
    KafkaError,
    UnknownMemberId,
    UnreleasedInstanceId,
    UnsupportedAssignor,
)
from zerocopy_lab.log import TopicInfo

_LOGGER = logging.getLogger(__name__)

T = TypeVar("T")


class ConsumerHeartbeat(NamedTuple):
    """What a member says. None (-1 for the time-out) is what it has said before."""

    group_id: str
    member_id: str
    epoch: int
    client_id: str = ""
    client_host: str = ""
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = -1
    topic_names: tuple[str, ...] | None = None
    topic_regex: str | None = None
    assignor: str | None = None
    owns: Slots | None = None


class HeartbeatResult(NamedTuple):
    """What it hears. No assignment: the one that it knows already."""

    member_id: str
    epoch: int
    assignment: Slots | None = None


class ConsumerCoordinator:
    """The consumer groups among all `groups`, which `lock` guards. Thread-safe.

    `topics` tells what topics there are now.
    """

    def __init__(
        self,
        lock: CoordinatorLock,
        timers: Timers,
        store: GroupStore,
        groups: dict[str, ClassicGroup | ConsumerGroup],
        topics: Callable[[], Mapping[str, TopicInfo]],
        settings: GroupSettings,
    ) -> None:
        self._lock = lock
        self._timers = timers
        self._store = store
        self._groups = groups
        self._topics = topics
        self.settings = settings
        with lock.held():
            for group in groups.values():
                for member in group.members.values():
                    if isinstance(group, ConsumerGroup) and isinstance(member, ConsumerMember):
                        # Restored members go on as if nothing had happened, if they are there.
                        self._heard_of(group, member.member_id)
                        self._watch_revocation(group, member)

    def heartbeat(self, beat: ConsumerHeartbeat) -> HeartbeatResult:
        """Take a member in, a step further, or out. Raises KafkaError: nothing has changed."""
        self._check(beat)
        with self._lock.held():
            group = self._group(beat)
            if beat.epoch < JOINS:
                return self._leave(group, beat)
            known, change = self._known(group, beat)
            said = _told(known.subscription, beat)
            is_new = known.member_id not in group.members and not change.members
            member = replace(known, subscription=said)
            change.members[member.member_id] = member
            if is_new or not said.reads_the_same(known.subscription):
                change.epoch = group.epoch + 1
            self._retarget(group, change)
            target = _changed(group.targets, change.targets).get(member.member_id, NO_SLOTS)
            target_epoch = change.target_epoch or group.target_epoch
            # What nobody but its owner may be given; one that is told to let go owns it still.
            others = _changed(group.members, change.members).values()
            others_own = NO_SLOTS.union(*(m.owns | m.revokes for m in others if m is not member))
            member = member.reconciled(target, target_epoch, beat.owns, others_own)
            change.members[member.member_id] = member
            if member != known or change.epoch is not None or change.target_epoch is not None:
                self._store.save_change(group, change)
                self._groups[group.group_id] = group
                group.apply(change)
            self._heard_of(group, member.member_id)
            if member != known:
                self._watch_revocation(group, member)
            wants_all = beat.epoch == JOINS or (
                beat.owns is not None and beat.rebalance_timeout_ms >= 0
            )
            is_news = wants_all or member.owns != known.owns
            return HeartbeatResult(member.member_id, member.epoch, member.owns if is_news else None)

    # Checks -------------------------------------------------------------------------------------

    def _check(self, beat: ConsumerHeartbeat) -> None:
        """Kafka's checks of the request alone. Raises InvalidRequest, UnsupportedAssignor, ..."""
        wrong = None
        if not beat.group_id:
            wrong = "a group needs a name"
        elif not beat.member_id:
            wrong = "a member needs an id, which it makes itself"
        elif "" in (beat.instance_id, beat.rack_id):
            wrong = "an instance id or a rack id has letters, or is null"
        elif beat.epoch < LEAVES_FOR_NOW:
            wrong = f"there is no epoch {beat.epoch}"
        elif beat.epoch == LEAVES_FOR_NOW and beat.instance_id is None:
            wrong = "only a member with an instance id can leave for a while"
        elif beat.epoch == JOINS:
            if beat.rebalance_timeout_ms < 0:
                wrong = "who joins says how long it may take to let go of partitions"
            elif beat.topic_names is None and beat.topic_regex is None:
                wrong = "who joins says what it wants to read"
            elif beat.owns:
                wrong = "who joins has no partitions"
        if wrong:
            raise InvalidRequest(wrong)
        if beat.topic_regex:
            raise InvalidRegularExpression(
                f"{beat.topic_regex!r}: this broker takes names of topics, no expressions; "
                "group.protocol=classic matches in the client"
            )
        if beat.assignor is not None and beat.assignor not in ASSIGNORS:
            raise UnsupportedAssignor(f"{beat.assignor}: there are {', '.join(ASSIGNORS)}")

    def _group(self, beat: ConsumerHeartbeat) -> ConsumerGroup:
        group = self._groups.get(beat.group_id)
        if isinstance(group, ConsumerGroup):
            return group
        if group is not None and beat.epoch == JOINS and group.is_empty:
            self._store.remove_group(group)
            return ConsumerGroup(beat.group_id)
        if group is not None:
            raise GroupIdNotFound(f"group {beat.group_id} has members of the classic protocol")
        if beat.epoch != JOINS:
            raise GroupIdNotFound(f"there is no consumer group {beat.group_id}")
        return ConsumerGroup(beat.group_id)

    def _known(
        self, group: ConsumerGroup, beat: ConsumerHeartbeat
    ) -> tuple[ConsumerMember, GroupChange]:
        """The member as it is known, or a new one; and what taking it in changes."""
        static = group.static_member(beat.instance_id)
        member = group.members.get(beat.member_id)
        change = GroupChange()
        if static is not None and static.member_id != beat.member_id:
            if beat.epoch != JOINS:
                raise FencedInstanceId(f"{beat.instance_id} is {static.member_id} now")
            if static.epoch != LEAVES_FOR_NOW:
                raise UnreleasedInstanceId(f"{beat.instance_id} is {static.member_id} still")
        if static is not None and static.epoch == LEAVES_FOR_NOW and beat.epoch == JOINS:
            # The name has come back: same place, same partitions, new id.
            change.members[static.member_id] = change.targets[static.member_id] = None
            change.targets[beat.member_id] = group.targets.get(static.member_id, NO_SLOTS)
            return replace(static, member_id=beat.member_id, epoch=JOINS), change
        if member is not None:
            _check_epoch(member, beat)
            return member, change
        if beat.epoch != JOINS:
            raise UnknownMemberId(f"{group.group_id} has no member {beat.member_id}")
        if len(group.members) >= self.settings.group_consumer_max_size:
            raise GroupMaxSizeReached(f"{group.group_id} has {len(group.members)} members")
        return ConsumerMember(beat.member_id), change

    # Targets ------------------------------------------------------------------------------------

    def _retarget(self, group: ConsumerGroup, change: GroupChange) -> None:
        """Make a new target, if members, subscriptions or topics are not those of the last one."""
        topics = self._topics()
        members = _changed(group.members, change.members)
        read = {name for member in members.values() for name in member.subscription.topic_names}
        there = {name: topics[name] for name in sorted(read) if name in topics}
        topics_hash = _hash(there)
        if change.epoch is None and topics_hash != group.topics_hash:
            change.epoch = group.epoch + 1
        change.topics_hash = topics_hash
        epoch = change.epoch or group.epoch
        if epoch == group.target_epoch:
            return
        targets = _changed(group.targets, change.targets)
        subscribers = [
            Subscriber(
                member.subscription.instance_id or member.member_id,
                member.member_id,
                frozenset(
                    there[name].topic_id
                    for name in member.subscription.topic_names
                    if name in there
                ),
                targets.get(member.member_id, NO_SLOTS),
            )
            for member in members.values()
        ]
        assign = ASSIGNORS[favourite(member.subscription.assignor for member in members.values())]
        partitions = {topic.topic_id: topic.partitions for topic in there.values()}
        for member_id, target in assign(subscribers, partitions).items():
            if group.targets.get(member_id) != target:
                change.targets[member_id] = target
            else:
                change.targets.pop(member_id, None)
        change.target_epoch = epoch

    def look_at(self, group_id: str, look: Callable[[ConsumerGroup], T]) -> T | None:
        """What `look()` sees of the group while it does not change; None: not such a group."""
        with self._lock.held():
            group = self._groups.get(group_id)
            return look(group) if isinstance(group, ConsumerGroup) else None

    # Leaving ------------------------------------------------------------------------------------

    def _leave(self, group: ConsumerGroup, beat: ConsumerHeartbeat) -> HeartbeatResult:
        member = group.members.get(beat.member_id)
        static = group.static_member(beat.instance_id)
        if beat.instance_id is not None and static is None:
            raise UnknownMemberId(f"{group.group_id} has no instance {beat.instance_id}")
        if static is not None and static.member_id != beat.member_id:
            raise FencedInstanceId(f"{beat.instance_id} is {static.member_id} now")
        if member is None:
            raise UnknownMemberId(f"{group.group_id} has no member {beat.member_id}")
        if beat.epoch == LEAVES_FOR_NOW:
            # It keeps its partitions until its session ends; nobody else may have them meanwhile.
            away = member.at(LEAVES_FOR_NOW, MemberState.STABLE, member.owns, NO_SLOTS)
            change = GroupChange(members={member.member_id: away})
            self._store.save_change(group, change)
            group.apply(change)
            group.watch_revocation(member.member_id, None)
        else:
            self._remove(group, member.member_id)
        return HeartbeatResult(beat.member_id, beat.epoch)

    def remove(self, group_id: str, member_id: str, instance_id: str | None) -> bool:
        """An administrator throws a member out, a static one by its name. False: not such a group.
        Raises UnknownMemberId.
        """
        with self._lock.held():
            group = self._groups.get(group_id)
            if not isinstance(group, ConsumerGroup):
                return False
            static = group.static_member(instance_id)
            found = static.member_id if static is not None else member_id
            if found not in group.members or (member_id and member_id != found):
                raise UnknownMemberId(f"{group_id} has no member {instance_id or member_id}")
            self._remove(group, found)
            return True

    def _remove(self, group: ConsumerGroup, member_id: str) -> None:
        change = GroupChange(
            epoch=group.epoch + 1,
            topics_hash=group.topics_hash,
            members={member_id: None},
            targets={member_id: None},
        )
        self._store.save_change(group, change)
        group.apply(change)

    # Times --------------------------------------------------------------------------------------

    def _alarm(self, delay_ms: int, action: Callable[[], None]) -> Alarm:
        return Alarm(self._timers, self._lock, delay_ms / 1000, action)

    def _heard_of(self, group: ConsumerGroup, member_id: str) -> None:
        fence = partial(self._fence, group, member_id, "was not heard of")
        timeout_ms = self.settings.group_consumer_session_timeout_ms
        group.watch_session(member_id, self._alarm(timeout_ms, fence))

    def _watch_revocation(self, group: ConsumerGroup, member: ConsumerMember) -> None:
        alarm = None
        if member.state is MemberState.UNREVOKED:
            fence = partial(self._fence, group, member.member_id, "did not let go in time")
            alarm = self._alarm(member.subscription.rebalance_timeout_ms, fence)
        group.watch_revocation(member.member_id, alarm)

    def _fence(self, group: ConsumerGroup, member_id: str, why: str) -> None:
        if member_id not in group.members or self._groups.get(group.group_id) is not group:
            return
        _LOGGER.info("group %s: member %s %s and is out", group.group_id, member_id, why)
        try:
            self._remove(group, member_id)
        except KafkaError as cause:
            _LOGGER.warning("that could not be written, so it stays for now: %s", cause)
            self._heard_of(group, member_id)


def new_member_id() -> str:
    """For a member of before version 1 that brings none."""
    return str(uuid.uuid4())


def _told(known: Subscription, beat: ConsumerHeartbeat) -> Subscription:
    """What is known of a member, with what it says now."""
    names, timeout_ms = beat.topic_names, beat.rebalance_timeout_ms
    return Subscription(
        beat.instance_id or known.instance_id,
        beat.rack_id or known.rack_id,
        beat.client_id or known.client_id,
        beat.client_host or known.client_host,
        known.rebalance_timeout_ms if timeout_ms < 0 else timeout_ms,
        known.topic_names if names is None else tuple(sorted(set(names))),
        None,
        beat.assignor or known.assignor,
    )


def _check_epoch(member: ConsumerMember, beat: ConsumerHeartbeat) -> None:
    """Raises FencedMemberEpoch, unless the member has just missed an answer: then it repeats what
    it said before, and has nothing that it was not given.
    """
    if beat.epoch == member.epoch:
        return
    if beat.epoch == member.previous_epoch and beat.owns is not None and beat.owns <= member.owns:
        return
    raise FencedMemberEpoch(f"{member.member_id} is in epoch {member.epoch}, not {beat.epoch}")


def _changed(table: Mapping[str, T], changes: Mapping[str, T | None]) -> dict[str, T]:
    both = {**table, **changes}
    return {key: value for key, value in both.items() if value is not None}


def _hash(topics: Mapping[str, TopicInfo]) -> int:
    """A number that is another one when the topics, their ids or partitions are."""
    text = "".join(
        f"{name} {topic.topic_id} {topic.partitions}\n" for name, topic in topics.items()
    )
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
