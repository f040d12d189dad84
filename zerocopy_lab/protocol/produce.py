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
from zerocopy_lab.protocol.requests import read_unsigned_varint, skip_tagged_fields

_I16, _I32, _ACKS_TIMEOUT = Struct(">h"), Struct(">i"), Struct(">hi")
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
    reader = _Reader(frame, at, flexible=version >= _FLEXIBLE_FROM)
    try:
        transactional_id = reader.nullable_string()
        acks, timeout_ms = reader.unpack(_ACKS_TIMEOUT)
        partitions = list(_partitions(reader))
        reader.tagged_fields()
    except error:
        raise FrameError(f"a Produce request cut off at byte {len(frame)}") from None
    return ProduceRequest(transactional_id, acks, timeout_ms, partitions)


def _partitions(reader: _Reader) -> Iterator[PartitionBatches]:
    for _ in range(reader.array_length()):
        topic = reader.nullable_string()
        if topic is None:
            raise FrameError("a Produce request with a null topic name")
        for _ in range(reader.array_length()):
            (partition,) = reader.unpack(_I32)
            yield PartitionBatches(topic, partition, reader.nullable_bytes())
            reader.tagged_fields()
        reader.tagged_fields()


class _Reader:
    """A position in a frame that moves on with everything read; in the flexible form or the old
    one.
    """

    def __init__(self, frame: memoryview, at: int, *, flexible: bool) -> None:
        self.frame, self.at, self.flexible = frame, at, flexible

    def unpack(self, layout: Struct) -> tuple[int, ...]:
        values = layout.unpack_from(self.frame, self.at)
        self.at += layout.size
        return values

    def _length(self, layout: Struct) -> int:
        """A length in either form, -1 for null."""
        if not self.flexible:
            return self.unpack(layout)[0]
        length_plus_one, self.at = read_unsigned_varint(self.frame, self.at)
        return length_plus_one - 1

    def _take(self, length: int) -> memoryview | None:
        if length < 0:
            return None
        taken = self.frame[self.at : self.at + length]
        if len(taken) != length:
            raise FrameError(f"a field of {length} bytes, but the request ends after {len(taken)}")
        self.at += length
        return taken

    def nullable_bytes(self) -> memoryview | None:
        return self._take(self._length(_I32))

    def nullable_string(self) -> str | None:
        raw = self._take(self._length(_I16))
        try:
            return None if raw is None else str(raw, "utf-8")
        except UnicodeDecodeError:
            raise FrameError("a string that is not UTF-8") from None

    def array_length(self) -> int:
        length = self._length(_I32)
        if length > len(self.frame) - self.at:
            raise FrameError(f"an array of {length} in {len(self.frame) - self.at} bytes")
        return max(length, 0)

    def tagged_fields(self) -> None:
        if self.flexible:
            self.at = skip_tagged_fields(self.frame, self.at)
