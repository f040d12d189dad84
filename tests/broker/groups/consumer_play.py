"""Actors for tests of the new consumer protocol: a coordinator without a disk, and members that let
go of partitions when they like.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from uuid import UUID

from tests.broker.groups.group_play import code_of
from zerocopy_lab.broker.groups.alarm import CoordinatorLock
from zerocopy_lab.broker.groups.assignors import NO_SLOTS, Slots
from zerocopy_lab.broker.groups.consumer_coordinator import ConsumerCoordinator, ConsumerHeartbeat
from zerocopy_lab.broker.groups.consumer_group import ConsumerGroup, GroupChange
from zerocopy_lab.broker.groups.consumer_records import (
    RestoredGroup,
    decode_consumer_key,
    encode_change,
    keys_of_group,
)
from zerocopy_lab.broker.groups.store import AnyGroup
from zerocopy_lab.broker.settings import GroupSettings
from zerocopy_lab.broker.timers import ManualTimers
from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log import TopicInfo, TopicSettings

SESSION_S = 45
REBALANCE_S = 300


class LogInMemory:
    """The records of the groups, by their keys."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.refuse_writes: KafkaError | None = None

    def save_change(self, group: ConsumerGroup, change: GroupChange) -> None:
        self._write(encode_change(group, change))

    def remove_group(self, group: AnyGroup) -> None:
        assert isinstance(group, ConsumerGroup)
        self._write([(key, None) for key in keys_of_group(group)])

    def _write(self, records: list[tuple[bytes, bytes | None]]) -> None:
        if self.refuse_writes is not None:
            raise self.refuse_writes
        for key, value in records:
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value

    def restored(self) -> dict[str, AnyGroup]:
        found: dict[str, RestoredGroup] = {}
        for raw, value in self.records.items():
            key = decode_consumer_key(raw)
            found.setdefault(key.group_id, RestoredGroup(key.group_id)).take(key, value)
        return {name: group for name, one in found.items() if (group := one.group())}


class ConsumerStage:
    """A coordinator, its clock, its log, and the topics that there are."""

    def __init__(self, **settings: int) -> None:
        self.timers = ManualTimers()
        self.log = LogInMemory()
        self.topics: dict[str, TopicInfo] = {}
        self.groups: dict[str, AnyGroup] = {}
        self._created = 0
        self._settings = GroupSettings(**settings)
        self.create("t", 6)
        self.restart()

    def restart(self) -> None:
        """A new coordinator that knows only what was written; its clock goes on."""
        self.timers = ManualTimers()
        self.groups = self.log.restored()
        self.coordinator = ConsumerCoordinator(
            CoordinatorLock(),
            self.timers,
            self.log,  # type: ignore[arg-type]
            self.groups,
            lambda: self.topics,
            self._settings,
        )

    def create(self, name: str, partitions: int) -> None:
        """Make a topic, instead of one that had this name."""
        self._created += 1
        self.topics[name] = TopicInfo(UUID(int=self._created), partitions, TopicSettings())

    def extend(self, name: str, partitions: int) -> None:
        """Give a topic more partitions."""
        self.topics[name] = replace(self.topics[name], partitions=partitions)

    def group(self, name: str = "g") -> ConsumerGroup:
        group = self.groups[name]
        assert isinstance(group, ConsumerGroup)
        return group


@dataclass
class Member:
    """One consumer as the protocol sees it. `reads` is what it has, and has not let go of."""

    stage: ConsumerStage
    member_id: str
    topics: tuple[str, ...] = ("t",)
    instance_id: str | None = None
    assignor: str | None = None
    epoch: int = 0
    reads: Slots = NO_SLOTS
    assigned: Slots = NO_SLOTS
    errors: list[int] = field(default_factory=list)

    def join(self) -> int:
        """Join, or join anew; the code of the answer."""
        self.epoch, self.reads, self.assigned = 0, NO_SLOTS, NO_SLOTS
        return self._send(
            rebalance_timeout_ms=REBALANCE_S * 1000,
            topic_names=self.topics,
            assignor=self.assignor,
            owns=NO_SLOTS,
        )

    def beat(self, *, lets_go: bool = True, lost: bool = False) -> int:
        """One heartbeat: with what it has after it has let go of what it was told to."""
        if lets_go:
            self.reads &= self.assigned
        before = self.epoch, self.reads, self.assigned
        code = self._send(owns=self.reads)
        if lost:
            self.epoch, self.reads, self.assigned = before
        return code

    def leave(self, epoch: int = -1) -> int:
        self.epoch, self.reads, self.assigned = epoch, NO_SLOTS, NO_SLOTS
        return self._send()

    def _send(self, **values: object) -> int:
        beat = ConsumerHeartbeat(
            "g",
            self.member_id,
            self.epoch,
            instance_id=self.instance_id,
            **values,  # type: ignore[arg-type]
        )
        return code_of(lambda: self._hear(beat))

    def _hear(self, beat: ConsumerHeartbeat) -> None:
        result = self.stage.coordinator.heartbeat(beat)
        self.epoch = result.epoch
        if result.assignment is not None:
            self.assigned = result.assignment
            self.reads |= result.assignment


def settle(*members: Member) -> None:
    """Heartbeats until nobody moves any more."""
    for _ in range(2 * len(members) + 2):
        for member in members:
            assert member.beat() == 0
