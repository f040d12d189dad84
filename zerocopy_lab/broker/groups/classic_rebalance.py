"""How a classic group changes: rebalances on join, leave, crash and timeout.

`classic_states` has the table of what may happen; here it is made to happen. Who is missing when
the time for joining is over is thrown out; everybody's SyncGroup is answered with what the leader
brought.

When a group is empty, the first who joins may have to wait `group.initial.rebalance.delay.ms` for
others, and longer while more come: one rebalance instead of one for each of a hundred consumers
that start together. Kafka's default is 3 s; here it is 0, as in the settings of Kafka's own quick
start, because it would cost every small experiment three seconds.

All methods run under the coordinator's lock; answers go out when it is free. Source: Kafka's
`GroupMetadataManager` (classic groups) and KIP-62, KIP-134, KIP-345, KIP-394, KIP-814.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from zerocopy_lab.broker.groups.alarm import Alarm, CoordinatorLock
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.classic_member import ClassicMember, JoinResult, SyncResult
from zerocopy_lab.broker.groups.classic_states import ClassicEvent, ClassicState
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import KafkaError, RebalanceInProgress, UnknownMemberId

_LOGGER = logging.getLogger(__name__)

#: A newcomer whose first JoinGroup waits cannot send heartbeats, so nobody would notice that it is
#: gone; after this time it is told to try again. Kafka's `NewMemberJoinTimeoutMs`.
NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000


class Rebalances:
    """The transitions of all groups. `save` writes a group's metadata to the log and raises
    KafkaError if it cannot.
    """

    def __init__(
        self,
        lock: CoordinatorLock,
        timers: Timers,
        save: Callable[[ClassicGroup], None],
        initial_delay_ms: int = 0,
    ) -> None:
        self._lock = lock
        self._timers = timers
        self.save = save
        self._initial_delay_ms = initial_delay_ms

    def alarm(self, delay_ms: int, action: Callable[[], None]) -> Alarm:
        """`action()` under the lock in `delay_ms`."""
        return Alarm(self._timers, self._lock, delay_ms / 1000, action)

    # Answers ------------------------------------------------------------------------------------

    def answer_join(self, group: ClassicGroup, member: ClassicMember, result: JoinResult) -> None:
        """Answer the member's JoinGroup, if it waits for one, and listen for its heartbeats from
        now on.
        """
        reply = member.take_join_reply()
        if reply is not None:
            self._lock.afterwards(partial(reply, result))
            self.heard_of(group, member)

    def answer_sync(self, group: ClassicGroup, member: ClassicMember, result: SyncResult) -> None:
        """Answer the member's SyncGroup, if it waits for one, and listen for its heartbeats from
        now on.
        """
        reply = member.take_sync_reply()
        if reply is not None:
            self._lock.afterwards(partial(reply, result))
            self.heard_of(group, member)

    def generation_for(self, group: ClassicGroup, member: ClassicMember) -> JoinResult:
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

    def assignment_for(self, group: ClassicGroup, member: ClassicMember) -> SyncResult:
        """What `member` has to work on."""
        return SyncResult(0, group.protocol_type, group.protocol_name, member.assignment)

    # Sessions -----------------------------------------------------------------------------------

    def heard_of(self, group: ClassicGroup, member: ClassicMember) -> None:
        """The member lives: its session begins again. While an answer is owed to it, it is not
        expected to speak.
        """
        if not member.is_owed_an_answer:
            self._watch(group, member, member.session_timeout_ms)

    def watch_newcomer(self, group: ClassicGroup, member: ClassicMember) -> None:
        """The member's first JoinGroup waits; see NEW_MEMBER_JOIN_TIMEOUT_MS."""
        self._watch(group, member, NEW_MEMBER_JOIN_TIMEOUT_MS)

    def _watch(self, group: ClassicGroup, member: ClassicMember, timeout_ms: int) -> None:
        member.watch_session(self.alarm(timeout_ms, partial(self.remove_member, group, member)))

    def add_pending(self, group: ClassicGroup, member_id: str, session_timeout_ms: int) -> None:
        """A newcomer was given an id; it has one session timeout to come back with it."""
        group.pending_members[member_id] = self.alarm(
            session_timeout_ms, partial(self.remove_pending, group, member_id)
        )

    def remove_pending(self, group: ClassicGroup, member_id: str) -> None:
        """The newcomer did not come back, or left: nobody needs to wait for it."""
        group.pending_members.pop(member_id).cancel()
        self.complete_if_everybody_joined(group)

    def remove_member(self, group: ClassicGroup, member: ClassicMember) -> None:
        """The member left or fell silent: the others share its partitions."""
        # UNKNOWN_MEMBER_ID makes a client that is still there after all join again as a new member.
        self.answer_join(group, member, JoinResult(member.member_id, UnknownMemberId.code))
        self.answer_sync(group, member, SyncResult(UnknownMemberId.code))
        group.remove(member)
        self.prepare(group, ClassicEvent.LOST)

    # First half: everybody joins ----------------------------------------------------------------

    def prepare(self, group: ClassicGroup, event: ClassicEvent) -> None:
        """Begin a rebalance, or go on with the one that is being prepared already."""
        before = group.state
        group.happen(event)
        if before is ClassicState.COMPLETING_REBALANCE:
            self._fail_syncs(group, RebalanceInProgress())
        if before is ClassicState.EMPTY and self._initial_delay_ms:
            self._gather(group, group.rebalance_timeout_ms, known=0)
        elif before is not ClassicState.PREPARING_REBALANCE:
            self._set_join_deadline(group)
        self.complete_if_everybody_joined(group)

    def _gather(self, group: ClassicGroup, left_ms: int, known: int) -> None:
        """Wait for more members as long as they keep coming, `left_ms` at most."""
        delay_ms = min(self._initial_delay_ms, left_ms)
        there = len(group.members)
        if delay_ms == 0 or there <= known:
            group.gather(False)
            self._complete(group)
            return
        group.gather(True)
        again = partial(self._gather, group, left_ms - delay_ms, there)
        group.set_deadline(self.alarm(delay_ms, again))

    def _set_join_deadline(self, group: ClassicGroup) -> None:
        group.set_deadline(self.alarm(group.rebalance_timeout_ms, partial(self._complete, group)))

    def complete_if_everybody_joined(self, group: ClassicGroup) -> None:
        """End the first half early if nobody is missing."""
        if group.state is ClassicState.PREPARING_REBALANCE and group.everybody_joined():
            self._complete(group)

    def _complete(self, group: ClassicGroup) -> None:
        for member in [member for member in group.members.values() if member.join_reply is None]:
            # A static member may be restarting; only its session timeout throws it out.
            if member.group_instance_id is None:
                group.remove(member)
        if group.members and not group.find_leader():
            self._set_join_deadline(group)  # only silent static members: wait for their sessions
            return
        group.set_deadline(None)
        group.begin_generation()
        if group.members:
            for member in group.members.values():
                self.answer_join(group, member, self.generation_for(group, member))
            throw_out = partial(self._throw_out_unsynced, group)
            group.set_deadline(self.alarm(group.rebalance_timeout_ms, throw_out))
        else:
            self._save_empty(group)

    def _save_empty(self, group: ClassicGroup) -> None:
        try:
            self.save(group)
        except KafkaError as cause:
            # Nobody waits for this. A restart would bring the members back, until their sessions
            # end.
            _LOGGER.warning(
                "group %s is empty, which could not be written: %s", group.group_id, cause
            )

    # Second half: the leader's assignment -------------------------------------------------------

    def _throw_out_unsynced(self, group: ClassicGroup) -> None:
        """Members that joined but never asked for an assignment would hold partitions that nobody
        reads (KIP-62).
        """
        for member_id in sorted(group.pending_sync):
            group.remove(group.members[member_id])
        self.prepare(group, ClassicEvent.LOST)

    def settle(self, group: ClassicGroup, assignments: dict[str, bytes]) -> None:
        """The leader's assignment is here: write it, then tell everybody. If it cannot be written,
        all try again.
        """
        for member in group.members.values():
            member.assign(assignments.get(member.member_id, b""))
        try:
            self.save(group)
        except KafkaError as cause:
            self._fail_syncs(group, cause)
            self.prepare(group, ClassicEvent.NOT_WRITTEN)
            return
        group.happen(ClassicEvent.ASSIGNED)
        for member in group.members.values():
            self.answer_sync(group, member, self.assignment_for(group, member))

    def _fail_syncs(self, group: ClassicGroup, cause: KafkaError) -> None:
        for member in group.members.values():
            member.assign(b"")
            self.answer_sync(group, member, SyncResult(cause.code))

    def synced(self, group: ClassicGroup, member: ClassicMember) -> None:
        """The member asked for its assignment of this generation."""
        group.pending_sync.discard(member.member_id)
        if not group.pending_sync:
            group.set_deadline(None)
