"""A Produce request as views: the one request with a large body is the one that is not copied.

    version 3-8                            version 9 (flexible)
    transactional_id  nullable string      nullable compact string
    acks              i16                  i16
    timeout_ms        i32                  i32
    [topic            string               compact string
      [index          i32                  i32
       records        i32 length, bytes    varint length + 1, bytes; tagged fields
      ]]                                   tagged fields after every topic and at the end

`records` comes out as a view into the receive buffer. It is writable on purpose: the log patches
the base offset in place (that is outside the CRC) and writes the very same bytes to the file.

Source: Kafka's `ProduceRequest.json`. Versions 0-2 carried older message formats and are refused by
dispatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol.reader import Reader

_I32, _ACKS_TIMEOUT = Struct(">i"), Struct(">hi")
_FLEXIBLE_FROM = 9


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
