"""What a client has to be able to do, in the words that `__main__.py` says its checks in.

A client is one class with a method for each verb; what it does not offer stays as it is here and
raises NotOffered. The Python libraries are in `libraries.py`, the programs in
`programs.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "alice", "alice-secret"
TIMEOUT_S = 90


class NotOffered(Exception):
    """The client has no such thing."""


class Failed(Exception):
    """It did something else than it should."""


def expect(found: Any, expected: Any) -> None:
    """Raise Failed unless both are equal."""
    if found != expected:
        raise Failed(f"{str(expected)[:200]} was expected, not {str(found)[:200]}")


class Door(NamedTuple):
    """One listener, and what a client needs to get in."""

    address: str
    protocol: str
    authority: Path
    mechanism: str | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken, with a certificate that `authority` has signed."""
        return self.protocol.endswith("SSL")


class Shipment(NamedTuple):
    """What to produce, and how."""

    topic: str
    messages: Sequence[bytes]
    codec: str = "none"
    idempotent: bool = False


class Admin(Protocol):
    """What those can do who look after topics."""

    def create(self, topic: str, partitions: int, settings: Mapping[str, str]) -> None:
        """A new topic."""

    def setting(self, topic: str, name: str) -> str | None:
        """What the broker says a setting of the topic is."""

    def change(self, topic: str, name: str, value: str) -> None:
        """Give one setting another value."""

    def extend(self, topic: str, partitions: int) -> None:
        """Have so many partitions in all from now on."""

    def partitions(self, topic: str) -> int:
        """How many the topic has."""

    def delete(self, topic: str) -> None:
        """No more of it."""

    def topics(self) -> Collection[str]:
        """The names of all."""


class Client:
    """Each row of the table is one of these."""

    name = ""
    programs: tuple[str, ...] = ()  # without which it cannot be tried

    def unavailable(self) -> str | None:
        """Why this machine cannot run the client, or None when it can."""
        missing = [program for program in self.programs if shutil.which(program) is None]
        return f"not on PATH: {', '.join(missing)}" if missing else None

    def produce(self, door: Door, shipment: Shipment) -> None:
        """Return when everything is acknowledged."""
        raise NotOffered

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        """`count` messages in order; with a group from where it has got to, and committed."""
        raise NotOffered

    def member(self, door: Door, group: str, topic: str, protocol: str = "classic") -> list[str]:
        """The command line of a process that is a member of a group, and says what it owns.
        `protocol` is Kafka's `group.protocol`: "consumer" is KIP-848's.
        """
        raise NotOffered

    def assigned(self, line: str, owned: int) -> int | None:
        """How many partitions the member owns from this line of its output on, `owned` before; None
        if it says something else.
        """
        raise NotOffered

    def admin(self, door: Door) -> AbstractContextManager[Admin]:
        """Somebody who looks after topics."""
        raise NotOffered

    def show_more(self, door: Door, topic: str) -> None:
        """What else this client offers for looking after a topic of five partitions; usually
        nothing.
        """
