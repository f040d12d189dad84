"""What must survive of consumer groups, in the internal topic `__consumer_offsets`.

Written before anything is acknowledged: a commit is answered, and a new generation announced, when
its record is in the log. Read once, when the broker starts. Written in Kafka's own format
(`records`), so Kafka's tools can read it.

A group's records are in one partition, chosen by its name as Kafka does, so that their order is
kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.consumer_group import ConsumerGroup, GroupChange
from zerocopy_lab.broker.groups.consumer_records import (
    ConsumerKey,
    RestoredGroup,
    encode_change,
    keys_of_group,
)
from zerocopy_lab.broker.groups.records import (
    CommittedOffset,
    GroupKey,
    OffsetKey,
    decode_group_value,
    decode_key,
    decode_offset_value,
    encode_group_key,
    encode_group_value,
    encode_offset_key,
    encode_offset_value,
)
from zerocopy_lab.errors import (
    CoordinatorNotAvailable,
    InvalidCommitOffsetSize,
    InvalidRecord,
    MessageTooLarge,
    RecordListTooLarge,
)
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.log.upkeep.keyed_log import Entry, KeyedLog

_LOGGER = logging.getLogger(__name__)

OFFSETS_TOPIC = "__consumer_offsets"
COMPACT = "compact"

#: A batch must fit into a small segment.
_TOMBSTONES_AT_ONCE = 1_000

Committed = dict[tuple[str, int], CommittedOffset]  # by topic and partition


AnyGroup = ClassicGroup | ConsumerGroup


class Restored(NamedTuple):
    """What the log told at the start."""

    groups: dict[str, AnyGroup]
    offsets: dict[str, Committed]  # by group


class GroupStore:
    """The topic `__consumer_offsets` of `logs`, made when something is first written."""

    def __init__(
        self, logs: LogDirectories, *, partition_count: int = 1, segment_bytes: int = 1 << 20
    ) -> None:
        self._logs = logs
        self._partition_count = partition_count
        self._overrides = {"cleanup.policy": COMPACT, "segment.bytes": str(segment_bytes)}

    def restore(self) -> Restored:
        """Read the whole topic. A record that cannot be read costs that record, with a line in the
        log; whatever is in the topic, the broker starts.
        """
        topic = self._logs.topics().get(OFFSETS_TOPIC)
        if topic is None:
            return Restored({}, {})
        if topic.settings.cleanup_policy != COMPACT:
            # An adopted directory, or an administrator's doing: retention would delete offsets.
            _LOGGER.warning(
                "%s had cleanup.policy=%s", OFFSETS_TOPIC, topic.settings.cleanup_policy
            )
            overrides = {**topic.settings.overrides, "cleanup.policy": COMPACT}
            self._logs.alter_settings(OFFSETS_TOPIC, overrides)
        restored = Restored({}, {})
        consumers: dict[str, RestoredGroup] = {}
        for raw_key, value in self._table(topic.partitions).items():
            try:
                key = decode_key(raw_key)
                if isinstance(key, ConsumerKey):
                    group_id = key.group_id
                    consumers.setdefault(group_id, RestoredGroup(group_id)).take(key, value)
                else:
                    _apply(restored, key, value)
            except InvalidRecord as cause:
                _LOGGER.warning("%s: a record is passed over: %s", OFFSETS_TOPIC, cause)
        for group_id, parts in consumers.items():
            if (group := parts.group()) is not None:
                restored.groups[group_id] = group
        return restored

    def _table(self, partition_count: int) -> dict[bytes, bytes]:
        """The last value of each key. Where the number of partitions was changed, what is in the
        partition that belongs to a group by now is the newer one.
        """
        last: dict[bytes, tuple[bool, bytes | None]] = {}
        for partition in range(partition_count):
            log = self._logs.get(OFFSETS_TOPIC, partition)
            for raw_key, value in KeyedLog(log).replay() if log else ():
                at_home = self._is_at_home(raw_key, partition, partition_count)
                if at_home or not last.get(raw_key, (False,))[0]:
                    last[raw_key] = at_home, value
        return {key: value for key, (_, value) in last.items() if value is not None}

    def _is_at_home(self, raw_key: bytes, partition: int, partition_count: int) -> bool:
        if partition_count == 1:
            return True
        try:
            key = decode_key(raw_key)
        except InvalidRecord:
            return True
        return key is None or partition_of(key.group_id, partition_count) == partition

    def save_group(self, group: ClassicGroup) -> None:
        """Write the group's members and generation. Raises KafkaError."""
        entry = encode_group_key(group.group_id), encode_group_value(group)
        self._append(group.group_id, [entry])

    def save_change(self, group: ConsumerGroup, change: GroupChange) -> None:
        """Write what is to be different in a consumer group: all of it, or nothing. Raises
        KafkaError.
        """
        self._append(group.group_id, encode_change(group, change))

    def remove_group(self, group: AnyGroup, offsets: Iterable[tuple[str, int]] = ()) -> None:
        """Write that a group without members, and these offsets, are no more. Raises KafkaError."""
        if isinstance(group, ConsumerGroup):
            keys = keys_of_group(group)
        else:
            keys = [encode_group_key(group.group_id)]
        self.remove(group.group_id, offsets, group_keys=keys)

    def save_offsets(
        self, group_id: str, offsets: Mapping[tuple[str, int], CommittedOffset]
    ) -> None:
        """Write commits: all of them, or none. Raises KafkaError."""
        self._append(
            group_id,
            [
                (encode_offset_key(OffsetKey(group_id, *where)), encode_offset_value(committed))
                for where, committed in offsets.items()
            ],
        )

    def remove(
        self, group_id: str, offsets: Iterable[tuple[str, int]], *, group_keys: Iterable[bytes] = ()
    ) -> None:
        """Write that these offsets, and the records with `group_keys`, are no more."""
        keys = [encode_offset_key(OffsetKey(group_id, *where)) for where in offsets]
        keys += group_keys
        for first in range(0, len(keys), _TOMBSTONES_AT_ONCE):
            batch = keys[first : first + _TOMBSTONES_AT_ONCE]
            self._append(group_id, [(key, None) for key in batch])

    def flush(self) -> None:
        """Force everything to disk. Raises KafkaStorageError; CoordinatorNotAvailable when a part
        is offline: who knows what it says.
        """
        topic = self._logs.topics().get(OFFSETS_TOPIC)
        for partition in range(topic.partitions if topic else 0):
            self._log_of(partition).flush()

    def _log_of(self, partition: int) -> PartitionLog:
        log = self._logs.get(OFFSETS_TOPIC, partition)
        if log is None:
            raise CoordinatorNotAvailable(f"{OFFSETS_TOPIC}-{partition} is offline")
        return log

    def _append(self, group_id: str, entries: list[Entry]) -> None:
        if not entries:
            return
        topics = self._logs.topics()
        if OFFSETS_TOPIC not in topics:
            self._logs.create_topic(OFFSETS_TOPIC, self._partition_count, self._overrides)
            topics = self._logs.topics()
        partition = partition_of(group_id, topics[OFFSETS_TOPIC].partitions)
        log = self._log_of(partition)
        try:
            KeyedLog(log).append(entries)
        except (MessageTooLarge, RecordListTooLarge) as cause:
            raise InvalidCommitOffsetSize(str(cause)) from cause


def _apply(restored: Restored, key: OffsetKey | GroupKey | None, value: bytes) -> None:
    if isinstance(key, GroupKey):
        restored.groups[key.group_id] = decode_group_value(key.group_id, value)
    elif isinstance(key, OffsetKey):
        committed = restored.offsets.setdefault(key.group_id, {})
        committed[key.topic, key.partition] = decode_offset_value(value)


def partition_of(group_id: str, partition_count: int) -> int:
    """Kafka's `partitionFor`: Java's String.hashCode, its sign dropped, modulo the partitions."""
    code = 0
    utf16 = group_id.encode("utf-16-be")
    for high, low in zip(utf16[::2], utf16[1::2], strict=True):
        code = (31 * code + (high << 8 | low)) & 0xFFFFFFFF
    if code == 1 << 31:  # Java's smallest int has no positive counterpart
        return 0
    return min(code, (1 << 32) - code) % partition_count
