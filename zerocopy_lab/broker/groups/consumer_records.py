"""The records of a KIP-848 consumer group in `__consumer_offsets`, byte for byte as Kafka writes
them; `record_fields` has the fields.

| record | key: version i16, and | value: version i16 = 0, and |
|---|---|---|
| group | 3, group | epoch i32; tag 0: hash of the topics i64 |
| member | 5, group, member | instance?, rack?, client, host, topics, regex?, rebalance ms i32,
assignor? |
| target | 6, group | epoch i32 |
| target of a member | 7, group, member | partitions |
| where a member is | 8, group, member | epoch i32, previous epoch i32, state i8, owns, revokes |

The ms are the rebalance timeout. Strings in keys are plain, all in values is compact; every value
ends with tagged fields. Partitions are a list of: topic id, list of i32, tagged fields. Kafka's
records of a group's topics (key 4, until 4.0) and of what a regular expression matched (key 16) are
not needed here, and passed over.
Source: Kafka's ConsumerGroup...Key/Value.json.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from zerocopy_lab.broker.groups.assignors import Slots
from zerocopy_lab.broker.groups.consumer_group import (
    ConsumerGroup,
    ConsumerMember,
    GroupChange,
    MemberState,
    Subscription,
)
from zerocopy_lab.broker.groups.record_fields import RecordReader, RecordWriter
from zerocopy_lab.errors import InvalidRecord

Encoded = tuple[bytes, bytes | None]


class ConsumerRecordKind(IntEnum):
    """What a record is about: the version of its key."""

    GROUP = 3
    MEMBER = 5
    TARGET_EPOCH = 6
    TARGET = 7
    CURRENT = 8


#: In the order in which a real Kafka wants to hear that they are no more.
_OF_GROUP = (ConsumerRecordKind.TARGET_EPOCH, ConsumerRecordKind.GROUP)
_OF_MEMBER = (ConsumerRecordKind.CURRENT, ConsumerRecordKind.TARGET, ConsumerRecordKind.MEMBER)


class ConsumerKey(NamedTuple):
    """Whose record, and which."""

    group_id: str
    kind: ConsumerRecordKind
    member_id: str = ""


def encode_consumer_key(key: ConsumerKey) -> bytes:
    """The key of a record."""
    writer = RecordWriter(key.kind)
    writer.string(key.group_id)
    if key.kind in _OF_MEMBER:
        writer.string(key.member_id)
    return bytes(writer.record)


def decode_consumer_key(raw: bytes) -> ConsumerKey:
    """Read a key of one of these kinds. Raises InvalidRecord."""
    reader = RecordReader(raw)
    kind = ConsumerRecordKind(reader.version)
    return ConsumerKey(reader.string(), kind, reader.string() if kind in _OF_MEMBER else "")


def keys_of_group(group: ConsumerGroup) -> list[bytes]:
    """The keys of all records of a group without members."""
    return [encode_consumer_key(ConsumerKey(group.group_id, kind)) for kind in _OF_GROUP]


def encode_change(group: ConsumerGroup, change: GroupChange) -> list[Encoded]:
    """The records that make `change` survive a restart."""
    records: list[Encoded] = []

    def add(kind: ConsumerRecordKind, value: RecordWriter | None, member_id: str = "") -> None:
        key = encode_consumer_key(ConsumerKey(group.group_id, kind, member_id))
        records.append((key, None if value is None else bytes(value.record)))

    for member_id, member in change.members.items():
        if member is None:
            for kind in _OF_MEMBER:
                add(kind, None, member_id)
    for member_id, member in change.members.items():
        known = group.members.get(member_id)
        if member and (known is None or known.subscription != member.subscription):
            add(ConsumerRecordKind.MEMBER, _member_value(member.subscription), member_id)
    if change.epoch is not None:
        value = RecordWriter(0)
        value.int32(change.epoch)
        value.tagged_int64(0, change.topics_hash)
        add(ConsumerRecordKind.GROUP, value)
    for member_id, target in change.targets.items():
        if target is not None:  # else it goes with its member
            add(ConsumerRecordKind.TARGET, _target_value(target), member_id)
    if change.target_epoch is not None:
        value = RecordWriter(0)
        value.int32(change.target_epoch)
        value.no_tags()
        add(ConsumerRecordKind.TARGET_EPOCH, value)
    for member_id, member in change.members.items():
        if member:
            add(ConsumerRecordKind.CURRENT, _current_value(member), member_id)
    return records


def _member_value(said: Subscription) -> RecordWriter:
    writer = RecordWriter(0)
    writer.compact_string(said.instance_id)
    writer.compact_string(said.rack_id)
    writer.compact_string(said.client_id)
    writer.compact_string(said.client_host)
    writer.varint(len(said.topic_names) + 1)
    for name in said.topic_names:
        writer.compact_string(name)
    writer.compact_string(said.topic_regex)
    writer.int32(said.rebalance_timeout_ms)
    writer.compact_string(said.assignor)
    writer.no_tags()
    return writer


def _target_value(target: Slots) -> RecordWriter:
    writer = RecordWriter(0)
    _write_slots(writer, target)
    writer.no_tags()
    return writer


def _current_value(member: ConsumerMember) -> RecordWriter:
    writer = RecordWriter(0)
    writer.int32(member.epoch)
    writer.int32(member.previous_epoch)
    writer.int8(member.state)
    _write_slots(writer, member.owns)
    _write_slots(writer, member.revokes)
    writer.no_tags()
    return writer


def by_topic(slots: Slots) -> dict[UUID, list[int]]:
    """The partitions of each topic, in order."""
    topics: dict[UUID, list[int]] = defaultdict(list)
    for topic_id, partition in sorted(slots):
        topics[topic_id].append(partition)
    return topics


def _write_slots(writer: RecordWriter, slots: Slots) -> None:
    topics = by_topic(slots)
    writer.varint(len(topics) + 1)
    for topic_id, partitions in topics.items():
        writer.uuid(topic_id)
        writer.varint(len(partitions) + 1)
        for partition in partitions:
            writer.int32(partition)
        writer.no_tags()


class RestoredGroup:
    """A group as its records tell of it, in whatever order they come."""

    def __init__(self, group_id: str) -> None:
        self._group = ConsumerGroup(group_id)
        self._subscriptions: dict[str, Subscription] = {}
        self._current: dict[str, ConsumerMember] = {}
        self._targets: dict[str, Slots] = {}
        self._is_known = False

    def take(self, key: ConsumerKey, value: bytes) -> None:
        """One more record. Raises InvalidRecord; the record then counts for nothing."""
        reader = RecordReader(value)
        if reader.version != 0:
            raise InvalidRecord(f"a {key.kind.name} record of version {reader.version}, not 0")
        if key.kind is ConsumerRecordKind.GROUP:
            epoch, topics_hash = reader.int32(), reader.tagged_int64(0)
            self._group.apply(GroupChange(epoch=epoch, topics_hash=topics_hash))
            self._is_known = True
        elif key.kind is ConsumerRecordKind.TARGET_EPOCH:
            self._group.apply(GroupChange(target_epoch=reader.int32()))
        elif key.kind is ConsumerRecordKind.TARGET:
            self._targets[key.member_id] = _read_slots(reader)
        elif key.kind is ConsumerRecordKind.MEMBER:
            self._subscriptions[key.member_id] = _read_subscription(reader)
        else:
            self._current[key.member_id] = _read_current(key.member_id, reader)

    def group(self) -> ConsumerGroup | None:
        """The group; None if what makes it one is missing."""
        members: dict[str, ConsumerMember | None] = {
            member_id: replace(
                self._current.get(member_id, ConsumerMember(member_id)), subscription=said
            )
            for member_id, said in self._subscriptions.items()
        }
        targets: dict[str, Slots | None] = {
            member_id: target for member_id, target in self._targets.items() if member_id in members
        }
        self._group.apply(GroupChange(members=members, targets=targets))
        return self._group if self._is_known else None


def _read_subscription(reader: RecordReader) -> Subscription:
    return Subscription(
        instance_id=reader.compact_string(),
        rack_id=reader.compact_string(),
        client_id=reader.compact_string() or "",
        client_host=reader.compact_string() or "",
        topic_names=tuple(reader.compact_list(lambda: reader.compact_string() or "")),
        topic_regex=reader.compact_string(),
        rebalance_timeout_ms=reader.int32(),
        assignor=reader.compact_string(),
    )


def _read_current(member_id: str, reader: RecordReader) -> ConsumerMember:
    epoch, previous_epoch, state = reader.int32(), reader.int32(), reader.int8()
    try:
        known = MemberState(state)
    except ValueError:
        raise InvalidRecord(f"a member in state {state}") from None
    return ConsumerMember(
        member_id,
        epoch=epoch,
        previous_epoch=previous_epoch,
        state=known,
        owns=_read_slots(reader),
        revokes=_read_slots(reader),
    )


def _read_slots(reader: RecordReader) -> Slots:
    topics = reader.compact_list(lambda: _read_topic(reader))
    return frozenset((topic_id, part) for topic_id, partitions in topics for part in partitions)


def _read_topic(reader: RecordReader) -> tuple[UUID, list[int]]:
    topic_id, partitions = reader.uuid(), reader.compact_list(reader.int32)
    reader.tags()
    return topic_id, partitions
