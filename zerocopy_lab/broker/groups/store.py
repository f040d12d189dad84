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

from zerocopy_lab.broker.groups.classic_group import Group
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
from zerocopy_lab.log import LogDirectories
from zerocopy_lab.log.upkeep.keyed_log import Entry, KeyedLog

_log = logging.getLogger(__name__)

OFFSETS_TOPIC = "__consumer_offsets"

Committed = dict[tuple[str, int], CommittedOffset]  # by topic and partition


class Restored(NamedTuple):
    """What the log told at the start."""

    groups: dict[str, Group]
    offsets: dict[str, Committed]  # by group


class GroupStore:
    """The topic `__consumer_offsets` of `logs`, made when something is first written."""

    def __init__(
        self, logs: LogDirectories, *, partition_count: int = 1, segment_bytes: int = 1 << 20
    ) -> None:
        self._logs = logs
        self._partition_count = partition_count
        self._overrides = {"cleanup.policy": "compact", "segment.bytes": str(segment_bytes)}

    def restore(self) -> Restored:
        """Read the whole topic. What cannot be read is passed over, with a line in the log."""
        restored = Restored({}, {})
        topic = self._logs.topics().get(OFFSETS_TOPIC)
        for partition in range(topic.partitions if topic else 0):
            log = self._logs.get(OFFSETS_TOPIC, partition)
            for key, value in KeyedLog(log).replay() if log else ():
                try:
                    _apply(restored, key, value)
                except (InvalidRecord, UnicodeDecodeError) as cause:
                    _log.warning("%s-%d: record passed over: %s", OFFSETS_TOPIC, partition, cause)
        with_offsets = {group_id: known for group_id, known in restored.offsets.items() if known}
        return restored._replace(offsets=with_offsets)

    def save_group(self, group: Group) -> None:
        """Write the group's members and generation. Raises KafkaError."""
        entry = encode_group_key(group.group_id), encode_group_value(group)
        self._append(group.group_id, [entry])

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
        self, group_id: str, offsets: Iterable[tuple[str, int]], *, and_group: bool = False
    ) -> None:
        """Write that these offsets, and with `and_group` the group itself, are no more."""
        entries: list[Entry] = [
            (encode_offset_key(OffsetKey(group_id, *where)), None) for where in offsets
        ]
        if and_group:
            entries.append((encode_group_key(group_id), None))
        self._append(group_id, entries)

    def _append(self, group_id: str, entries: list[Entry]) -> None:
        if not entries:
            return
        topics = self._logs.topics()
        if OFFSETS_TOPIC not in topics:
            self._logs.create_topic(OFFSETS_TOPIC, self._partition_count, self._overrides)
            topics = self._logs.topics()
        partition = partition_of(group_id, topics[OFFSETS_TOPIC].partitions)
        log = self._logs.get(OFFSETS_TOPIC, partition)
        if log is None:
            raise CoordinatorNotAvailable(f"{OFFSETS_TOPIC}-{partition} is offline")
        try:
            KeyedLog(log).append(entries)
        except (MessageTooLarge, RecordListTooLarge) as cause:
            raise InvalidCommitOffsetSize(str(cause)) from cause


def _apply(restored: Restored, raw_key: bytes, value: bytes | None) -> None:
    key = decode_key(raw_key)
    if isinstance(key, GroupKey):
        if value is None:
            restored.groups.pop(key.group_id, None)
        else:
            restored.groups[key.group_id] = decode_group_value(key.group_id, value)
    elif isinstance(key, OffsetKey):
        committed = restored.offsets.setdefault(key.group_id, {})
        if value is None:
            committed.pop((key.topic, key.partition), None)
        else:
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
