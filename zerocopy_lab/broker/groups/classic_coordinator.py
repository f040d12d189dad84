"""Who may do what in a consumer group: the checks in front of every transition.

JoinGroup, SyncGroup, Heartbeat and LeaveGroup arrive here as plain values. Each is checked against
the group's state, its members and its generation, with the errors that Kafka's clients act upon:

| error                 | what the client does                              |
|-----------------------|---------------------------------------------------|
| MEMBER_ID_REQUIRED    | joins again with the id that came with the error  |
| UNKNOWN_MEMBER_ID     | forgets its id and joins as somebody new          |
| ILLEGAL_GENERATION    | joins again                                       |
| REBALANCE_IN_PROGRESS | joins again, keeping its id                       |
| FENCED_INSTANCE_ID    | stops: another process has taken its static name  |

Source: Kafka's `GroupMetadataManager` (classic groups). One broker coordinates all groups, so
NOT_COORDINATOR never occurs; the log is read before the first request, so neither does
COORDINATOR_LOAD_IN_PROGRESS.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

from zerocopy_lab.broker.groups.alarm import CoordinatorLock
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.classic_member import (
    ClassicMember,
    JoinReply,
    JoinRequest,
    JoinResult,
    SyncReply,
    SyncRequest,
    SyncResult,
)
from zerocopy_lab.broker.groups.classic_rebalance import Rebalances
from zerocopy_lab.broker.groups.classic_states import ClassicEvent, ClassicState, Wish
from zerocopy_lab.broker.groups.consumer_group import ConsumerGroup
from zerocopy_lab.broker.groups.store import AnyGroup
from zerocopy_lab.broker.settings import GroupSettings
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import (
    FencedInstanceId,
    GroupMaxSizeReached,
    IllegalGeneration,
    InconsistentGroupProtocol,
    InvalidGroupId,
    InvalidSessionTimeout,
    KafkaError,
    MemberIdRequired,
    RebalanceInProgress,
    UnknownMemberId,
)


class ClassicCoordinator:
    """All groups of this broker. Thread-safe.

    `save` writes a group's metadata to the log, `remove` that it is no more; both raise KafkaError
    if they cannot. `groups` is what the log told.
    """

    def __init__(
        self,
        timers: Timers,
        save: Callable[[ClassicGroup], None],
        groups: dict[str, AnyGroup] | None = None,
        settings: GroupSettings | None = None,
        remove: Callable[[AnyGroup], None] = lambda group: None,
    ) -> None:
        self.settings = settings or GroupSettings()
        self.lock = CoordinatorLock()
        self.groups: dict[str, AnyGroup] = groups if groups is not None else {}
        self._remove = remove
        delay_ms = self.settings.group_initial_rebalance_delay_ms
        self._rebalances = Rebalances(self.lock, timers, save, delay_ms)
        with self.lock.held():
            for group in self.groups.values():
                if isinstance(group, ConsumerGroup):
                    continue
                for member in group.members.values():
                    # Restored members go on as if nothing had happened, if they are still there.
                    self._rebalances.heard_of(group, member)

    # Joining ------------------------------------------------------------------------------------

    def join(self, request: JoinRequest, reply: JoinReply) -> None:
        """Take in a member, or let one begin a rebalance; `reply` is called when the generation is
        complete, or with the error.
        """
        with self.lock.held():
            try:
                self._join(request, reply)
            except KafkaError as refusal:
                self.lock.afterwards(partial(reply, JoinResult(request.member_id, refusal.code)))

    def _join(self, request: JoinRequest, reply: JoinReply) -> None:
        settings = self.settings
        if not request.group_id:
            raise InvalidGroupId("a group needs a name")
        shortest_ms = settings.group_min_session_timeout_ms
        longest_ms = settings.group_max_session_timeout_ms
        if not shortest_ms <= request.session_timeout_ms <= longest_ms:
            raise InvalidSessionTimeout(
                f"session timeout {request.session_timeout_ms} ms is outside "
                f"{shortest_ms}..{longest_ms} ms"
            )
        group = self.groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            if not group.is_empty:
                raise InconsistentGroupProtocol(
                    f"{request.group_id} has members of the new protocol (group.protocol=consumer)"
                )
            self._remove(group)
            del self.groups[request.group_id]
            group = None
        if group is None:
            if request.member_id:
                raise UnknownMemberId(
                    f"no group {request.group_id}, so no member {request.member_id}"
                )
            group = ClassicGroup(request.group_id)
        if not group.accepts(request.protocol_type, request.protocols):
            raise InconsistentGroupProtocol(
                f"{request.protocol_type} {list(request.protocols)} "
                f"does not fit group {group.group_id}"
            )
        self.groups[group.group_id] = group
        if request.member_id:
            self._join_again(group, request, reply)
        else:
            self._join_new(group, request, reply)

    def _join_new(self, group: ClassicGroup, request: JoinRequest, reply: JoinReply) -> None:
        instance_id = request.group_instance_id
        member_id = f"{instance_id or request.client_id}-{uuid.uuid4()}"
        if instance_id is not None and instance_id in group.static_members:
            self._replace_static_member(group, member_id, request, reply)
            return
        if len(group.members) + len(group.pending_members) >= self.settings.group_max_size:
            raise GroupMaxSizeReached(
                f"{group.group_id} has {self.settings.group_max_size} members"
            )
        if instance_id is None and request.needs_member_id:
            self._rebalances.add_pending(group, member_id, request.session_timeout_ms)
            result = JoinResult(member_id, MemberIdRequired.code)
            self.lock.afterwards(partial(reply, result))
            return
        self._add_and_rebalance(group, member_id, request, reply)

    def _add_and_rebalance(
        self, group: ClassicGroup, member_id: str, request: JoinRequest, reply: JoinReply
    ) -> None:
        member = ClassicMember.from_request(member_id, request)
        member.wait_to_join(reply)
        group.add(member, request.protocol_type)
        self._rebalances.watch_newcomer(group, member)
        self._rebalances.prepare(group, ClassicEvent.JOINED)

    def _join_again(self, group: ClassicGroup, request: JoinRequest, reply: JoinReply) -> None:
        if request.member_id in group.pending_members and request.group_instance_id is None:
            group.pending_members.pop(request.member_id).cancel()
            self._add_and_rebalance(group, request.member_id, request, reply)
            return
        member = self._member(group, request.member_id, request.group_instance_id)
        same = member.said_the_same(request)
        is_leader = member.member_id == group.leader_id
        lost_the_answer = same and group.state is ClassicState.COMPLETING_REBALANCE
        # A leader joins again when it saw that a topic has more partitions: the assignment must be
        # made anew.
        asks_for_nothing = same and group.state is ClassicState.STABLE and not is_leader
        if lost_the_answer or asks_for_nothing:
            result = self._rebalances.generation_for(group, member)
            self.lock.afterwards(partial(reply, result))
            return
        self._supersede(group, member)
        member.update(request)
        member.wait_to_join(reply)
        self._rebalances.prepare(group, ClassicEvent.JOINED)

    def _supersede(self, group: ClassicGroup, member: ClassicMember) -> None:
        """The client has sent its JoinGroup a second time; whoever waits for the first one's answer
        must not wait on.
        """
        result = JoinResult(member.member_id, RebalanceInProgress.code)
        self._rebalances.answer_join(group, member, result)

    def _replace_static_member(
        self, group: ClassicGroup, member_id: str, request: JoinRequest, reply: JoinReply
    ) -> None:
        """A process with a known group.instance.id starts anew and takes the place of its former
        self (KIP-345).
        """
        assert request.group_instance_id is not None
        member = group.members[group.static_members[request.group_instance_id]]
        fenced = FencedInstanceId.code
        self._rebalances.answer_join(group, member, JoinResult(member.member_id, fenced))
        self._rebalances.answer_sync(group, member, SyncResult(fenced))
        former_leader_id = group.leader_id
        group.rename(member, member_id)
        member.update(request)
        member.wait_to_join(reply)
        if group.state is ClassicState.STABLE and group.choose_protocol() == group.protocol_name:
            self._resume(group, member, request, former_leader_id or "")
        else:
            self._rebalances.prepare(group, ClassicEvent.JOINED)

    def _resume(
        self,
        group: ClassicGroup,
        member: ClassicMember,
        request: JoinRequest,
        former_leader_id: str,
    ) -> None:
        """Let a static member that came back go on with its assignment, without a rebalance.

        A leader must not assign again, because nobody would be told. Since JoinGroup 9 it can be
        asked not to (KIP-814); before, it is told that its former self leads.
        """
        try:
            self._rebalances.save(group)
        except KafkaError:
            self._rebalances.prepare(
                group, ClassicEvent.JOINED
            )  # ends in another attempt to write, and in an answer for all
            return
        result = self._rebalances.generation_for(group, member)
        leads = group.leader_id == member.member_id
        if request.may_skip_assignment:
            result = result._replace(skip_assignment=leads)
        else:
            result = result._replace(leader_id=former_leader_id, members=())
        self._rebalances.answer_join(group, member, result)

    # Assignments, heartbeats, leaving -----------------------------------------------------------

    def sync(self, request: SyncRequest, reply: SyncReply) -> None:
        """`reply` gets the member's assignment when the leader has brought it, or the error."""
        with self.lock.held():
            try:
                self._sync(request, reply)
            except KafkaError as refusal:
                self.lock.afterwards(partial(reply, SyncResult(refusal.code)))

    def _sync(self, request: SyncRequest, reply: SyncReply) -> None:
        group, member = self._current_member(
            request.group_id, request.member_id, request.group_instance_id, request.generation_id
        )
        if request.protocol_type not in (None, group.protocol_type):
            raise InconsistentGroupProtocol(f"{group.group_id} is of type {group.protocol_type}")
        if request.protocol_name not in (None, group.protocol_name):
            raise InconsistentGroupProtocol(f"{group.group_id} agreed on {group.protocol_name}")
        group.check(Wish.SYNC)
        self._rebalances.answer_sync(group, member, SyncResult(RebalanceInProgress.code))
        member.wait_to_sync(reply)
        self._rebalances.synced(group, member)
        if group.state is ClassicState.STABLE:
            self._rebalances.answer_sync(
                group, member, self._rebalances.assignment_for(group, member)
            )
        elif member.member_id == group.leader_id:
            self._rebalances.settle(group, dict(request.assignments))

    def heartbeat(
        self, group_id: str, member_id: str, group_instance_id: str | None, generation_id: int
    ) -> None:
        """The member lives. Raises RebalanceInProgress to make it join again, or the error that
        ends its membership.
        """
        with self.lock.held():
            group, member = self._current_member(
                group_id, member_id, group_instance_id, generation_id
            )
            self._rebalances.heard_of(group, member)
            group.check(Wish.HEARTBEAT)

    def leave(self, group_id: str, member_id: str, group_instance_id: str | None) -> None:
        """A member goes, or an administrator removes a static one by its name. Raises
        UnknownMemberId, FencedInstanceId.
        """
        with self.lock.held():
            group = self._group_with_members(group_id)
            if member_id in group.pending_members and group_instance_id is None:
                self._rebalances.remove_pending(group, member_id)
                return
            if group_instance_id is not None and not member_id:
                member_id = group.static_members.get(group_instance_id, "")
            self._rebalances.remove_member(group, self._member(group, member_id, group_instance_id))

    # Questions ----------------------------------------------------------------------------------

    def check_commit(
        self, group_id: str, member_id: str, group_instance_id: str | None, generation_id: int
    ) -> None:
        """Whether this client may commit offsets for the group now. Only for the holder of the
        lock.

        A client without membership (assign() instead of subscribe()) may while the group has no
        members.
        """
        group = self.groups.get(group_id)
        if generation_id < 0 and not member_id and group_instance_id is None:
            if isinstance(group, ClassicGroup):
                group.check(Wish.COMMIT_WITHOUT_MEMBERSHIP)
            return
        if group is None:
            raise IllegalGeneration(f"no group {group_id}, so no generation {generation_id}")
        group, member = self._current_member(group_id, member_id, group_instance_id, generation_id)
        self._rebalances.heard_of(group, member)
        group.check(Wish.COMMIT)

    def _current_member(
        self, group_id: str, member_id: str, group_instance_id: str | None, generation_id: int
    ) -> tuple[ClassicGroup, ClassicMember]:
        group = self._group_with_members(group_id)
        member = self._member(group, member_id, group_instance_id)
        if generation_id != group.generation_id:
            raise IllegalGeneration(
                f"{group_id} is in generation {group.generation_id}, not {generation_id}"
            )
        return group, member

    def _group_with_members(self, group_id: str) -> ClassicGroup:
        if not group_id:
            raise InvalidGroupId("a group needs a name")
        group = self.groups.get(group_id)
        if not isinstance(group, ClassicGroup):
            raise UnknownMemberId(f"no group {group_id} of the classic protocol")
        return group

    def _member(
        self, group: ClassicGroup, member_id: str, group_instance_id: str | None
    ) -> ClassicMember:
        if group_instance_id is not None:
            known_id = group.static_members.get(group_instance_id)
            if known_id is None:
                raise UnknownMemberId(f"{group.group_id} has no instance {group_instance_id}")
            if known_id != member_id:
                raise FencedInstanceId(f"{group_instance_id} is {known_id} now, not {member_id}")
        member = group.members.get(member_id)
        if member is None:
            raise UnknownMemberId(f"{group.group_id} has no member {member_id}")
        return member
