"""The columns of an index file: entries of fixed size, big-endian, to arrays in the machine's
order and back.

    file     o o o o p p p p o o o o p p p p ...
    arrays   offsets o o ...    positions p p ...

A full index has a quarter of a million entries. Taken one at a time in Python they would hold up
everybody for half a second; a column is sliced out byte by byte of its width, and each slice is
one step in C.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import islice
from operator import ge, gt


def column(content: bytes, entry_bytes: int, at: int, typecode: str) -> array[int]:
    """The numbers at byte `at` of every entry; the type code is `array`'s ("i" 4 bytes, "q" 8)."""
    values: array[int] = array(typecode)
    width = values.itemsize
    packed = bytearray(len(content) // entry_bytes * width)
    for byte in range(width):
        packed[byte::width] = content[at + byte :: entry_bytes]
    values.frombytes(packed)
    return _swapped(values)


def entries(*columns: array[int]) -> bytes:
    """The file's content: the opposite of `column`, for columns of one length."""
    entry_bytes = sum(values.itemsize for values in columns)
    content = bytearray(len(columns[0]) * entry_bytes)
    at = 0
    for values in columns:
        packed, width = _swapped(values[:]).tobytes(), values.itemsize
        for byte in range(width):
            content[at + byte :: entry_bytes] = packed[byte::width]
        at += width
    return bytes(content)


def without_preallocation(content: bytes, entry_bytes: int) -> bytes:
    """The content without the entries of zeros at its end: Kafka makes an active index larger than
    it needs. Raises ValueError when it is not made of whole entries.
    """
    if len(content) % entry_bytes:
        raise ValueError(f"{len(content)} bytes are no multiple of {entry_bytes}")
    used_bytes = len(content.rstrip(b"\0"))
    return content[: -(-used_bytes // entry_bytes) * entry_bytes]


def check_growing(values: Sequence[int], at: int, entry_bytes: int, *, strictly: bool) -> None:
    """Raise ValueError, with the position in the file, where a column does not grow from 0 on."""
    if values and values[0] < 0:
        raise ValueError(f"the number at position {at} is negative: {values[0]}")
    is_wrong: Callable[[int, int], bool] = ge if strictly else gt
    if any(map(is_wrong, values, islice(values, 1, None))):
        entry = next(i for i in range(1, len(values)) if is_wrong(values[i - 1], values[i]))
        raise ValueError(
            f"the number at position {entry * entry_bytes + at} is {values[entry]}, "
            f"which cannot follow {values[entry - 1]}"
        )


def _swapped(values: array[int]) -> array[int]:
    if sys.byteorder == "little":
        values.byteswap()
    return values
