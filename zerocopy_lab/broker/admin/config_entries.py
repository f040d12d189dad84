"""Settings as Kafka's tools see them: name, value, and where the value comes from.

A topic's value is its own (DYNAMIC_TOPIC_CONFIG), or the broker's, which was given at its start
(STATIC_BROKER_CONFIG) or is Kafka's default (DEFAULT_CONFIG). The broker's name for the same thing
often differs: `segment.ms` of a topic is `log.roll.ms` of the broker. Source: Kafka's
`DescribeConfigsResponse` and `ServerTopicConfigSynonyms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import IntEnum
from typing import NamedTuple

from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.log import TopicSettings


class Source(IntEnum):
    """Where a value comes from."""

    DYNAMIC_TOPIC_CONFIG = 1
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5


class ConfigType(IntEnum):
    """What a value is, for tools that want to show or check it."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7


class ConfigEntry(NamedTuple):
    """One setting. The synonyms are what would count without it, the next one first."""

    name: str
    value: str
    source: Source
    config_type: ConfigType
    synonyms: tuple[tuple[str, str, Source], ...]  # name, value, source


#: What the broker calls the default of a topic setting.
BROKER_NAMES = {
    "segment.bytes": "log.segment.bytes",
    "segment.ms": "log.roll.ms",
    "segment.index.bytes": "log.index.size.max.bytes",
    "index.interval.bytes": "log.index.interval.bytes",
    "retention.ms": "log.retention.ms",
    "retention.bytes": "log.retention.bytes",
    "cleanup.policy": "log.cleanup.policy",
    "min.cleanable.dirty.ratio": "log.cleaner.min.cleanable.ratio",
    "min.compaction.lag.ms": "log.cleaner.min.compaction.lag.ms",
    "max.compaction.lag.ms": "log.cleaner.max.compaction.lag.ms",
    "delete.retention.ms": "log.cleaner.delete.retention.ms",
    "file.delete.delay.ms": "log.segment.delete.delay.ms",
    "flush.messages": "log.flush.interval.messages",
    "flush.ms": "log.flush.interval.ms",
    "max.message.bytes": "message.max.bytes",
    "message.timestamp.type": "log.message.timestamp.type",
    "message.timestamp.before.max.ms": "log.message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms": "log.message.timestamp.after.max.ms",
    "segment.jitter.ms": "log.roll.jitter.ms",
    "preallocate": "log.preallocate",
    "local.retention.ms": "log.local.retention.ms",
    "local.retention.bytes": "log.local.retention.bytes",
}


def topic_entries(
    settings: TopicSettings, defaults: TopicSettings | None = None
) -> list[ConfigEntry]:
    """Every setting of a topic; `defaults` are the broker's."""
    defaults = defaults or TopicSettings()
    in_force, of_broker, of_kafka = (s.to_kafka() for s in (settings, defaults, TopicSettings()))
    entries = []
    for name, value in in_force.items():
        broker_name = BROKER_NAMES.get(name, name)
        chain = [(broker_name, of_kafka[name], Source.DEFAULT_CONFIG)]
        if name in defaults.overrides:
            chain.insert(0, (broker_name, of_broker[name], Source.STATIC_BROKER_CONFIG))
        if name in settings.overrides:
            chain.insert(0, (name, value, Source.DYNAMIC_TOPIC_CONFIG))
        entries.append(ConfigEntry(name, value, chain[0][2], _type_of(name, value), tuple(chain)))
    return entries


def broker_entries(settings: BrokerSettings, more: Mapping[str, str]) -> list[ConfigEntry]:
    """Every setting of the broker; `more` are those of rooms it does not know (the network)."""
    defaults = BrokerSettings(log_dirs=settings.log_dirs)
    values = {**_as_text(settings), **_as_text(settings.groups), **more}
    of_kafka = {**_as_text(defaults), **_as_text(defaults.groups)}
    entries = []
    for name, value in values.items():
        by_default = of_kafka.get(name) == value and name != "log.dirs"
        source = Source.DEFAULT_CONFIG if by_default else Source.STATIC_BROKER_CONFIG
        chain = ((name, value, source),)
        entries.append(ConfigEntry(name, value, source, _type_of(name, value), chain))
    for entry in topic_entries(settings.topic_defaults):
        value, source = entry.value, Source.DEFAULT_CONFIG
        if entry.name in settings.topic_defaults.overrides:
            source = Source.STATIC_BROKER_CONFIG
        name = BROKER_NAMES.get(entry.name, entry.name)
        chain = ((name, value, source),)
        entries.append(ConfigEntry(name, value, source, entry.config_type, chain))
    return entries


def _as_text(settings: object) -> dict[str, str]:
    """The plain values among the fields of a dataclass, by Kafka's names (dots for underscores)."""
    found: dict[str, str] = {}
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if isinstance(value, (bool, int, str)):
            found[field.name.replace("_", ".")] = str(value).lower()
        elif isinstance(value, tuple):
            found[field.name.replace("_", ".")] = ",".join(map(str, value))
    return found


def _type_of(name: str, value: str) -> ConfigType:
    if name in ("cleanup.policy", "log.dirs"):
        return ConfigType.LIST
    if value in ("true", "false"):
        return ConfigType.BOOLEAN
    if value.removeprefix("-").isdigit():
        return ConfigType.LONG if name.endswith((".ms", ".messages")) else ConfigType.INT
    return ConfigType.DOUBLE if value.replace(".", "", 1).isdigit() else ConfigType.STRING
