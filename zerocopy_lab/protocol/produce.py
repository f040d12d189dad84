"""Produce: a request as views, and its response.

    version 3-8                            version 9 and above (flexible)
    transactional_id  nullable string      nullable compact string
    acks              i16                  i16
    timeout_ms        i32                  i32
    [topic            string               compact string; from version 13 on its id, 16 bytes
      [index          i32                  i32
       records        i32 length, bytes    varint length + 1, bytes; tagged fields
      ]]                                   tagged fields after every topic and at the end

The one request with a large body is the one that is not copied: `records` comes out as a view into
the receive buffer. It is writable on purpose: the log patches the base offset in place (that is
outside the CRC) and writes the very same bytes to the file.

The response, in the same two forms:

    [topic            string, or the id it was asked by
      [index, error_code, base_offset, log_append_time_ms     i32 i16 i64 i64
   5+  log_start_offset                                       i64
   8+  [index in the batch, reason], error_message            array of i32, nullable string ]]
    throttle_time_ms                                          i32

Both are written by hand, and not by kio, because they stand around every batch that is produced: to
make a response of kio's objects took longer than to append a batch of 64 KiB.

Source: Kafka's `ProduceRequest.json` and `ProduceResponse.json`. Versions 0-2 carried older message
formats and are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol.framing import skip_tagged_fields, unsigned
from zerocopy_lab.records.varint import unsigned_varint

_I16, _I32, _I64, _ACKS_TIMEOUT = Struct(">h"), Struct(">i"), Struct(">q"), Struct(">hi")
_ANSWER = Struct(">ihqq")
_TOPIC_ID = Struct("16s")
_FLEXIBLE_FROM = 9
_TOPIC_IDS_FROM = 13
_NO_TAGS = b"\x00"
_NO_THROTTLING = 0
_NO_BLAME = b"\0\0\0\0\xff\xff", b"\1\0\0"  # no wrong records, no message; flexible or not
_LONGEST_MESSAGE = 1000


class Topic(NamedTuple):
    """A topic as a request calls it, by name or by id (16 bytes), the other being empty; and how
    many partitions follow.
    """

    name: str
    topic_id: bytes
    partitions: int


@dataclass(slots=True)
class PartitionBatches:
    """What one partition is sent: `records` is a view of the receive buffer, None when the client
    sent null.
    """

    topic: Topic
    partition: int
    records: memoryview | None


@dataclass(slots=True)
class ProduceRequest:
    """A whole Produce request; topics and partitions in the order of the wire."""

    transactional_id: str | None
    acks: int
    timeout_ms: int
    topics: list[Topic]
    partitions: list[PartitionBatches]

    def kept(self) -> ProduceRequest:
        """The same, with the records copied: for whoever appends them when the receive buffer is
        used again.
        """
        copied = [
            replace(each, records=each.records and memoryview(bytearray(each.records)))
            for each in self.partitions
        ]
        return replace(self, partitions=copied)


class ManyPartitions(Exception):
    """More partitions than are to be read in one turn."""


def read_produce_request(
    frame: memoryview, at: int, version: int, most_partitions: int | None = None
) -> ProduceRequest:
    """Parse the body that begins at byte `at` of `frame`.

    Raises FrameError when it is not what `version` says; ManyPartitions when it announces more than
    `most_partitions`, topics counted like partitions.
    """
    flexible = version >= _FLEXIBLE_FROM
    try:
        transactional_id, at = _nullable_string(frame, at, flexible)
        acks, timeout_ms = _ACKS_TIMEOUT.unpack_from(frame, at)
        topics_count, at = _array_length(frame, at + _ACKS_TIMEOUT.size, flexible)
        topics: list[Topic] = []
        batches: list[PartitionBatches] = []
        announced = topics_count
        for _ in range(topics_count):
            name, topic_id, at = _name_or_id(frame, at, version)
            partitions_count, at = _array_length(frame, at, flexible)
            topic = Topic(name, topic_id, partitions_count)
            topics.append(topic)
            announced += partitions_count
            if most_partitions is not None and announced > most_partitions:
                raise ManyPartitions
            for _ in range(partitions_count):
                (partition,) = _I32.unpack_from(frame, at)
                length, at = _length(frame, at + _I32.size, flexible, _I32)
                records, at = _taken(frame, at, length)
                batches.append(PartitionBatches(topic, partition, records))
                if flexible:
                    at = skip_tagged_fields(frame, at)
            if flexible:
                at = skip_tagged_fields(frame, at)
        if flexible:
            skip_tagged_fields(frame, at)
    except (error, IndexError, OverflowError):
        raise FrameError(f"a Produce request cut off at byte {len(frame)}") from None
    return ProduceRequest(transactional_id, acks, timeout_ms, topics, batches)


# Kafka writes lengths in one of two forms. The old one is an int16 (strings) or an int32 (arrays,
# bytes), -1 for null. The flexible one (KIP-482) is an unsigned varint of length + 1, 0 for null;
# and tagged fields, usually none, stand behind every structure. What is read comes with the
# position behind it; what is wrong becomes a FrameError, struct.error, IndexError or OverflowError.


def _length(frame: memoryview, at: int, flexible: bool, old: Struct) -> tuple[int, int]:
    """A length in either form, -1 for null."""
    if not flexible:
        return old.unpack_from(frame, at)[0], at + old.size
    length = frame[at]
    if length < 0x80:
        return length - 1, at + 1
    if (more := frame[at + 1]) < 0x80:  # two bytes: below 16 KiB, as most batches
        return (length & 0x7F | more << 7) - 1, at + 2
    length, at = unsigned_varint(frame, at)
    return length - 1, at


def _array_length(frame: memoryview, at: int, flexible: bool) -> tuple[int, int]:
    """How many items come next; a null array has none."""
    length, at = _length(frame, at, flexible, _I32)
    if length > len(frame) - at:
        raise FrameError(f"an array of {length} in {len(frame) - at} bytes")
    return max(length, 0), at


def _taken(frame: memoryview, at: int, length: int) -> tuple[memoryview | None, int]:
    if length < 0:
        return None, at
    end = at + length
    if end > len(frame):
        raise FrameError(f"a field of {length} bytes, but only {len(frame) - at} are left")
    return frame[at:end], end


def _nullable_string(frame: memoryview, at: int, flexible: bool) -> tuple[str | None, int]:
    length, at = _length(frame, at, flexible, _I16)
    raw, at = _taken(frame, at, length)
    try:
        return None if raw is None else str(raw, "utf-8"), at
    except UnicodeDecodeError:
        raise FrameError("a string that is not UTF-8") from None


def _name_or_id(frame: memoryview, at: int, version: int) -> tuple[str, bytes, int]:
    """How a topic is called, of which one is empty."""
    if version >= _TOPIC_IDS_FROM:
        (topic_id,) = _TOPIC_ID.unpack_from(frame, at)
        return "", topic_id, at + _TOPIC_ID.size
    name, at = _nullable_string(frame, at, version >= _FLEXIBLE_FROM)
    if name is None:
        raise FrameError("a null string where there must be one")
    return name, b"", at


@dataclass(slots=True)
class ProducedPartition:
    """What one partition is told. -1 stands for unknown; a time of -1 for the producer's own."""

    partition: int
    error_code: int
    base_offset: int = -1
    append_time_ms: int = -1
    log_start_offset: int = -1
    error_message: str | None = None
    record_errors: tuple[tuple[int, str], ...] = ()


def produce_response(
    correlation_id: int, version: int, topics: list[Topic], answers: Iterable[ProducedPartition]
) -> bytes:
    """The whole response, frame length included: one answer for each partition of the topics."""
    tags = _NO_TAGS if version >= _FLEXIBLE_FROM else b""
    made = [_I32.pack(correlation_id), tags, _array_head(len(topics), version)]
    answer_of = iter(answers)
    for topic in topics:
        made.append(_topic_head(topic, version))
        for _ in range(topic.partitions):
            made.append(_partition_answer(next(answer_of), version))
        made.append(tags)
    made += (_I32.pack(_NO_THROTTLING), tags)
    body = b"".join(made)
    return _I32.pack(len(body)) + body


@lru_cache(maxsize=4096)
def _topic_head(topic: Topic, version: int) -> bytes:
    """A topic's name or id and the number of its partitions: the same again and again."""
    called = topic.topic_id if version >= _TOPIC_IDS_FROM else _string(topic.name, version)
    return called + _array_head(topic.partitions, version)


def _partition_answer(answer: ProducedPartition, version: int) -> bytes:
    made = _ANSWER.pack(
        answer.partition, answer.error_code, answer.base_offset, answer.append_time_ms
    )
    if version >= 5:
        made += _I64.pack(answer.log_start_offset)
    if version < 8:
        return made
    bad, message = answer.record_errors, answer.error_message
    if not bad and message is None:
        return made + _NO_BLAME[version >= _FLEXIBLE_FROM]
    return made + _blame(bad, None if message is None else message[:_LONGEST_MESSAGE], version)


def _blame(bad: tuple[tuple[int, str], ...], message: str | None, version: int) -> bytes:
    """Which records are wrong, and why."""
    tags = _NO_TAGS if version >= _FLEXIBLE_FROM else b""
    each = (_I32.pack(index) + _string(reason, version) + tags for index, reason in bad)
    return _array_head(len(bad), version) + b"".join(each) + _string(message, version) + tags


def _array_head(length: int, version: int) -> bytes:
    return unsigned(length + 1) if version >= _FLEXIBLE_FROM else _I32.pack(length)


def _string(text: str | None, version: int) -> bytes:
    raw = b"" if text is None else text.encode()
    length = -1 if text is None else len(raw)
    return (unsigned(length + 1) if version >= _FLEXIBLE_FROM else _I16.pack(length)) + raw
