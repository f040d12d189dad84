"""An answer is taken for what it holds, not for what it claims."""

from __future__ import annotations

import itertools
from enum import IntEnum
from typing import Any

import pytest

from zerocopy_lab.conformance.plain_values import NotPlain, plain


class Liar:
    __class__ = int  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Flattering(str):
    __slots__ = ()

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = str.__hash__


class Level(IntEnum):
    ONE = 1


class Endless(list[int]):
    def __iter__(self) -> Any:
        return itertools.count()


@pytest.mark.parametrize(
    ("value", "same"),
    [
        (3, 3),
        (True, True),
        (Level.ONE, 1),
        ([1, (2, {3})], [1, (2, {3})]),
        ({"a": [1.5]}, {"a": [1.5]}),
        (range(3), [0, 1, 2]),
        (bytearray(b"ab"), b"ab"),
        (Endless([1, 2]), [1, 2]),
    ],
)
def test_plain_data_stays_what_it_is(value: object, same: object) -> None:
    found = plain(value)
    assert found == same
    assert type(found) is type(same)


def test_a_string_that_equals_everything_no_longer_does() -> None:
    assert plain(Flattering("x")) != "y"


@pytest.mark.parametrize(
    "value",
    [Liar(), object(), iter([1]), itertools.count(), {1: Liar()}, list(range(20_000))],
    ids=["liar", "object", "iterator", "endless", "liar inside", "long list"],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(NotPlain):
        plain(value)


def test_what_holds_itself_is_refused() -> None:
    turning: list[Any] = []
    turning.append(turning)
    with pytest.raises(NotPlain, match="nested too deeply"):
        plain(turning)
