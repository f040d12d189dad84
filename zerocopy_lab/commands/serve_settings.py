"""Settings of `serve` by Kafka's names: each goes to the room that it belongs to.

    --set segment.bytes=1048576              every topic that does not say otherwise;
                                             log.segment.bytes is the same
    --set group.max.size=10                  the broker
    --set max.connections=100                the network
    --set ssl.keystore.location=key.pem      the TLS listeners

A name that nobody knows is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zerocopy_lab.broker.admin.config_entries import TOPIC_NAMES
from zerocopy_lab.broker.settings import BrokerSettings, GroupSettings
from zerocopy_lab.log.batch_rules import VALIDATIONS
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.network.quotas import Limits
from zerocopy_lab.network.tls import TlsSettings

_TOPIC_SETTINGS = set(TopicSettings().to_kafka())
#: Those that have options of their own.
_ELSEWHERE = {"log.dirs", "num.partitions", "node.id", "topic.defaults", "groups", "sasl.users"}
#: Whole numbers of which 0 means "do not".
_MAY_BE_ZERO = {"group.initial.rebalance.delay.ms", "cold.read.threads"}


@dataclass(frozen=True)
class ServeSettings:
    """What was set, sorted."""

    topic_defaults: TopicSettings
    groups: GroupSettings
    broker: Mapping[str, Any]  # arguments of BrokerSettings
    limits: Limits
    tls: TlsSettings | None


def sort_settings(assignments: list[str]) -> ServeSettings:
    """Every NAME=VALUE in its place. Raises ValueError and InvalidConfig, naming what is wrong."""
    topic: dict[str, str] = {}
    rooms: dict[type[Any], dict[str, Any]] = {
        room: {} for room in (GroupSettings, BrokerSettings, Limits, TlsSettings)
    }
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment}: it wants NAME=VALUE")
        room = _room_of(name)
        if room is None and name in _ELSEWHERE:
            raise ValueError(f"--set {name}: it has an option of its own, see --help")
        if room is None:
            topic[_topic_setting(name)] = value
        else:
            rooms[room][name.replace(".", "_")] = _parse(room, name, value)
    tls = rooms[TlsSettings]
    if tls and "ssl_keystore_location" not in tls:
        raise ValueError(f"ssl.keystore.location is missing: {', '.join(tls)} mean nothing without")
    return ServeSettings(
        TopicSettings.from_kafka(topic),
        GroupSettings(**rooms[GroupSettings]),
        rooms[BrokerSettings],
        Limits(**rooms[Limits]),
        TlsSettings(**tls) if tls else None,
    )


def network_entries(limits: Limits) -> dict[str, str]:
    """The limits by Kafka's names, for those who ask the broker what is set."""
    return {
        field.name.replace("_", "."): str(getattr(limits, field.name)) for field in fields(limits)
    }


def read_users(path: Path) -> dict[str, str]:
    """Names and passwords from a file of lines NAME:PASSWORD, in UTF-8 whatever the locale, with or
    without a byte-order mark; # begins a comment. Raises OSError, ValueError; both name the file.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8: {error}") from error
    users = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        if not (name and colon and password):
            raise ValueError(f"{path}, line {number}: it wants NAME:PASSWORD")
        users[name] = password
    return users


def _topic_setting(name: str) -> str:
    of_topic = TOPIC_NAMES.get(name, name)
    if of_topic not in _TOPIC_SETTINGS:
        raise ValueError(f"--set {name}: neither the broker nor its topics have such a setting")
    return of_topic


def _room_of(name: str) -> type[Any] | None:
    """The settings class that has this name; None for a topic's setting, which is checked there."""
    if name in _TOPIC_SETTINGS or name in TOPIC_NAMES or name in _ELSEWHERE:
        return None
    for room in (Limits, GroupSettings, BrokerSettings, TlsSettings):
        if name.replace(".", "_") in {field.name for field in fields(room)}:
            return room
    return None


def _parse(room: type[Any], name: str, value: str) -> Any:
    if name == "batch.validation" and value not in VALIDATIONS:
        raise ValueError(f"{name}={value!r}: it must be one of {', '.join(VALIDATIONS)}")
    kind = {field.name: field.type for field in fields(room)}[name.replace(".", "_")]
    if kind == "int":
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"{name}={value!r} is not a whole number") from None
        least = 0 if name in _MAY_BE_ZERO else 1
        if number < least and not (number == -1 and room is Limits):
            raise ValueError(f"{name}={number}: it must be {least} or more")
        return number
    if kind == "bool":
        if value not in ("true", "false"):
            raise ValueError(f"{name}={value!r}: it must be true or false")
        return value == "true"
    return Path(value) if "Path" in str(kind) else value
