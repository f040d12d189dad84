"""Actors for tests of consumer groups: a coordinator without a disk, and clients that remember what
they were told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zerocopy_lab.broker.groups.classic_coordinator import ClassicCoordinator
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.classic_member import (
    JoinRequest,
    JoinResult,
    SyncRequest,
    SyncResult,
)
from zerocopy_lab.broker.groups.records import decode_group_value, encode_group_value
from zerocopy_lab.broker.groups.store import AnyGroup
from zerocopy_lab.broker.settings import GroupSettings
from zerocopy_lab.broker.timers import ManualTimers
from zerocopy_lab.errors import KafkaError

SESSION_MS = 10_000
REBALANCE_MS = 60_000


class Stage:
    """A coordinator, its clock, and the groups as a restarted broker would find them in the log."""

    def __init__(self, **settings: int) -> None:
        self.timers = ManualTimers()
        self.written: dict[str, bytes] = {}
        self.refuse_writes: KafkaError | None = None
        self.settings = GroupSettings(**settings)
        self.coordinator = ClassicCoordinator(self.timers, self._save, settings=self.settings)

    def _save(self, group: ClassicGroup) -> None:
        if self.refuse_writes is not None:
            raise self.refuse_writes
        self.written[group.group_id] = encode_group_value(group)

    def restart(self) -> None:
        """A new coordinator that knows only what was written."""
        groups: dict[str, AnyGroup] = {
            name: decode_group_value(name, value) for name, value in self.written.items()
        }
        self.coordinator = ClassicCoordinator(self.timers, self._save, groups, self.settings)

    def group(self, name: str = "g") -> ClassicGroup:
        group = self.coordinator.groups[name]
        assert isinstance(group, ClassicGroup)
        return group


@dataclass
class Client:
    """One consumer as the protocol sees it."""

    stage: Stage
    instance_id: str | None = None
    client_id: str = "client"
    protocols: dict[str, bytes] = field(default_factory=lambda: {"range": b"subscription"})
    protocol_type: str = "consumer"
    session_ms: int = SESSION_MS
    rebalance_ms: int = REBALANCE_MS
    member_id: str = ""
    generation_id: int = -1
    joins: list[JoinResult] = field(default_factory=list)
    syncs: list[SyncResult] = field(default_factory=list)

    def join(self, *, group_id: str = "g", version: int = 5) -> None:
        """Send JoinGroup, with the second one that MEMBER_ID_REQUIRED asks for."""
        self._join(group_id, version)
        if self.joins and self.joins[-1].error_code == 79:
            self.joins.pop()
            self._join(group_id, version)

    def _join(self, group_id: str, version: int) -> None:
        request = JoinRequest(
            group_id,
            self.member_id,
            self.instance_id,
            self.client_id,
            "/127.0.0.1",
            self.session_ms,
            self.rebalance_ms,
            self.protocol_type,
            self.protocols,
            needs_member_id=version >= 4,
            may_skip_assignment=version >= 9,
        )
        self.stage.coordinator.join(request, self._joined)

    def _joined(self, result: JoinResult) -> None:
        self.joins.append(result)
        self.member_id = result.member_id
        if result.error_code == 0:
            self.generation_id = result.generation_id

    @property
    def leads(self) -> bool:
        return self.joins[-1].leader_id == self.member_id

    def sync(self, assignments: dict[str, bytes] | None = None) -> None:
        request = SyncRequest(
            "g",
            self.generation_id,
            self.member_id,
            self.instance_id,
            self.protocol_type,
            None,
            assignments or {},
        )
        self.stage.coordinator.sync(request, self.syncs.append)

    def heartbeat(self) -> int:
        """The error code that the heartbeat is answered with."""
        who = "g", self.member_id, self.instance_id, self.generation_id
        return code_of(lambda: self.stage.coordinator.heartbeat(*who))

    def leave(self) -> int:
        """The error code that the member's leaving is answered with."""
        who = "g", self.member_id, self.instance_id
        return code_of(lambda: self.stage.coordinator.leave(*who))


def code_of(action: Callable[[], object]) -> int:
    """0, or the code of the error that `action` raises."""
    try:
        action()
    except KafkaError as error:
        return error.code
    return 0


def settle(*clients: Client) -> None:
    """Everybody joins and syncs; the leader gives each member its own id as assignment."""
    for client in clients:
        client.join()
    # A join after the first begins a rebalance, which the earlier ones have to join again.
    for _ in clients:
        for client in clients:
            if (
                client.generation_id != clients[0].stage.group().generation_id
                or client.heartbeat() == 27
            ):
                client.join()
    for client in clients:
        assignments = {}
        if client.leads:
            assignments = {who: who.encode() for who, _, _ in client.joins[-1].members}
        client.sync(assignments)
