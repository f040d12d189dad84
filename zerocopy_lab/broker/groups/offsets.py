"""Committed offsets: what each group has read, as it said itself.

A commit is checked against the group's members and generation, written to the log, then kept in
memory, where it is asked for.

An offset expires `offsets.retention.minutes` after it was committed, if nobody needs it (KIP-211):
in a group without members, or when no member of a consumer group reads the topic any more. Where
members were there, the time begins when the last one left. A group without members and offsets
goes. One difference: Kafka forgets what was committed to an empty group later than that with the
rest, perhaps a second after it has acknowledged it; here it stays its time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from zerocopy_lab.broker.groups.alarm import Alarm
from zerocopy_lab.broker.groups.classic_coordinator import ClassicCoordinator
from zerocopy_lab.broker.groups.classic_group import CONSUMER, ClassicGroup
from zerocopy_lab.broker.groups.consumer_group import COMMIT_KNOWS_EPOCHS, ConsumerGroup
from zerocopy_lab.broker.groups.records import CommittedOffset
from zerocopy_lab.broker.groups.store import AnyGroup, Committed, GroupStore
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.errors import (
    GroupIdNotFound,
    GroupSubscribedToTopic,
    KafkaError,
    NonEmptyGroup,
    OffsetMetadataTooLarge,
)

_LOGGER = logging.getLogger(__name__)

Where = tuple[str, int]  # topic and partition
Refused = dict[Where, KafkaError | None]  # None: not refused


class CommittedOffsets:
    """The offsets of all groups. Thread-safe, by the coordinator's lock."""

    def __init__(
        self,
        coordinator: ClassicCoordinator,
        store: GroupStore,
        timers: Timers,
        offsets: dict[str, Committed],
    ) -> None:
        self._coordinator = coordinator
        self._store = store
        self._timers = timers
        self._offsets = offsets
        with coordinator.lock.held():
            for group_id in offsets:
                self._group(group_id)
            self._expire_later()

    def _group(self, group_id: str) -> AnyGroup:
        """The group; a bare one for a client that commits without being a member of anything."""
        groups = self._coordinator.groups
        group = groups.get(group_id)
        if group is None:
            group = groups[group_id] = ClassicGroup(group_id)
        return group

    def commit(
        self,
        group_id: str,
        member_id: str,
        group_instance_id: str | None,
        generation_id: int,
        offsets: Mapping[Where, CommittedOffset],
        version: int = COMMIT_KNOWS_EPOCHS,
        refused: Callable[[Iterable[Where]], Refused] = lambda wanted: {},
    ) -> Refused:
        """Write and remember `offsets`, which came with OffsetCommit of this `version`; when this
        returns, those without an error survive a crash. `refused` says which have no partition: it
        is asked under the lock that `forget_topic` takes after a topic has gone, so that no offset
        is left over for another topic of that name.

        Raises KafkaError when nothing was committed: UnknownMemberId, IllegalGeneration,
        RebalanceInProgress, StaleMemberEpoch, ...
        """
        with self._coordinator.lock.held():
            group = self._coordinator.groups.get(group_id)
            if isinstance(group, ConsumerGroup):
                group.check_commit(member_id, generation_id, version)
            else:
                who = group_id, member_id, group_instance_id, generation_id
                self._coordinator.check_commit(*who)
            longest = self._coordinator.settings.offset_metadata_max_bytes
            errors = refused(offsets)
            for where, committed in offsets.items():
                if len(committed.metadata.encode()) > longest:
                    too_large = OffsetMetadataTooLarge(f"metadata of more than {longest} bytes")
                    errors.setdefault(where, too_large)
            fitting = {where: offset for where, offset in offsets.items() if where not in errors}
            self._store.save_offsets(group_id, fitting)
            self._group(group_id)
            self._offsets.setdefault(group_id, {}).update(fitting)
        return {where: errors.get(where) for where in offsets}

    def committed(
        self, group_id: str, member_id: str | None = None, member_epoch: int = -1
    ) -> Committed:
        """A copy of everything the group has committed; empty for a group that nobody knows. Raises
        UnknownMemberId, StaleMemberEpoch for who says that it is a member, and is not.
        """
        with self._coordinator.lock.held():
            group = self._coordinator.groups.get(group_id)
            if isinstance(group, ConsumerGroup) and (member_id or member_epoch >= 0):
                group.check_epoch(member_id or "", member_epoch)
            return dict(self._offsets.get(group_id, {}))

    def delete_offsets(self, group_id: str, wanted: Sequence[Where]) -> Refused:
        """Forget offsets of topics that no member reads. Raises GroupIdNotFound, NonEmptyGroup."""
        with self._coordinator.lock.held():
            group = self._coordinator.groups.get(group_id)
            if group is None:
                raise GroupIdNotFound(group_id)
            if group.members and group.protocol_type != CONSUMER:
                raise NonEmptyGroup(f"{group_id} is of type {group.protocol_type}")
            in_use = {topic for topic, _ in wanted if group.reads_topic(topic)}
            self._drop(group_id, [where for where in wanted if where[0] not in in_use])
        refusal = GroupSubscribedToTopic(f"{group_id} reads {', '.join(sorted(in_use))}")
        return {where: refusal if where[0] in in_use else None for where in wanted}

    def delete_group(self, group_id: str) -> None:
        """Forget a group and its offsets. Raises GroupIdNotFound, NonEmptyGroup."""
        with self._coordinator.lock.held():
            group = self._coordinator.groups.get(group_id)
            if group is None:
                raise GroupIdNotFound(group_id)
            if not group.is_empty:
                raise NonEmptyGroup(f"{group_id} has {len(group.members)} members")
            self._forget(group)

    def forget_topic(self, topic: str) -> None:
        """The topic was deleted; another one of the same name must not inherit its offsets. When
        this returns, a power cut does not bring them back. Raises KafkaError.
        """
        with self._coordinator.lock.held():
            for group_id, offsets in self._offsets.items():
                self._drop(group_id, [where for where in offsets if where[0] == topic])
            self._store.flush()

    def _drop(self, group_id: str, wanted: Iterable[Where]) -> None:
        offsets = self._offsets.get(group_id, {})
        known = [where for where in wanted if where in offsets]
        self._store.remove(group_id, known)
        for where in known:
            del offsets[where]

    def _forget(self, group: AnyGroup) -> None:
        group_id = group.group_id
        self._store.remove_group(group, self._offsets.get(group_id, {}))
        self._offsets.pop(group_id, None)
        del self._coordinator.groups[group_id]

    # Retention ----------------------------------------------------------------------------------

    def _expire_later(self) -> None:
        interval_s = self._coordinator.settings.offsets_retention_check_interval_ms / 1000
        self._alarm = Alarm(self._timers, self._coordinator.lock, interval_s, self._expire)

    def _expire(self) -> None:
        retention_ms = self._coordinator.settings.offsets_retention_minutes * 60_000
        oldest_ms = _now_ms() - retention_ms
        for group in list(self._coordinator.groups.values()):
            try:
                self._expire_group(group, oldest_ms)
            except KafkaError as cause:
                _LOGGER.warning("offsets of group %s cannot expire now: %s", group.group_id, cause)
        self._expire_later()

    def _expire_group(self, group: AnyGroup, oldest_ms: int) -> None:
        offsets = self._offsets.get(group.group_id, {})
        topics = {topic for topic, _ in offsets}
        since_ms = {topic: group.unused_since_ms(topic) for topic in topics}
        expired = []
        for where, committed in offsets.items():
            unused_ms = since_ms[where[0]]
            if unused_ms is not None and max(committed.commit_time_ms, unused_ms) <= oldest_ms:
                expired.append(where)
        if len(expired) == len(offsets) and group.is_empty:
            self._forget(group)
        else:
            self._drop(group.group_id, expired)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
