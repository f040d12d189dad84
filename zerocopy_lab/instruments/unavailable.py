"""What an instrument says instead of a number that it does not have: raised, or kept as a value."""

from __future__ import annotations

from typing import NamedTuple


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
