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

from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.broker.groups.classic_group import Group, GroupState
from zerocopy_lab.broker.groups.member import Member
from zerocopy_lab.errors import FrameError, InvalidRecord, InvalidRequest
from zerocopy_lab.protocol.framing import read_unsigned_varint

OFFSET_KEY_VERSION = 1
GROUP_KEY_VERSION = 2
VALUE_VERSION = 3
FLEXIBLE_VERSION = 4
LONGEST_STRING_BYTES = (1 << 15) - 1

_INT16 = Struct(">h")
_INT32 = Struct(">i")
_INT64 = Struct(">q")


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


class _Writer:
    """Grows a record field by field. Raises InvalidRequest for a string that is too long."""

    def __init__(self, version: int) -> None:
        self.record = bytearray(_INT16.pack(version))

    def int32(self, number: int) -> None:
        self.record += _INT32.pack(number)

    def int64(self, number: int) -> None:
        self.record += _INT64.pack(number)

    def string(self, text: str | None) -> None:
        raw = b"" if text is None else text.encode()
        if len(raw) > LONGEST_STRING_BYTES:
            raise InvalidRequest(
                f"a name of {len(raw)} bytes; at most {LONGEST_STRING_BYTES} can be stored"
            )
        self.record += _INT16.pack(-1 if text is None else len(raw)) + raw

    def bytestring(self, raw: bytes) -> None:
        self.record += _INT32.pack(len(raw)) + raw


class _Reader:
    """Takes a record apart field by field. Raises InvalidRecord when it ends too early."""

    def __init__(self, record: bytes) -> None:
        self._record = record
        self._position = 0
        self.version = self.int16()

    def _number(self, struct: Struct) -> int:
        try:
            (number,) = struct.unpack_from(self._record, self._position)
        except error:
            raise InvalidRecord(f"a group record of {len(self._record)} bytes is cut") from None
        self._position += struct.size
        return int(number)

    def int16(self) -> int:
        return self._number(_INT16)

    def int32(self) -> int:
        return self._number(_INT32)

    def int64(self) -> int:
        return self._number(_INT64)

    def _take(self, length_bytes: int) -> bytes:
        raw = self._record[self._position : self._position + length_bytes]
        if length_bytes < 0 or len(raw) != length_bytes:
            raise InvalidRecord(f"a group record of {len(self._record)} bytes is cut")
        self._position += length_bytes
        return raw

    def string(self) -> str:
        return self.optional_string() or ""

    def optional_string(self) -> str | None:
        length_bytes = self.int16()
        return None if length_bytes == -1 else self._take(length_bytes).decode()

    def compact_string(self) -> str:
        try:
            behind, self._position = read_unsigned_varint(memoryview(self._record), self._position)
        except FrameError as cut:
            raise InvalidRecord(f"a group record: {cut}") from None
        return self._take(behind - 1).decode()

    def bytestring(self) -> bytes:
        return self._take(self.int32())


def encode_offset_key(key: OffsetKey) -> bytes:
    """The key of a committed offset."""
    writer = _Writer(OFFSET_KEY_VERSION)
    writer.string(key.group_id)
    writer.string(key.topic)
    writer.int32(key.partition)
    return bytes(writer.record)


def encode_offset_value(committed: CommittedOffset) -> bytes:
    """The value of a committed offset."""
    writer = _Writer(VALUE_VERSION)
    writer.int64(committed.offset)
    writer.int32(committed.leader_epoch)
    writer.string(committed.metadata)
    writer.int64(committed.commit_time_ms)
    return bytes(writer.record)


def encode_group_key(group_id: str) -> bytes:
    """The key of a group."""
    writer = _Writer(GROUP_KEY_VERSION)
    writer.string(group_id)
    return bytes(writer.record)


def encode_group_value(group: Group) -> bytes:
    """What a restarted broker needs to go on with the group: who is in it, and who does what."""
    writer = _Writer(VALUE_VERSION)
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


def decode_key(key: bytes) -> OffsetKey | GroupKey | None:
    """What a record is about; None for a kind that is unknown here. Raises InvalidRecord."""
    reader = _Reader(key)
    if reader.version <= OFFSET_KEY_VERSION:
        return OffsetKey(reader.string(), reader.string(), reader.int32())
    if reader.version == GROUP_KEY_VERSION:
        return GroupKey(reader.string())
    return None


def decode_offset_value(value: bytes) -> CommittedOffset:
    """Read a committed offset, of version 0 to 4. Raises InvalidRecord."""
    reader = _Reader(value)
    if reader.version != FLEXIBLE_VERSION:
        _check_version(reader.version)
    offset = reader.int64()
    leader_epoch = reader.int32() if reader.version >= 3 else -1
    is_flexible = reader.version == FLEXIBLE_VERSION
    metadata = reader.compact_string() if is_flexible else reader.string()
    return CommittedOffset(offset, leader_epoch, metadata, reader.int64())


def decode_group_value(group_id: str, value: bytes) -> Group:
    """Read a group, of version 0 to 3: Stable when it has members, else Empty. Raises
    InvalidRecord.
    """
    reader = _Reader(value)
    _check_version(reader.version)
    group = Group(group_id)
    group.protocol_type = reader.string() or None
    group.generation_id = reader.int32()
    group.protocol_name = reader.optional_string()
    leader_id = reader.optional_string()
    group.state_since_ms = reader.int64() if reader.version >= 2 else 0
    for _ in range(reader.int32()):
        group.add(_decode_member(reader, group.protocol_name or ""))
    group.leader_id = leader_id if leader_id in group.members else None
    group.state = GroupState.STABLE if group.members else GroupState.EMPTY
    return group


def _decode_member(reader: _Reader, protocol_name: str) -> Member:
    member_id = reader.string()
    instance_id = reader.optional_string() if reader.version >= 3 else None
    client_id, client_host = reader.string(), reader.string()
    rebalance_timeout_ms = reader.int32() if reader.version >= 1 else 0
    session_timeout_ms = reader.int32()
    return Member(
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
