"""The records of `__consumer_offsets`, byte for byte as Kafka writes them. All numbers are
big-endian.

| record | key |
|---|---|
| committed offset | version i16 = 1, group, topic, partition i32 |
| group | version i16 = 2, group |

| record | value |
|---|---|
| committed offset | version i16 = 3, offset i64, leader epoch i32, metadata, commit time i64 |
| group | version i16 = 3, protocol type, generation i32, protocol?, leader?, since i64, members |

A member is: member id, instance id?, client id, client host, rebalance timeout i32, session timeout
i32, subscription, assignment. A string is a length i16 and UTF-8 (length -1, where marked with ?:
none); bytes have a length i32; a list has a count i32. Times are milliseconds of the wall clock. A
record without a value says that its key is no more.

Older values that Kafka 0.9 to 2.3 wrote (versions 0 to 2) are read as well, and the committed
offset of Kafka 4.2 (version 4: its metadata is a compact string, and tagged fields follow), so
that a log taken from a real broker can be read here; newer keys (transactions, other kinds of
groups) are passed over, as Kafka does with what it does not know. Source: Kafka's
OffsetCommitKey/Value.json and GroupMetadataKey/Value.json.
"""

from __future__ import annotations

from typing import NamedTuple

from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.classic_member import ClassicMember
from zerocopy_lab.broker.groups.consumer_records import (
    ConsumerKey,
    ConsumerRecordKind,
    decode_consumer_key,
)
from zerocopy_lab.broker.groups.record_fields import RecordReader, RecordWriter
from zerocopy_lab.errors import InvalidRecord

OFFSET_KEY_VERSION = 1
GROUP_KEY_VERSION = 2
VALUE_VERSION = 3
FLEXIBLE_VERSION = 4


class OffsetKey(NamedTuple):
    """Whose offset in what. Also the key of the table of committed offsets in memory."""

    group_id: str
    topic: str
    partition: int


class CommittedOffset(NamedTuple):
    """How far a group has got: the next offset it wants."""

    offset: int
    leader_epoch: int  # -1: unknown
    metadata: str
    commit_time_ms: int


class GroupKey(NamedTuple):
    """The key of a group's own record."""

    group_id: str


def encode_offset_key(key: OffsetKey) -> bytes:
    """The key of a committed offset."""
    writer = RecordWriter(OFFSET_KEY_VERSION)
    writer.string(key.group_id)
    writer.string(key.topic)
    writer.int32(key.partition)
    return bytes(writer.record)


def encode_offset_value(committed: CommittedOffset) -> bytes:
    """The value of a committed offset."""
    writer = RecordWriter(VALUE_VERSION)
    writer.int64(committed.offset)
    writer.int32(committed.leader_epoch)
    writer.string(committed.metadata)
    writer.int64(committed.commit_time_ms)
    return bytes(writer.record)


def encode_group_key(group_id: str) -> bytes:
    """The key of a group."""
    writer = RecordWriter(GROUP_KEY_VERSION)
    writer.string(group_id)
    return bytes(writer.record)


def encode_group_value(group: ClassicGroup) -> bytes:
    """What a restarted broker needs to go on with the group: who is in it, and who does what."""
    writer = RecordWriter(VALUE_VERSION)
    writer.string(group.protocol_type or "")
    writer.int32(group.generation_id)
    writer.string(group.protocol_name)
    writer.string(group.leader_id)
    writer.int64(group.state_since_ms)
    writer.int32(len(group.members))
    for member in group.members.values():
        assert group.protocol_name is not None
        writer.string(member.member_id)
        writer.string(member.group_instance_id)
        writer.string(member.client_id)
        writer.string(member.client_host)
        writer.int32(member.rebalance_timeout_ms)
        writer.int32(member.session_timeout_ms)
        writer.bytestring(member.protocols[group.protocol_name])
        writer.bytestring(member.assignment)
    return bytes(writer.record)


def decode_key(raw: bytes) -> OffsetKey | GroupKey | ConsumerKey | None:
    """What a record is about; None for a kind that is unknown here. Raises InvalidRecord."""
    reader = RecordReader(raw)
    if 0 <= reader.version <= OFFSET_KEY_VERSION:
        found = OffsetKey(reader.string(), reader.string(), reader.int32())
        if found.partition < 0:
            raise InvalidRecord(f"an offset of partition {found.partition}")
        return found
    if reader.version == GROUP_KEY_VERSION:
        return GroupKey(reader.string())
    return decode_consumer_key(raw) if reader.version in set(ConsumerRecordKind) else None


def decode_offset_value(value: bytes) -> CommittedOffset:
    """Read a committed offset, of version 0 to 4. Raises InvalidRecord."""
    reader = RecordReader(value)
    if reader.version != FLEXIBLE_VERSION:
        _check_version(reader.version)
    offset = reader.int64()
    leader_epoch = reader.int32() if reader.version >= 3 else -1
    is_flexible = reader.version == FLEXIBLE_VERSION
    metadata = (reader.compact_string() or "") if is_flexible else reader.string()
    return CommittedOffset(offset, leader_epoch, metadata, reader.int64())


def decode_group_value(group_id: str, value: bytes) -> ClassicGroup:
    """Read a group, of version 0 to 3: Stable when it has members, else Empty. Raises
    InvalidRecord, also for what no broker would have written.
    """
    reader = RecordReader(value)
    _check_version(reader.version)
    protocol_type = reader.string() or None
    generation_id = reader.int32()
    protocol_name = reader.optional_string()
    leader_id = reader.optional_string()
    since_ms = reader.int64() if reader.version >= 2 else 0
    count = reader.int32()
    members = [_decode_member(reader, protocol_name) for _ in range(count)]
    for names in (
        [member.member_id for member in members],
        [m.group_instance_id for m in members if m.group_instance_id is not None],
    ):
        if len(set(names)) < len(names):
            raise InvalidRecord(f"group {group_id}: two members are called the same: {names}")
    if count < 0 or generation_id < 0:
        raise InvalidRecord(f"group {group_id}: {count} members in generation {generation_id}")
    return ClassicGroup.restored(
        group_id, protocol_type, protocol_name, generation_id, since_ms, leader_id, members
    )


def _decode_member(reader: RecordReader, protocol_name: str | None) -> ClassicMember:
    if protocol_name is None:
        raise InvalidRecord("a group with members that have agreed on no protocol")
    member_id = reader.string()
    instance_id = reader.optional_string() if reader.version >= 3 else None
    client_id, client_host = reader.string(), reader.string()
    rebalance_timeout_ms = reader.int32() if reader.version >= 1 else 0
    session_timeout_ms = reader.int32()
    if session_timeout_ms < 0 or rebalance_timeout_ms < 0:
        raise InvalidRecord(f"a session of {session_timeout_ms} ms, {rebalance_timeout_ms} to join")
    return ClassicMember(
        member_id,
        instance_id,
        client_id,
        client_host,
        session_timeout_ms,
        rebalance_timeout_ms or session_timeout_ms,
        protocols={protocol_name: reader.bytestring()},
        assignment=reader.bytestring(),
    )


def _check_version(version: int) -> None:
    if not 0 <= version <= VALUE_VERSION:
        raise InvalidRecord(f"a group record of version {version}; versions 0 to 3 can be read")
