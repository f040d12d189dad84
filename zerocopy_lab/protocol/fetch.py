"""Fetch: a request that says how far each partition was read, and a response that is mostly files.

    request, version  4..18                                              before 12     from 12 on
              replica_id (till 14; unused: nobody follows)               i32
              max_wait_ms, min_bytes, max_bytes                          i32 i32 i32
              isolation_level (unused)                                   i8
     7+       session_id, session_epoch                                  i32 i32
              [topic: its name (till 12), its id (from 13 on)            string        compact, uuid
                [partition                                               i32
     9+          current_leader_epoch                                    i32
                 fetch_offset                                            i64
    12+          last_fetched_epoch (of a follower)                      i32
     5+          log_start_offset (of a follower)                        i64
                 partition_max_bytes                                     i32           + tags
                ]]                                                                     + tags
     7+       [forgotten topic [partition]]  of a fetch session                        + tags
    11+       rack_id                                                    string        compact
                                                                                       + tags
    response
              throttle_time_ms                                           i32
     7+       error_code, session_id                                     i16 i32
              [topic: as in the request                                  string        compact, uuid
                [partition_index, error_code                             i32 i16
                 high_watermark, last_stable_offset                      i64 i64
     5+          log_start_offset                                        i64
                 aborted_transactions: null here                         i32           varint
    11+          preferred_read_replica                                  i32
                 the length of the records                               i32           varint
                 records: the FILE SLICE                                               + tags
                ]]                                                                     + tags
                                                                                       + tags

The length of the records is written before them, but the records themselves never pass through
this program: the slice that stands in their place is sent by the kernel, straight from the page
cache. Up to version 11 the response for one partition is two pieces, and the file's bytes are its
last. Since version 12 tagged fields (KIP-482) stand behind the records, three zeros in the end: a
piece more, whatever the number of partitions, for they go with the next one's head. The outbox sees
to it that they need no packet of their own.

Read and written by hand, and not by kio: with kio the broker's part of a small fetch took twice as
long; and in dataclasses with slots, since a NamedTuple takes more than twice as long to make. Left
out: transactions, and what concerns followers.

Source: Kafka's `FetchRequest.json` and `FetchResponse.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.errors import FrameError
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import LENGTH, Piece, skip_tagged_fields, unsigned
from zerocopy_lab.protocol.structure import check_structure
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.varint import unsigned_varint

FLEXIBLE_FROM, TOPIC_IDS_FROM = 12, 13
_ID_BYTES = 16
_NAME_LENGTH = Struct(">h")
_NULL = _NONE = -1

#: To add to a longer piece would copy too much, again and again.
_LONG_BYTES = 16 << 10


class _Layout(NamedTuple):
    """What the parts of fixed length look like in a version."""

    head: Struct  # max_wait_ms, min_bytes, max_bytes, (session_id, session_epoch,) (topics)
    wanted: Struct  # partition, fetch_offset, partition_max_bytes, (number of tagged fields)
    response: Struct  # length, correlation id, throttle time, (error code, session id,) (topics)
    answered: Struct  # index, error, high watermark, last stable, (log start), null, (replica,
    #                   and where it is no varint: length)
    usual_end: bytes  # no forgotten topics, (no rack, no tagged fields)


_V4 = _Layout(Struct(">4xiiixi"), Struct(">iqi"), Struct(">iiii"), Struct(">ihqqii"), b"")
_V5 = _V4._replace(wanted=Struct(">iq8xi"), answered=Struct(">ihqqqii"))
_V7 = _V5._replace(head=Struct(">4xiiixiii"), response=Struct(">iiihii"), usual_end=bytes(4))
_V9 = _V7._replace(wanted=Struct(">i4xq8xi"))
_V11 = _V9._replace(answered=Struct(">ihqqqiii"), usual_end=bytes(6))
_V12 = _Layout(
    Struct(">4xiiixii"),
    Struct(">i4xq4x8xiB"),
    Struct(">iixihi"),
    Struct(">ihqqqBi"),
    b"\x01\x01\x00",
)
_V15 = _V12._replace(head=Struct(">iiixii"))
_LAYOUTS = dict(zip(range(4, 12), (_V4, _V5, _V5, _V7, _V7, _V9, _V9, _V11), strict=True))
_LAYOUTS |= {12: _V12, 13: _V12, 14: _V12, 15: _V15, 16: _V15, 17: _V15, 18: _V15}


# The request -------------------------------------------------------------------------------------


@dataclass(slots=True)
class WantedPartition:
    """What is asked of one partition."""

    partition: int
    fetch_offset: int
    partition_max_bytes: int


@dataclass(slots=True)
class WantedTopic:
    """What is asked of one topic, which is called by its name or by the bytes of its id."""

    key: str | bytes
    partitions: list[WantedPartition]


@dataclass(slots=True)
class FetchRequest:
    """The request's fields by their names in Kafka; in milliseconds and bytes."""

    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    session_epoch: int
    topics: list[WantedTopic]


def read_fetch_request(frame: memoryview, body_at: int, version: int) -> FetchRequest:
    """Parse the body that begins at byte `body_at` of `frame`. Raises FrameError when it is not
    what `version` says.
    """
    layout = _LAYOUTS[version]
    topics, at = [], body_at
    try:
        fields = layout.head.unpack_from(frame, at)
        at += layout.head.size
        read, count = _topic, fields[-1]
        if version >= FLEXIBLE_FROM:
            count, at = _compact_length(frame, at)
            read = _topic_of_12 if version < TOPIC_IDS_FROM else _topic_of_13
        if count < 0:
            raise FrameError(f"an array of {count} topics")
        for _ in range(count):
            topic, at = read(frame, at, layout.wanted)
            topics.append(topic)
        if frame[at:] != layout.usual_end:
            # Forgotten topics or a rack. Nothing in it is of use to us, but it has to be there.
            check_structure(messages.request_type(ApiKey.fetch, version), frame, body_at)
    except (error, IndexError, OverflowError):
        raise FrameError(f"a Fetch request cut off at byte {len(frame)}") from None
    except UnicodeDecodeError:
        raise FrameError("a topic name that is not UTF-8") from None
    session_epoch = fields[4] if version >= 7 else -1
    return FetchRequest(fields[0], fields[1], fields[2], session_epoch, topics)


def _topic(frame: memoryview, at: int, partition: Struct) -> tuple[WantedTopic, int]:
    """The topic that begins at byte `at`, and where it ends."""
    name_at = at + _NAME_LENGTH.size
    name_end = name_at + _NAME_LENGTH.unpack_from(frame, at)[0]
    (count,) = LENGTH.unpack_from(frame, name_end)
    begin = name_end + LENGTH.size
    end = begin + count * partition.size
    if name_end < name_at or not begin <= end <= len(frame):
        raise FrameError(f"a topic name till byte {name_end}, an array of {count} partitions")
    wanted = [WantedPartition(*fields) for fields in partition.iter_unpack(frame[begin:end])]
    return WantedTopic(str(frame[name_at:name_end], "utf-8"), wanted), end


def _topic_of_12(frame: memoryview, at: int, partition: Struct) -> tuple[WantedTopic, int]:
    length, at = _compact_length(frame, at)
    if not 0 <= length <= len(frame) - at:
        raise FrameError(f"a topic name of {length} bytes")
    wanted, end = _flexible_partitions(frame, at + length, partition)
    return WantedTopic(str(frame[at : at + length], "utf-8"), wanted), end


def _topic_of_13(frame: memoryview, at: int, partition: Struct) -> tuple[WantedTopic, int]:
    wanted, end = _flexible_partitions(frame, at + _ID_BYTES, partition)
    return WantedTopic(bytes(frame[at : at + _ID_BYTES]), wanted), end


def _flexible_partitions(
    frame: memoryview, at: int, partition: Struct
) -> tuple[list[WantedPartition], int]:
    count, at = _compact_length(frame, at)
    if not 0 <= count * partition.size <= len(frame) - at:
        raise FrameError(f"an array of {count} partitions in {len(frame) - at} bytes")
    wanted = []
    for _ in range(count):
        *fields, tags = partition.unpack_from(frame, at)
        at += partition.size
        if tags:
            at = skip_tagged_fields(frame, at - 1)
        wanted.append(WantedPartition(*fields))
    return wanted, skip_tagged_fields(frame, at)


def _compact_length(frame: memoryview, at: int) -> tuple[int, int]:
    """A length as a varint of one more (0: null, here -1), and the position behind it."""
    length = frame[at]
    if length < 0x80:
        return length - 1, at + 1
    length, at = unsigned_varint(frame, at)
    return length - 1, at


# The response ------------------------------------------------------------------------------------


@dataclass(slots=True)
class FetchedPartition:
    """The answer for one partition. `records` is what the log found; None stands for no bytes."""

    partition: int
    error_code: int
    high_watermark: int
    log_start_offset: int
    records: FileSlice | None


@dataclass(slots=True)
class FetchedTopic:
    """The answers for the partitions of one topic, called as it was in the request."""

    key: str | bytes
    partitions: Sequence[FetchedPartition]


def fetch_response(
    correlation_id: int, version: int, topics: Sequence[FetchedTopic]
) -> list[Piece]:
    """The whole response, frame length included, as pieces in the order of the wire."""
    tags = b"\x00" if version >= FLEXIBLE_FROM else b""
    pieces: list[Piece] = []
    body_bytes = 0
    made = b""  # what stands before the next file slice
    for topic in topics:
        made += _topic_head(topic.key, len(topic.partitions), version)
        for answer in topic.partitions:
            made += _partition_head(answer, version)
            records = answer.records
            if records is not None:
                pieces += (made, records)
                body_bytes += len(made) + records.length
                made = tags
            else:
                made += tags
                if len(made) > _LONG_BYTES:
                    pieces.append(made)
                    body_bytes += len(made)
                    made = b""
        made += tags
    made += tags
    body_bytes += len(made)
    head = _head(version, correlation_id, len(topics), body_bytes)
    if not pieces:
        return [head + made]
    first = pieces[0]
    assert isinstance(first, bytes)
    pieces[0] = head + first
    if made:
        pieces.append(made)
    return pieces


def _head(version: int, correlation_id: int, topic_count: int, body_bytes: int) -> bytes:
    """Everything before the first topic; `body_bytes` is what comes after."""
    layout = _LAYOUTS[version].response
    if version >= FLEXIBLE_FROM:
        count = unsigned(topic_count + 1)
        length = layout.size - LENGTH.size + len(count) + body_bytes
        return layout.pack(length, correlation_id, 0, 0, 0) + count
    length = layout.size - LENGTH.size + body_bytes
    if version >= 7:
        return layout.pack(length, correlation_id, 0, 0, 0, topic_count)
    return layout.pack(length, correlation_id, 0, topic_count)


@lru_cache(maxsize=4096)
def _topic_head(key: str | bytes, partition_count: int, version: int) -> bytes:
    """A topic's name or id and the number of its partitions: the same again and again."""
    raw = key.encode() if isinstance(key, str) else key
    length = b""  # of an id
    if version < FLEXIBLE_FROM:
        length = len(raw).to_bytes(2, "big")
    elif version < TOPIC_IDS_FROM:
        length = unsigned(len(raw) + 1)
    return length + raw + _array_length(partition_count, version)


def _partition_head(answer: FetchedPartition, version: int) -> bytes:
    """Everything of one partition's answer that stands before its records."""
    index, error_code, log_start = answer.partition, answer.error_code, answer.log_start_offset
    high_watermark = stable = answer.high_watermark  # without transactions nothing is unstable
    length = 0 if answer.records is None else answer.records.length
    if version >= FLEXIBLE_FROM:
        fixed = _V12.answered.pack(index, error_code, high_watermark, stable, log_start, 0, _NONE)
        return fixed + unsigned(length + 1)
    if version == 11:
        return _V11.answered.pack(
            index, error_code, high_watermark, stable, log_start, _NULL, _NONE, length
        )
    if version >= 5:
        return _V5.answered.pack(
            index, error_code, high_watermark, stable, log_start, _NULL, length
        )
    return _V4.answered.pack(index, error_code, high_watermark, stable, _NULL, length)


def _array_length(count: int, version: int) -> bytes:
    return LENGTH.pack(count) if version < FLEXIBLE_FROM else unsigned(count + 1)
