"""Consumer groups under any order of joins, leaves, crashes, failing disks and restarts of the
broker.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.broker.groups.group_play import REBALANCE_MS, SESSION_MS, Client, Stage
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.classic_states import ClassicState
from zerocopy_lab.errors import KafkaStorageError

WHO = st.integers(0, 5)


class GroupLife(RuleBasedStateMachine):
    """Six clients, one of them with a double that claims the same static name."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        names = [None, None, None, "static-1", "static-2", "static-2"]
        self.clients = [Client(self.stage, instance_id=name) for name in names]
        self.last_generation = 0
        self.leaders: dict[int, str] = {}  # what was said, by generation
        self.restarted = False

    def group(self) -> ClassicGroup | None:
        """The group, once somebody has tried to join it."""
        return self.stage.group() if self.stage.coordinator.groups else None

    @rule(who=WHO, version=st.sampled_from([3, 4, 9]))
    def join(self, who: int, version: int) -> None:
        client = self.clients[who]
        answers = len(client.joins)
        client.join(version=version)
        new = client.joins[answers:]
        if new and new[-1].error_code in (25, 82):  # as a real client: start anew
            client.member_id, client.generation_id = "", -1

    @rule(who=WHO)
    def sync(self, who: int) -> None:
        client = self.clients[who]
        if not client.joins or not client.member_id:
            return
        assignments = {}
        if client.leads and client.joins[-1].error_code == 0:
            members = [member for member, _, _ in client.joins[-1].members]
            assignments = {member: member.encode() for member in members}
        client.sync(assignments)

    @rule(who=WHO)
    def heartbeat(self, who: int) -> None:
        client = self.clients[who]
        code = client.heartbeat()
        assert code in (0, 22, 25, 27, 82)
        if code in (25, 82):
            client.member_id, client.generation_id = "", -1

    @rule(who=WHO)
    def leave(self, who: int) -> None:
        assert self.clients[who].leave() in (0, 25, 82)

    @rule(who=WHO)
    def crash(self, who: int) -> None:
        """The process is gone and starts anew; nobody was told."""
        client = self.clients[who]
        self.clients[who] = Client(self.stage, instance_id=client.instance_id)

    @rule(seconds=st.sampled_from([0.05, 3.0, SESSION_MS / 1000, REBALANCE_MS / 1000]))
    def wait(self, seconds: float) -> None:
        self.stage.timers.advance(seconds)

    @precondition(lambda self: self.stage.written)
    @rule()
    def restart(self) -> None:
        self.stage.restart()
        self.restarted = True
        # A generation that was never written may be given out a second time, to other members.
        self.last_generation = self.stage.group().generation_id

    @rule(broken=st.booleans())
    def disk(self, broken: bool) -> None:
        self.stage.refuse_writes = KafkaStorageError("disk full") if broken else None

    @invariant()
    def one_leader_who_is_a_member(self) -> None:
        group = self.group()
        if group is None:
            return
        assert (group.leader_id in group.members) == bool(group.members)
        static = {m.group_instance_id: m.member_id for m in group.members.values()}
        static.pop(None, None)
        assert group.static_members == static
        assert group.pending_sync <= group.members.keys()

    @invariant()
    def generations_grow(self) -> None:
        group = self.group()
        generation = group.generation_id if group else 0
        assert generation >= self.last_generation
        self.last_generation = generation

    @invariant()
    def all_are_told_of_the_same_leader(self) -> None:
        if self.restarted:
            return
        for client in self.clients:
            for told in client.joins:
                if told.error_code == 0 and told.members:
                    leader = self.leaders.setdefault(told.generation_id, told.leader_id)
                    # A static leader that returned has a new id, and has to skip the assignment.
                    assert leader == told.leader_id or told.skip_assignment

    @invariant()
    def who_waits_has_a_reason(self) -> None:
        group = self.group()
        for member in group.members.values() if group else ():
            if member.join_reply is not None:
                assert group is not None
                assert group.state is ClassicState.PREPARING_REBALANCE
            elif member.sync_reply is not None:
                assert group is not None
                assert group.state is ClassicState.COMPLETING_REBALANCE
            else:
                assert member.session is not None, "nobody would notice if it died"

    @invariant()
    def only_members_own_something(self) -> None:
        group = self.group()
        if group is None or group.state is not ClassicState.STABLE:
            return
        named = [m for m in group.members.values() if m.group_instance_id is None and m.assignment]
        assert all(member.assignment == member.member_id.encode() for member in named)
        owned = [member.assignment for member in group.members.values() if member.assignment]
        assert len(owned) == len(set(owned))

    def teardown(self) -> None:
        """Left alone, a group loses everybody, and nobody waits for an answer."""
        self.stage.refuse_writes = None
        for _ in range(20):
            self.stage.timers.advance(REBALANCE_MS / 1000)
        group = self.group()
        if group is not None:
            assert group.state is ClassicState.EMPTY
            assert not group.members
            assert not group.pending_members
            assert group.leader_id is None


GroupLife.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestGroupLife = GroupLife.TestCase
