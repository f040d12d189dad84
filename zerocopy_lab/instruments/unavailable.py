"""What an instrument says instead of a number that it does not have: raised, or kept as a value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Unmeasured(NamedTuple):
    """In the place of a measurement that could not be made: why. Never a bare string, never 0."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Unavailable(Exception):
    """An instrument cannot measure here; carries the reason and what a user can do about it.

    Raised instead of returning 0 or an estimate, so that nobody can mistake "not measured" for
    "nothing happened".
    """

    def __init__(self, instrument: str, why: str, remedy: str) -> None:
        super().__init__(f"{instrument} is not available here: {why}. {remedy}.")
        self.instrument = instrument
        self.why = why
        self.remedy = remedy


def or_unmeasured(
    *reasons: type[Exception],
) -> Callable[[Callable[_P, _R]], Callable[_P, _R | Unmeasured]]:
    """For a function that measures: where it raises one of these (none named: Unavailable), why
    is its value.
    """
    caught = reasons or (Unavailable,)

    def decorated(measure: Callable[_P, _R]) -> Callable[_P, _R | Unmeasured]:
        @functools.wraps(measure)
        def measured(*args: _P.args, **kwargs: _P.kwargs) -> _R | Unmeasured:
            try:
                return measure(*args, **kwargs)
            except caught as reason:
                return Unmeasured(str(reason))

        return measured

    return decorated
