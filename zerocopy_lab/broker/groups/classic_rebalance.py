"""How a group changes: rebalances on join, leave, crash and timeout.

A rebalance has two halves. First everybody joins again (PreparingRebalance): the answers of
JoinGroup wait until all members are there or the rebalance timeout is over, and who is missing then
is thrown out. Then the leader, a client, assigns the partitions and brings the result with its
SyncGroup (CompletingRebalance); everybody's SyncGroup is answered with it.

All methods run under the coordinator's lock; answers go out when it is free. Source: Kafka's
`GroupMetadataManager` (classic groups) and KIP-62, KIP-345, KIP-394, KIP-814. Left out:
`group.initial.rebalance.delay.ms`, here always 0: it saves a rebalance where a hundred consumers
start together, and costs every small experiment three seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from zerocopy_lab.broker.groups.alarm import Alarm, CoordinatorLock
from zerocopy_lab.broker.groups.classic_group import Group, GroupState
from zerocopy_lab.broker.groups.member import JoinResult, Member, SyncResult
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import KafkaError, RebalanceInProgress, UnknownMemberId

_log = logging.getLogger(__name__)

#: A newcomer whose first JoinGroup waits cannot send heartbeats, so nobody would notice that it is
#: gone; after this time it is told to try again. Kafka's `NewMemberJoinTimeoutMs`.
NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000


class Rebalances:
    """The transitions of all groups. `save` writes a group's metadata to the log and raises
    KafkaError if it cannot.
    """

    def __init__(
        self, lock: CoordinatorLock, timers: Timers, save: Callable[[Group], None]
    ) -> None:
        self._lock = lock
        self._timers = timers
        self.save = save

    def alarm(self, delay_ms: int, action: Callable[[], None]) -> Alarm:
        """`action()` under the lock in `delay_ms`."""
        return Alarm(self._timers, self._lock, delay_ms / 1000, action)

    def enter(self, group: Group, state: GroupState) -> None:
        """Change the state and note when."""
        group.state = state
        group.state_since_ms = time.time_ns() // 1_000_000

    # Answers ------------------------------------------------------------------------------------

    def answer_join(self, group: Group, member: Member, result: JoinResult) -> None:
        """Answer the member's JoinGroup, if it waits for one, and listen for its heartbeats from
        now on.
        """
        if member.join_reply is not None:
            reply, member.join_reply = member.join_reply, None
            self._lock.afterwards(partial(reply, result))
            self.heard_of(group, member)

    def answer_sync(self, group: Group, member: Member, result: SyncResult) -> None:
        """Answer the member's SyncGroup, if it waits for one, and listen for its heartbeats from
        now on.
        """
        if member.sync_reply is not None:
            reply, member.sync_reply = member.sync_reply, None
            self._lock.afterwards(partial(reply, result))
            self.heard_of(group, member)

    def generation_for(self, group: Group, member: Member) -> JoinResult:
        """The current generation as `member` has to be told; the leader learns about all."""
        assert group.leader_id is not None
        return JoinResult(
            member.member_id,
            generation_id=group.generation_id,
            protocol_type=group.protocol_type,
            protocol_name=group.protocol_name,
            leader_id=group.leader_id,
            members=group.subscriptions() if member.member_id == group.leader_id else (),
        )

    def assignment_for(self, group: Group, member: Member) -> SyncResult:
        """What `member` has to work on."""
        return SyncResult(0, group.protocol_type, group.protocol_name, member.assignment)

    # Sessions -----------------------------------------------------------------------------------

    def heard_of(self, group: Group, member: Member) -> None:
        """The member lives: its session begins again. While an answer is owed to it, it is not
        expected to speak.
        """
        member.end_session_watch()
        if member.join_reply is None and member.sync_reply is None:
            self._watch(group, member, member.session_timeout_ms)

    def watch_newcomer(self, group: Group, member: Member) -> None:
        """The member's first JoinGroup waits; see NEW_MEMBER_JOIN_TIMEOUT_MS."""
        self._watch(group, member, NEW_MEMBER_JOIN_TIMEOUT_MS)

    def _watch(self, group: Group, member: Member, timeout_ms: int) -> None:
        member.session = self.alarm(timeout_ms, partial(self.remove_member, group, member))

    def add_pending(self, group: Group, member_id: str, session_timeout_ms: int) -> None:
        """A newcomer was given an id; it has one session timeout to come back with it."""
        group.pending_members[member_id] = self.alarm(
            session_timeout_ms, partial(self.remove_pending, group, member_id)
        )

    def remove_pending(self, group: Group, member_id: str) -> None:
        """The newcomer did not come back, or left: nobody needs to wait for it."""
        group.pending_members.pop(member_id).cancel()
        self.complete_if_everybody_joined(group)

    def remove_member(self, group: Group, member: Member) -> None:
        """The member left or fell silent: the others share its partitions."""
        # UNKNOWN_MEMBER_ID makes a client that is still there after all join again as a new member.
        self.answer_join(group, member, JoinResult(member.member_id, UnknownMemberId.code))
        self.answer_sync(group, member, SyncResult(UnknownMemberId.code))
        group.remove(member)
        if group.state is GroupState.PREPARING_REBALANCE:
            self.complete_if_everybody_joined(group)
        else:
            self.prepare(group)

    # First half: everybody joins ----------------------------------------------------------------

    def prepare(self, group: Group) -> None:
        """Begin a rebalance, unless one is being prepared already."""
        if group.state is GroupState.PREPARING_REBALANCE:
            return
        if group.state is GroupState.COMPLETING_REBALANCE:
            self._fail_syncs(group, RebalanceInProgress())
        if group.sync_alarm is not None:
            group.sync_alarm.cancel()
            group.sync_alarm = None
        self.enter(group, GroupState.PREPARING_REBALANCE)
        self._set_rebalance_alarm(group)
        self.complete_if_everybody_joined(group)

    def _set_rebalance_alarm(self, group: Group) -> None:
        group.rebalance_alarm = self.alarm(
            group.rebalance_timeout_ms, partial(self._complete, group)
        )

    def complete_if_everybody_joined(self, group: Group) -> None:
        """End the first half early if nobody is missing."""
        if group.state is GroupState.PREPARING_REBALANCE and group.everybody_joined():
            self._complete(group)

    def _complete(self, group: Group) -> None:
        if group.rebalance_alarm is not None:
            group.rebalance_alarm.cancel()
            group.rebalance_alarm = None
        for member in [member for member in group.members.values() if member.join_reply is None]:
            # A static member may be restarting; only its session timeout throws it out.
            if member.group_instance_id is None:
                group.remove(member)
        if group.members and not self._leader_joined(group):
            self._set_rebalance_alarm(group)  # only silent static members: wait for their sessions
            return
        group.generation_id += 1
        group.pending_sync.clear()
        if group.members:
            self._announce_generation(group)
        else:
            self._empty(group)

    def _leader_joined(self, group: Group) -> bool:
        """Make sure that the leader is one of those who are here; False when nobody is."""
        assert group.leader_id is not None
        if group.members[group.leader_id].join_reply is not None:
            return True
        joined = (m.member_id for m in group.members.values() if m.join_reply is not None)
        leader_id = next(joined, None)
        if leader_id is None:
            return False
        group.leader_id = leader_id
        return True

    def _empty(self, group: Group) -> None:
        self.enter(group, GroupState.EMPTY)
        group.protocol_name = None
        group.leader_id = None
        try:
            self.save(group)
        except KafkaError as cause:
            # Nobody waits for this. A restart would bring the members back, until their sessions
            # end.
            _log.warning("group %s is empty, which could not be written: %s", group.group_id, cause)

    def _announce_generation(self, group: Group) -> None:
        self.enter(group, GroupState.COMPLETING_REBALANCE)
        group.protocol_name = group.choose_protocol()
        for member in group.members.values():
            group.pending_sync.add(member.member_id)
            self.answer_join(group, member, self.generation_for(group, member))
        group.sync_alarm = self.alarm(
            group.rebalance_timeout_ms, partial(self._throw_out_unsynced, group)
        )

    # Second half: the leader's assignment -------------------------------------------------------

    def _throw_out_unsynced(self, group: Group) -> None:
        """Members that joined but never asked for an assignment would hold partitions that nobody
        reads (KIP-62).
        """
        group.sync_alarm = None
        for member_id in sorted(group.pending_sync):
            group.remove(group.members[member_id])
        self.prepare(group)

    def settle(self, group: Group, assignments: dict[str, bytes]) -> None:
        """The leader's assignment is here: write it, then tell everybody. If it cannot be written,
        all try again.
        """
        for member in group.members.values():
            member.assignment = assignments.get(member.member_id, b"")
        try:
            self.save(group)
        except KafkaError as cause:
            self._fail_syncs(group, cause)
            self.prepare(group)
            return
        self.enter(group, GroupState.STABLE)
        for member in group.members.values():
            self.answer_sync(group, member, self.assignment_for(group, member))

    def _fail_syncs(self, group: Group, cause: KafkaError) -> None:
        for member in group.members.values():
            member.assignment = b""
            self.answer_sync(group, member, SyncResult(cause.code))

    def synced(self, group: Group, member: Member) -> None:
        """The member asked for its assignment of this generation."""
        group.pending_sync.discard(member.member_id)
        if not group.pending_sync and group.sync_alarm is not None:
            group.sync_alarm.cancel()
            group.sync_alarm = None
