"""A walk over a request before it is decoded: does everything that it announces fit in?

    topics: 2,147,483,647 of them     in a frame of 40 bytes?

A list begins with the number of its items, and a decoder may reserve memory for that many before it
looks for the first one. kio does, so one hostile frame would end the process. Here the number is
compared with the bytes that are left: an item has at least one. The same for the lengths of strings
and bytes, and for a null where none may be.

The walk knows each message from kio's classes. Runs of fields with a fixed length are stepped over
at once, lists of them as well, so it costs a few microseconds. Positions and lengths
are in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from struct import Struct, error
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from zerocopy_lab.errors import FrameError
from zerocopy_lab.records.varint import unsigned_varint

#: Takes the frame and a position, returns the position behind what it knows.
Walk = Callable[[memoryview, int], int]

_INT16 = Struct(">h")
_INT32 = Struct(">i")

_FIXED_BYTES = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "error_code": 2,
    "int32": 4,
    "timedelta_i32": 4,
    "int64": 8,
    "float64": 8,
    "timedelta_i64": 8,
    "datetime_i64": 8,
    "uuid": 16,
}


def check_structure(request_type: Any, frame: memoryview, at: int) -> int:
    """Walk over the request of kio's class `request_type` that begins at byte `at`; the position of
    its end.

    Raises FrameError when something in it claims to be longer than the frame.
    """
    try:
        end = _walk_of(request_type)(frame, at)
    except (IndexError, OverflowError, error):
        end = len(frame) + 1
    if end > len(frame):
        raise FrameError(f"a {request_type.__name__} that is cut after {len(frame)} bytes")
    return end


@cache
def _walk_of(entity_type: Any) -> Walk:
    """The walk over one entity: the parts of fixed length are gathered, and added to the next
    other.
    """
    flexible = entity_type.__flexible__
    walks: list[Walk] = []
    gathered_bytes = 0
    for field in fields(entity_type):
        if "tag" in field.metadata:
            continue  # among the tagged fields at the end
        kind, is_list, is_nullable = _kind_of(field.type)
        step = _item(kind, field.metadata.get("kafka_type"), flexible, is_nullable and not is_list)
        if is_list:
            walks.append(_list(gathered_bytes, step, flexible, is_nullable))
        elif isinstance(step, int):
            gathered_bytes += step
            continue
        else:
            walks.append(_after(gathered_bytes, step))
        gathered_bytes = 0
    if flexible:
        walks.append(_after(gathered_bytes, _tagged_fields))
    elif gathered_bytes:
        walks.append(_after(gathered_bytes, _nothing))
    return walks[0] if len(walks) == 1 else _sequence(tuple(walks))


def _kind_of(hint: Any) -> tuple[Any, bool, bool]:
    """(class, whether it is a list of them, whether the whole may be null)."""
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(option for option in options if option is not NoneType)
    is_nullable = NoneType in options
    if get_origin(kind) is not tuple:
        return kind, False, is_nullable
    return _kind_of(get_args(kind)[0])[0], True, is_nullable


def _item(kind: Any, kafka_type: str | None, flexible: bool, is_nullable: bool) -> Walk | int:
    """The walk over one item, or its length where that is fixed."""
    if is_dataclass(kind):
        entity: Any = kind
        if flexible or any(_length_of(field) is None for field in fields(entity)):
            return _walk_of(entity)
        return sum(_length_of(field) or 0 for field in fields(entity))
    assert kafka_type is not None
    if kafka_type in _FIXED_BYTES:
        return _FIXED_BYTES[kafka_type]
    shortest = -1 if is_nullable or kafka_type == "records" else 0
    if flexible:
        return _compact(shortest)
    return _prefixed(_INT16 if kafka_type == "string" else _INT32, shortest)


def _length_of(field: Any) -> int | None:
    """The fixed length of a field, None if it has none."""
    is_list = _kind_of(field.type)[1]
    return None if is_list else _FIXED_BYTES.get(field.metadata.get("kafka_type", ""))


# Walks --------------------------------------------------------------------------------------------


def _nothing(_frame: memoryview, at: int) -> int:
    return at


def _after(skipped_bytes: int, walk: Walk) -> Walk:
    return walk if not skipped_bytes else lambda frame, at: walk(frame, at + skipped_bytes)


def _sequence(walks: tuple[Walk, ...]) -> Walk:
    def walk(frame: memoryview, at: int) -> int:
        for each in walks:
            at = each(frame, at)
        return at

    return walk


def _prefixed(prefix: Struct, shortest: int) -> Walk:
    """A string or bytes with a length in front of it (-1: null)."""

    def walk(frame: memoryview, at: int) -> int:
        length: int = prefix.unpack_from(frame, at)[0]
        if length < shortest:
            raise FrameError(f"a length of {length} at byte {at}")
        return at + prefix.size + max(length, 0)

    return walk


def _compact(shortest: int) -> Walk:
    """The same with a varint, of the length plus one (0: null)."""

    def walk(frame: memoryview, at: int) -> int:
        length = frame[at] - 1
        at += 1
        if length >= 0x7F:
            length, at = unsigned_varint(frame, at - 1)
            length -= 1
        if length < shortest:
            raise FrameError(f"null at byte {at - 1}, where something has to be")
        return at + max(length, 0)

    return walk


def _list(skipped_bytes: int, item: Walk | int, flexible: bool, is_nullable: bool) -> Walk:
    """A list with the number of its items in front of it."""

    def walk(frame: memoryview, at: int) -> int:
        at += skipped_bytes
        if flexible:
            count = frame[at] - 1
            at += 1
            if count >= 0x7F:
                count, at = unsigned_varint(frame, at - 1)
                count -= 1
        else:
            (count,) = _INT32.unpack_from(frame, at)
            at += _INT32.size
        if not (0 <= count <= len(frame) - at or (count == -1 and is_nullable)):
            raise FrameError(f"a list of {count} items before byte {at} of {len(frame)}")
        if isinstance(item, int):
            return at + item * max(count, 0)
        for _ in range(count):
            at = item(frame, at)
        return at

    return walk


def _tagged_fields(frame: memoryview, at: int) -> int:
    """A count, then tag, length and content of each: nothing, nearly always (KIP-482)."""
    count = frame[at]
    at += 1
    if count:
        count, at = unsigned_varint(frame, at - 1)
        for _ in range(count):
            _tag, at = unsigned_varint(frame, at)
            length, at = unsigned_varint(frame, at)
            at += length
            if at > len(frame):
                raise FrameError(f"a tagged field that ends at byte {at} of {len(frame)}")
    return at
