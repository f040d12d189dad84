"""Every field of a batch by its name: where it lies, what its bytes say, what that means.

For hex dumps, pictures and tests; the broker itself never needs more than `batch.read_header`.

    header_fields   the 13 fields of the header, by Kafka's names
    record_fields   the fields of one record, down to the lengths and the names of its headers

Source of the names: Kafka's `DefaultRecordBatch` and `DefaultRecord`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from zerocopy_lab.errors import InvalidRecord
from zerocopy_lab.records.batch import (
    CONTROL_FLAG,
    DELETE_HORIZON_FLAG,
    LOG_APPEND_TIME_FLAG,
    TRANSACTIONAL_FLAG,
    read_header,
)
from zerocopy_lab.records.compression import CODEC_MASK, Codec
from zerocopy_lab.records.varint import INT32_VARINT_BYTES, INT64_VARINT_BYTES, decode_varint

Layout = Sequence[tuple[str, str]]  # names, and how `struct` writes their types
HEADER_LAYOUT: Layout = (
    ("baseOffset", "q"),
    ("batchLength", "i"),
    ("partitionLeaderEpoch", "i"),
    ("magic", "b"),
    ("crc", "I"),
    ("attributes", "h"),
    ("lastOffsetDelta", "i"),
    ("baseTimestamp", "q"),
    ("maxTimestamp", "q"),
    ("producerId", "q"),
    ("producerEpoch", "h"),
    ("baseSequence", "i"),
    ("recordsCount", "i"),
)
_FLAGS = (
    (LOG_APPEND_TIME_FLAG, "LogAppendTime"),
    (TRANSACTIONAL_FLAG, "transactional"),
    (CONTROL_FLAG, "control"),
    (DELETE_HORIZON_FLAG, "delete horizon"),
)


class Field(NamedTuple):
    """`length` bytes at `position` (from the start of what was looked at) say `value`."""

    name: str
    position: int
    length: int
    value: int | bytes
    meaning: str = ""  # in words, where the value alone does not tell

    @property
    def told(self) -> str:
        """The meaning, or the number where that says it all."""
        return self.meaning or (str(self.value) if isinstance(self.value, int) else "")


def layout_bytes(layout: Layout) -> int:
    """How many bytes a layout takes."""
    return struct.calcsize(">" + "".join(type_code for _, type_code in layout))


def unpack_fields(layout: Layout, view: memoryview, position: int = 0) -> list[Field]:
    """The fields of a fixed, big-endian layout. Raises struct.error when bytes are missing."""
    fields = []
    for name, type_code in layout:
        (value,) = struct.unpack_from(f">{type_code}", view, position)
        length = struct.calcsize(f">{type_code}")
        fields.append(Field(name, position, length, value, _meaning(name, value)))
        position += length
    return fields


def header_fields(batch: memoryview) -> list[Field]:
    """The fields of the header at the start of the view. Raises CorruptMessage."""
    read_header(batch)
    return unpack_fields(HEADER_LAYOUT, batch)


def record_fields(plain: memoryview, position: int) -> list[Field]:
    """The fields of the record at a position of *uncompressed* records. Raises InvalidRecord,
    CorruptMessage.
    """
    walk = _Walk(plain, position)
    end = walk.number("length") + walk.position
    walk.octet("attributes")
    walk.number("timestampDelta", INT64_VARINT_BYTES)
    walk.number("offsetDelta")
    walk.sized("key")
    walk.sized("value")
    for _ in range(walk.number("headersCount")):
        walk.sized("headerKey")
        walk.sized("headerValue")
    if walk.position != end:
        raise InvalidRecord(
            f"the record at position {position} says it ends at {end}, "
            f"but its fields end at {walk.position}"
        )
    return walk.fields


class _Walk:
    """A position that moves over a record and remembers what it saw."""

    def __init__(self, plain: memoryview, position: int) -> None:
        self.plain = plain
        self.position = position
        self.fields: list[Field] = []

    def number(self, name: str, longest_bytes: int = INT32_VARINT_BYTES) -> int:
        value, end = decode_varint(self.plain, self.position, longest_bytes)
        meaning = "null" if value == -1 and name.endswith("Length") else ""
        self._add(name, end, value, meaning)
        return value

    def octet(self, name: str) -> None:
        self._add(name, self._end_of(name, 1), self.plain[self.position], "")

    def content(self, name: str, length: int) -> None:
        end = self._end_of(name, length)
        octets = bytes(self.plain[self.position : end])
        self._add(name, end, octets, ascii(octets.decode("utf-8", "backslashreplace"))[1:-1])

    def sized(self, name: str) -> None:
        length = self.number(f"{name}Length")
        if length != -1 and length != 0:
            self.content(name, length)

    def _end_of(self, name: str, length: int) -> int:
        end = self.position + length
        if length < 0 or end > len(self.plain):
            raise InvalidRecord(
                f"{name} of {length} bytes at position {self.position} of {len(self.plain)}"
            )
        return end

    def _add(self, name: str, end: int, value: int | bytes, meaning: str) -> None:
        self.fields.append(Field(name, self.position, end - self.position, value, meaning))
        self.position = end


def time_in_words(timestamp_ms: int) -> str:
    """A timestamp as people write it, in UTC; "" where it is none."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return "none" if timestamp_ms < 0 else f"{moment:%Y-%m-%d %H:%M:%S}.{timestamp_ms % 1000:03d}Z"


def attributes_in_words(attributes: int) -> str:
    """The codec and the flags of a batch."""
    codec = attributes & CODEC_MASK
    name = Codec(codec).name.lower() if codec in list(Codec) else f"codec {codec}"
    return ", ".join([name, *(word for flag, word in _FLAGS if attributes & flag)])


def _meaning(name: str, value: int) -> str:
    match name:
        case "baseTimestamp" | "maxTimestamp" | "timestamp":
            return time_in_words(value)
        case "attributes":
            return attributes_in_words(value)
        case "crc":
            return f"{value:#010x}"
        case "producerId" | "baseSequence" if value == -1:
            return "none"
        case _:
            return ""
