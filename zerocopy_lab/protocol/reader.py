"""A position in a frame that moves on with everything read; for the two requests that are read by
hand.

Kafka writes lengths in one of two forms. The old one is an int16 (strings) or an int32 (arrays,
bytes), -1 for null. The flexible one (KIP-482) is an unsigned varint of length + 1, 0 for null; and
tagged fields, usually none, stand behind every structure.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol.framing import skip_tagged_fields
from zerocopy_lab.records.varint import unsigned_varint

_I16, _I32 = Struct(">h"), Struct(">i")


def read_unsigned_varint(view: memoryview, at: int) -> tuple[int, int]:
    """The unsigned varint at `at` and the position behind it. Raises FrameError."""
    try:
        return unsigned_varint(view, at)
    except (IndexError, OverflowError):
        raise FrameError(f"a varint that does not end at byte {at} of {len(view)}") from None


class Reader:
    """Reads `frame` from byte `at` on. What is wrong in it becomes a FrameError, except that a
    field beyond the end may raise struct.error or IndexError, and a length without end
    OverflowError.
    """

    __slots__ = ("at", "flexible", "frame")

    def __init__(self, frame: memoryview, at: int, *, flexible: bool = False) -> None:
        self.frame, self.at, self.flexible = frame, at, flexible

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """The fields of fixed length that come next."""
        values = layout.unpack_from(self.frame, self.at)
        self.at += layout.size
        return values

    def nullable_bytes(self) -> memoryview | None:
        """A view of the next field."""
        return self._take(self._length(_I32))

    def nullable_string(self) -> str | None:
        """The next field as text."""
        raw = self._take(self._length(_I16))
        try:
            return None if raw is None else str(raw, "utf-8")
        except UnicodeDecodeError:
            raise FrameError("a string that is not UTF-8") from None

    def string(self) -> str:
        """The next field as text, where null is not allowed."""
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
        """Step over them, where the version has them."""
        if self.flexible:
            if self.frame[self.at] == 0:
                self.at += 1
            else:
                self.at = skip_tagged_fields(self.frame, self.at)

    def _length(self, layout: Struct) -> int:
        """A length in either form, -1 for null."""
        if not self.flexible:
            length: int = self.unpack(layout)[0]
            return length
        length = self.frame[self.at]
        if length < 0x80:
            self.at += 1
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
