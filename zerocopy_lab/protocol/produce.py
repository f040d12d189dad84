"""Produce: a request as views, and its response.

    version 3-8                            version 9 (flexible)
    transactional_id  nullable string      nullable compact string
    acks              i16                  i16
    timeout_ms        i32                  i32
    [topic            string               compact string
      [index          i32                  i32
       records        i32 length, bytes    varint length + 1, bytes; tagged fields
      ]]                                   tagged fields after every topic and at the end

The one request with a large body is the one that is not copied: `records` comes out as a view into
the receive buffer. It is writable on purpose: the log patches the base offset in place (that is
outside the CRC) and writes the very same bytes to the file.

The response, in the same two forms:

    [topic            string
      [index, error_code, base_offset, log_append_time_ms     i32 i16 i64 i64
   5+  log_start_offset                                       i64
   8+  [record errors] (none here), error_message             array, nullable string ]]
    throttle_time_ms                                          i32

Both are written by hand, and not by kio, because they stand around every batch that is produced: to
make a response of kio's objects took longer than to append a batch of 64 KiB.

Source: Kafka's `ProduceRequest.json` and `ProduceResponse.json`. Versions 0-2 carried older message
formats and are refused by dispatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol.framing import framed
from zerocopy_lab.protocol.reader import Reader

_I16, _I32, _I64, _ACKS_TIMEOUT = Struct(">h"), Struct(">i"), Struct(">q"), Struct(">hi")
_ANSWER = Struct(">ihqq")
_FLEXIBLE_FROM = 9
_NO_TAGS = b"\x00"
_NO_THROTTLING = 0
_LONGEST_MESSAGE = 1000


class PartitionBatches(NamedTuple):
    """What one partition is sent: `records` is a view of the receive buffer, None when the client
    sent null.
    """

    topic: str
    partition: int
    records: memoryview | None


class ProduceRequest(NamedTuple):
    """A whole Produce request; its partitions in the order of the wire."""

    transactional_id: str | None
    acks: int
    timeout_ms: int
    partitions: list[PartitionBatches]

    def kept(self) -> ProduceRequest:
        """The same, with the records copied: for whoever appends them when the receive buffer is
        used again.
        """
        copied = [
            (topic, index, records if records is None else memoryview(bytearray(records)))
            for topic, index, records in self.partitions
        ]
        return self._replace(partitions=list(map(PartitionBatches._make, copied)))


def read_produce_request(frame: memoryview, at: int, version: int) -> ProduceRequest:
    """Parse the body that begins at byte `at` of `frame`. Raises FrameError when it is not what
    `version` says.
    """
    reader = Reader(frame, at, flexible=version >= _FLEXIBLE_FROM)
    try:
        transactional_id = reader.nullable_string()
        acks, timeout_ms = reader.unpack(_ACKS_TIMEOUT)
        partitions = list(_partitions(reader))
        reader.tagged_fields()
    except (error, IndexError):
        raise FrameError(f"a Produce request cut off at byte {len(frame)}") from None
    return ProduceRequest(transactional_id, acks, timeout_ms, partitions)


def _partitions(reader: Reader) -> Iterator[PartitionBatches]:
    for _ in range(reader.array_length()):
        topic = reader.string()
        for _ in range(reader.array_length()):
            (partition,) = reader.unpack(_I32)
            yield PartitionBatches(topic, partition, reader.nullable_bytes())
            reader.tagged_fields()
        reader.tagged_fields()


class ProducedPartition(NamedTuple):
    """What one partition is told. -1 stands for unknown; a time of -1 for the producer's own."""

    topic: str
    partition: int
    error_code: int
    base_offset: int = -1
    append_time_ms: int = -1
    log_start_offset: int = -1
    error_message: str | None = None


def produce_response(
    correlation_id: int, version: int, answers: Iterable[ProducedPartition]
) -> bytes:
    """The whole response, frame length included."""
    flexible = version >= _FLEXIBLE_FROM
    tags = _NO_TAGS if flexible else b""
    by_topic: dict[str, list[bytes]] = {}
    for answer in answers:
        by_topic.setdefault(answer.topic, []).append(_partition_answer(answer, version, flexible))
    made = [_I32.pack(correlation_id), tags, _array_length(len(by_topic), flexible)]
    for topic, partitions in by_topic.items():
        made += (_string(topic, flexible), _array_length(len(partitions), flexible))
        made += (*partitions, tags)
    made += (_I32.pack(_NO_THROTTLING), tags)
    return framed(b"".join(made))


def _partition_answer(answer: ProducedPartition, version: int, flexible: bool) -> bytes:
    _, partition, error_code, base_offset, append_time_ms, log_start_offset, message = answer
    made = _ANSWER.pack(partition, error_code, base_offset, append_time_ms)
    if version >= 5:
        made += _I64.pack(log_start_offset)
    if version >= 8:
        shortened = None if message is None else message[:_LONGEST_MESSAGE]
        made += _array_length(0, flexible) + _string(shortened, flexible)
    return made + _NO_TAGS if flexible else made


def _array_length(length: int, flexible: bool) -> bytes:
    return _compact_length(length) if flexible else _I32.pack(length)


def _string(text: str | None, flexible: bool) -> bytes:
    raw = b"" if text is None else text.encode()
    length = -1 if text is None else len(raw)
    return (_compact_length(length) if flexible else _I16.pack(length)) + raw


@lru_cache(maxsize=4096)
def _compact_length(length: int) -> bytes:
    """A length in the flexible form: an unsigned varint of length + 1, because 0 means null."""
    value = length + 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
