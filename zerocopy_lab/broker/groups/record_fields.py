"""The fields that records of `__consumer_offsets` are made of. All numbers are big-endian.

| field | bytes |
|---|---|
| string, optional or not | length i16 (-1: none), UTF-8 |
| bytes | length i32, bytes |
| compact string | length + 1 as an unsigned varint (0: none), UTF-8 |
| compact list | count + 1 as an unsigned varint, the items |
| tagged fields | count, and for each: tag, length, bytes; numbers as unsigned varints |

Source: Kafka's protocol guide; the compact forms and tagged fields are KIP-482's.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error
from typing import TypeVar
from uuid import UUID

from zerocopy_lab.errors import InvalidRecord, InvalidRequest
from zerocopy_lab.records.varint import unsigned_varint

T = TypeVar("T")

LONGEST_STRING_BYTES = (1 << 15) - 1

_INT8 = Struct(">b")
_INT16 = Struct(">h")
_INT32 = Struct(">i")
_INT64 = Struct(">q")


class RecordWriter:
    """Grows a record field by field. Raises InvalidRequest for a string that is too long."""

    def __init__(self, version: int) -> None:
        self.record = bytearray(_INT16.pack(version))

    def int8(self, number: int) -> None:
        """A number of one byte."""
        self.record += _INT8.pack(number)

    def int32(self, number: int) -> None:
        """A number of four bytes. Raises InvalidRequest for one that does not fit."""
        try:
            self.record += _INT32.pack(number)
        except error:
            raise InvalidRequest(f"{number} cannot be stored in 32 bits") from None

    def int64(self, number: int) -> None:
        """A number of eight bytes."""
        self.record += _INT64.pack(number)

    def varint(self, number: int) -> None:
        """A number of seven bits a byte, the lowest first."""
        while number > 0x7F:
            self.record.append(number & 0x7F | 0x80)
            number >>= 7
        self.record.append(number)

    def string(self, text: str | None) -> None:
        """Text, or none."""
        raw = _encoded(text)
        self.record += _INT16.pack(-1 if text is None else len(raw)) + raw

    def bytestring(self, raw: bytes) -> None:
        """Bytes."""
        self.record += _INT32.pack(len(raw)) + raw

    def compact_string(self, text: str | None) -> None:
        """Text, or none."""
        raw = _encoded(text)
        self.varint(0 if text is None else len(raw) + 1)
        self.record += raw

    def uuid(self, number: UUID) -> None:
        """A topic's id, for instance."""
        self.record += number.bytes

    def no_tags(self) -> None:
        """The end of what may have tagged fields, and has none."""
        self.record.append(0)

    def tagged_int64(self, tag: int, number: int) -> None:
        """Tagged fields: one, with a number of eight bytes."""
        self.record += bytes((1, tag, _INT64.size)) + _INT64.pack(number)


class RecordReader:
    """Takes a record apart field by field. Raises InvalidRecord when it ends too early."""

    def __init__(self, record: bytes) -> None:
        self._record = record
        self._position = 0
        self.version = self.int16()

    def _number(self, struct: Struct) -> int:
        (number,) = struct.unpack(self._take(struct.size))
        return int(number)

    def int8(self) -> int:
        """A number of one byte."""
        return self._number(_INT8)

    def int16(self) -> int:
        """A number of two bytes."""
        return self._number(_INT16)

    def int32(self) -> int:
        """A number of four bytes."""
        return self._number(_INT32)

    def int64(self) -> int:
        """A number of eight bytes."""
        return self._number(_INT64)

    def varint(self) -> int:
        """A number of seven bits a byte, the lowest first."""
        try:
            number, self._position = unsigned_varint(memoryview(self._record), self._position)
        except (IndexError, OverflowError) as cut:
            raise InvalidRecord(f"a group record: {cut}") from None
        return number

    def _take(self, length_bytes: int) -> bytes:
        raw = self._record[self._position : self._position + length_bytes]
        if length_bytes < 0 or len(raw) != length_bytes:
            raise InvalidRecord(f"a group record of {len(self._record)} bytes is cut")
        self._position += length_bytes
        return raw

    def _text(self, length_bytes: int) -> str:
        raw = self._take(length_bytes)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise InvalidRecord(f"a group record with {raw!r} for a text") from None

    def string(self) -> str:
        """Text; none is empty."""
        return self.optional_string() or ""

    def optional_string(self) -> str | None:
        """Text, or none."""
        length_bytes = self.int16()
        return None if length_bytes == -1 else self._text(length_bytes)

    def bytestring(self) -> bytes:
        """Bytes."""
        return self._take(self.int32())

    def compact_string(self) -> str | None:
        """Text, or none."""
        behind = self.varint()
        return None if behind == 0 else self._text(behind - 1)

    def compact_list(self, read_item: Callable[[], T]) -> list[T]:
        """What `read_item()` reads, again and again."""
        return [read_item() for _ in range(self.varint() - 1)]

    def uuid(self) -> UUID:
        """A topic's id, for instance."""
        return UUID(bytes=self._take(16))

    def tags(self) -> dict[int, bytes]:
        """Tagged fields, which may all be left out."""
        return {self.varint(): self._take(self.varint()) for _ in range(self.varint())}

    def tagged_int64(self, tag: int) -> int:
        """The number in one of the tagged fields that follow; 0 without."""
        raw = self.tags().get(tag, b"")
        return int.from_bytes(raw, "big", signed=True) if len(raw) == _INT64.size else 0


def _encoded(text: str | None) -> bytes:
    raw = b"" if text is None else text.encode()
    if len(raw) > LONGEST_STRING_BYTES:
        raise InvalidRequest(
            f"a name of {len(raw)} bytes; at most {LONGEST_STRING_BYTES} can be stored"
        )
    return raw
