"""What an instrument says instead of a number that it does not have."""

from __future__ import annotations


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
