"""Clients of other languages: small programs in `clients/`, told by JSON what to do.

    {"verb": "produce", "door": {"address": ..., ...}, "topic": "t", "messages": [base64, ...], ...}

They and the libraries they need (pinned beside them) are put together in this user's cache, by the
language's own tools from wherever those are set up to fetch, when a client is first asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ci.compat.verbs import PASSWORD, TIMEOUT_S, USER, Client, Door, Failed, NotOffered, Shipment

_SOURCES = Path(__file__).with_name("clients")


@cache
def installed(language: str, *command: str) -> Path:
    """The directory with a language's programs and their libraries, after `command` ran in it."""
    source = _SOURCES / language
    digest = hashlib.sha256()
    for path in sorted(source.iterdir()):
        digest.update(path.read_bytes())
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache_home / "zerocopy_lab" / "clients" / f"{language}-{digest.hexdigest()[:12]}"
    if not directory.is_dir():
        print(f"Preparing the clients in {language}, once, in {directory}", file=sys.stderr)
        unfinished = directory.with_name(f"{directory.name}.{os.getpid()}")
        shutil.copytree(source, unfinished)
        done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(unfinished)
            raise Failed(f"{' '.join(command)}: {done.stderr[-500:]}")
        unfinished.rename(directory)
    return directory


class Elsewhere(Client):
    """A client whose program does what JSON says."""

    def __init__(self, name: str, program: str, *, speaks_kip848: bool = False) -> None:
        self.name = name
        self._program = program
        self._speaks_kip848 = speaks_kip848

    def command(self) -> list[str]:
        """The program, ready to run."""
        raise NotImplementedError

    def _ask(self, door: Door, verb: str, **about: Any) -> Any:
        done = subprocess.run(
            self.command(),
            input=_request(door, verb, about),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{self._program} ended with {done.returncode}: {done.stderr[-700:]}")
        answer = json.loads(done.stdout)
        if answer == "not offered":
            raise NotOffered
        return answer

    def produce(self, door: Door, shipment: Shipment) -> None:
        messages = [base64.b64encode(message).decode() for message in shipment.messages]
        about = {**shipment._asdict(), "messages": messages}
        self._ask(door, "produce", **about)

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        received = self._ask(door, "consume", topic=topic, count=count, group=group)
        return [base64.b64decode(message) for message in received]

    def member(self, door: Door, group: str, topic: str, protocol: str = "classic") -> list[str]:
        if protocol == "consumer" and not self._speaks_kip848:
            raise NotOffered
        request = _request(door, "member", {"topic": topic, "group": group, "protocol": protocol})
        fed = 'request=$1; shift; exec "$@" <<END\n$request\nEND'
        return ["sh", "-c", fed, "member", request, *self.command()]

    def assigned(self, line: str, owned: int) -> int | None:
        event = json.loads(line) if line.startswith("{") else {}
        return len(event["assigned"]) if "assigned" in event else None

    @contextmanager
    def admin(self, door: Door) -> Iterator[ElsewhereAdmin]:
        yield ElsewhereAdmin(self, door)


def _request(door: Door, verb: str, about: Mapping[str, Any]) -> str:
    place = {
        "address": door.address,
        "encrypted": door.is_encrypted,
        "authority": str(door.authority),
        "mechanism": door.mechanism,
        "user": USER,
        "password": PASSWORD,
    }
    return json.dumps({"verb": verb, "door": place, **about})


class ElsewhereAdmin:
    """The admin's verbs, each a run of the program."""

    def __init__(self, client: Elsewhere, door: Door) -> None:
        self._client, self._door = client, door

    def _ask(self, verb: str, **about: Any) -> Any:
        return self._client._ask(self._door, verb, **about)

    def create(self, topic: str, partitions: int, settings: Mapping[str, str]) -> None:
        self._ask("create", topic=topic, partitions=partitions, settings=dict(settings))

    def setting(self, topic: str, name: str) -> str | None:
        value: str | None = self._ask("setting", topic=topic, name=name)
        return value

    def change(self, topic: str, name: str, value: str) -> None:
        self._ask("change", topic=topic, name=name, value=value)

    def extend(self, topic: str, partitions: int) -> None:
        self._ask("extend", topic=topic, partitions=partitions)

    def partitions(self, topic: str) -> int:
        return int(self._ask("partitions", topic=topic))

    def delete(self, topic: str) -> None:
        self._ask("remove", topic=topic)

    def topics(self) -> list[str]:
        return list(self._ask("topics"))


class Node(Elsewhere):
    """Packages of Node."""

    programs = ("node", "npm")

    def command(self) -> list[str]:
        directory = installed("node", "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
        return ["node", str(directory / "verbs.mjs"), self._program]


class Go(Elsewhere):
    """Modules of Go, all of them in one program."""

    programs = ("go",)

    def command(self) -> list[str]:
        return [
            str(installed("go", "go", "build", "-o", "clients", ".") / "clients"),
            self._program,
        ]


class Rust(Elsewhere):
    """The crate rdkafka, which compiles the librdkafka that it brings along."""

    programs = ("cargo", "cc", "make")

    def command(self) -> list[str]:
        # A build directory that is set for everything would not move along with the program.
        built = installed("rust", "cargo", "build", "--quiet", "--target-dir", "target")
        return [str(built / "target" / "debug" / "clients")]
