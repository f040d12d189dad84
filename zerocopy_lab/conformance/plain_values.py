"""An answer as plain data: whatever a learner's object claims to be equal to, it is not asked.

Numbers, text, bytes, lists, tuples, sets and dicts come back as objects of exactly these types,
built anew by the types' own methods. Ranges become lists. Everything else (iterators, arrays,
objects with an `__eq__` of their own) is refused in words, and so is what has no end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_ITEMS = 10_000
_MOST_DEPTH = 6
_ITERATE: dict[type, Any] = {each: each.__iter__ for each in (list, tuple, set, frozenset)}


class NotPlain(TypeError):
    """The value is no plain data; the message says what to give instead."""


def plain(value: object) -> Any:
    """The same value in builtin types. Raises NotPlain."""
    budget = iter(range(MOST_ITEMS))
    return _plain(value, budget, _MOST_DEPTH)


def _plain(value: object, budget: Iterator[int], depth: int) -> Any:
    if next(budget, None) is None or depth == 0:
        raise NotPlain(f"this has more than {MOST_ITEMS:,} items, or is nested too deeply")
    kind = type(value)
    if value is None or value is Ellipsis or kind is bool:
        return value
    if issubclass(kind, int):
        return int.__index__(value)  # type: ignore[arg-type]
    if issubclass(kind, float):
        return float.__float__(value)  # type: ignore[arg-type]
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, bytes | bytearray):
        return bytes(memoryview(value))  # type: ignore[arg-type]
    if kind is range:
        return [_plain(each, budget, depth - 1) for each in value]  # type: ignore[attr-defined]
    if issubclass(kind, dict):
        items: Any = dict.items(value)  # type: ignore[arg-type]
        return {_key(k, budget, depth): _plain(v, budget, depth - 1) for k, v in items}
    for builtin in _ITERATE:
        if issubclass(kind, builtin):
            each: Any = _ITERATE[builtin](value)
            if builtin in (set, frozenset):
                return {_key(one, budget, depth) for one in each}
            copied = [_plain(one, budget, depth - 1) for one in each]
            return tuple(copied) if builtin is tuple else copied
    raise NotPlain(
        f"an object of type {kind.__name__} is no plain answer: give a number, text, list, tuple, "
        "set or dict"
    )


def _key(value: object, budget: Iterator[int], depth: int) -> Any:
    key = _plain(value, budget, depth - 1)
    if isinstance(key, list | set | dict):
        raise NotPlain("a set or a dict holds numbers, text and tuples")
    return key
