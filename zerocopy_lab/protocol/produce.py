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
from struct import Struct, error
from typing import Any, NamedTuple

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
_LONGEST_MESSAGE = 1000


class Topic(NamedTuple):
    """A topic as a request calls it, by name or by id (16 bytes), the other being empty; and how
    many partitions follow.
    """

    name: str
    topic_id: bytes
    partitions: int


class PartitionBatches(NamedTuple):
    """What one partition is sent: `records` is a view of the receive buffer, None when the client
    sent null.
    """

    topic: Topic
    partition: int
    records: memoryview | None


class ProduceRequest(NamedTuple):
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
            PartitionBatches(topic, index, sent if sent is None else memoryview(bytearray(sent)))
            for topic, index, sent in self.partitions
        ]
        return self._replace(partitions=copied)


class ManyPartitions(Exception):
    """More partitions than are to be read in one turn."""


def read_produce_request(
    frame: memoryview, at: int, version: int, most_partitions: int | None = None
) -> ProduceRequest:
    """Parse the body that begins at byte `at` of `frame`.

    Raises FrameError when it is not what `version` says; ManyPartitions when it announces more than
    `most_partitions`, topics counted like partitions.
    """
    reader = _Reader(frame, at, flexible=version >= _FLEXIBLE_FROM)
    try:
        transactional_id = reader.nullable_string()
        acks, timeout_ms = reader.unpack(_ACKS_TIMEOUT)
        topics: list[Topic] = []
        batches: list[PartitionBatches] = []
        topics_count = announced = reader.array_length()
        for _ in range(topics_count):
            by_id = version >= _TOPIC_IDS_FROM
            name, topic_id = ("", *reader.unpack(_TOPIC_ID)) if by_id else (reader.string(), b"")
            topic = Topic(name, topic_id, reader.array_length())
            topics.append(topic)
            announced += topic.partitions
            if most_partitions is not None and announced > most_partitions:
                raise ManyPartitions
            for _ in range(topic.partitions):
                (partition,) = reader.unpack(_I32)
                batches.append(PartitionBatches(topic, partition, reader.nullable_bytes()))
                reader.tagged_fields()
            reader.tagged_fields()
        reader.tagged_fields()
    except (error, IndexError, OverflowError):
        raise FrameError(f"a Produce request cut off at byte {len(frame)}") from None
    return ProduceRequest(transactional_id, acks, timeout_ms, topics, batches)


class _Reader:
    """A position in a frame that moves on with everything read.

    Kafka writes lengths in one of two forms. The old one is an int16 (strings) or an int32 (arrays,
    bytes), -1 for null. The flexible one (KIP-482) is an unsigned varint of length + 1, 0 for null;
    and tagged fields, usually none, stand behind every structure. What is wrong becomes a
    FrameError, struct.error, IndexError or OverflowError.
    """

    __slots__ = ("at", "flexible", "frame")

    def __init__(self, frame: memoryview, at: int, *, flexible: bool = False) -> None:
        self.frame, self.at, self.flexible = frame, at, flexible

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        values = layout.unpack_from(self.frame, self.at)
        self.at += layout.size
        return values

    def nullable_bytes(self) -> memoryview | None:
        return self._take(self._length(_I32))

    def nullable_string(self) -> str | None:
        raw = self._take(self._length(_I16))
        try:
            return None if raw is None else str(raw, "utf-8")
        except UnicodeDecodeError:
            raise FrameError("a string that is not UTF-8") from None

    def string(self) -> str:
        text = self.nullable_string()
        if text is None:
            raise FrameError("a null string where there must be one")
        return text

    def array_length(self) -> int:
        """How many items come next; a null array has none."""
        length = self._length(_I32)
        if length > len(self.frame) - self.at:
            raise FrameError(f"an array of {length} in {len(self.frame) - self.at} bytes")
        return max(length, 0)

    def tagged_fields(self) -> None:
        if self.flexible:
            at = self.at
            self.at = at + 1 if self.frame[at] == 0 else skip_tagged_fields(self.frame, at)

    def _length(self, layout: Struct) -> int:
        """A length in either form, -1 for null."""
        if not self.flexible:
            length: int = self.unpack(layout)[0]
            return length
        length = self.frame[self.at]
        if length < 0x80:
            self.at += 1
        elif (more := self.frame[self.at + 1]) < 0x80:  # two bytes: below 16 KiB, as most batches
            length, self.at = length & 0x7F | more << 7, self.at + 2
        else:
            length, self.at = unsigned_varint(self.frame, self.at)
        return length - 1

    def _take(self, length: int) -> memoryview | None:
        if length < 0:
            return None
        taken = self.frame[self.at : self.at + length]
        if len(taken) != length:
            raise FrameError(f"a field of {length} bytes, but the request ends after {len(taken)}")
        self.at += length
        return taken


class ProducedPartition(NamedTuple):
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
    flexible = version >= _FLEXIBLE_FROM
    tags = _NO_TAGS if flexible else b""
    made = [_I32.pack(correlation_id), tags, _array_length(len(topics), flexible)]
    answer_of = iter(answers)
    for topic in topics:
        made += (
            topic.topic_id if version >= _TOPIC_IDS_FROM else _string(topic.name, flexible),
            _array_length(topic.partitions, flexible),
        )
        for _ in range(topic.partitions):
            made.append(_partition_answer(next(answer_of), version, flexible))
        made.append(tags)
    made += (_I32.pack(_NO_THROTTLING), tags)
    body = b"".join(made)
    return _I32.pack(len(body)) + body


def _partition_answer(answer: ProducedPartition, version: int, flexible: bool) -> bytes:
    partition, error_code, base_offset, append_time_ms, log_start_offset, message, bad = answer
    made = _ANSWER.pack(partition, error_code, base_offset, append_time_ms)
    if version >= 5:
        made += _I64.pack(log_start_offset)
    if version >= 8:
        made += _array_length(len(bad), flexible)
        if bad:
            made += b"".join(
                _I32.pack(index) + _string(reason, flexible) + (_NO_TAGS if flexible else b"")
                for index, reason in bad
            )
        made += _string(None if message is None else message[:_LONGEST_MESSAGE], flexible)
    return made + _NO_TAGS if flexible else made


def _array_length(length: int, flexible: bool) -> bytes:
    return unsigned(length + 1) if flexible else _I32.pack(length)


def _string(text: str | None, flexible: bool) -> bytes:
    raw = b"" if text is None else text.encode()
    length = -1 if text is None else len(raw)
    return (unsigned(length + 1) if flexible else _I16.pack(length)) + raw
