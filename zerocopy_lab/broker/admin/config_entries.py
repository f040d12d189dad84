"""Settings as Kafka's tools see them: name, value, and where the value comes from.

A topic's value is its own (DYNAMIC_TOPIC_CONFIG), or the broker's, which was altered while it ran
(DYNAMIC_BROKER_CONFIG; for all brokers: DYNAMIC_DEFAULT_BROKER_CONFIG), was given at its start
(STATIC_BROKER_CONFIG) or is Kafka's default (DEFAULT_CONFIG). The broker's name for the same thing
often differs: `segment.ms` of a topic is `log.roll.ms` of the broker. Source: Kafka's
`DescribeConfigsResponse` and `ServerTopicConfigSynonyms`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import IntEnum
from typing import NamedTuple

from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.log import TopicSettings
from zerocopy_lab.log.startup.log_directories import LogDirectories


class Source(IntEnum):
    """Where a value comes from."""

    DYNAMIC_TOPIC_CONFIG = 1
    DYNAMIC_BROKER_CONFIG = 2
    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
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
    read_only: bool = False


#: What was set for all topics, by their names, the strongest first.
Layers = Sequence[tuple[Source, Mapping[str, str]]]


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


#: And the other way round: what of the broker's can be altered while it runs.
TOPIC_NAMES = {BROKER_NAMES.get(name, name): name for name in TopicSettings().to_kafka()}


def layers_of(logs: LogDirectories, settings: BrokerSettings) -> Layers:
    """What `settings` give all topics, and what was altered since."""
    altered = logs.of_brokers
    return (
        (Source.DYNAMIC_BROKER_CONFIG, altered.get(str(settings.node_id), {})),
        (Source.DYNAMIC_DEFAULT_BROKER_CONFIG, altered.get("", {})),
        (Source.STATIC_BROKER_CONFIG, settings.topic_defaults.overrides),
    )


def topic_entries(settings: TopicSettings, layers: Layers) -> list[ConfigEntry]:
    """Every setting of a topic."""
    entries = []
    for name, value in settings.to_kafka().items():
        chain = _chain(name, layers)
        if name in settings.overrides:
            chain.insert(0, (name, value, Source.DYNAMIC_TOPIC_CONFIG))
        entries.append(ConfigEntry(name, value, chain[0][2], _type_of(name, value), tuple(chain)))
    return entries


def _chain(topic_name: str, layers: Layers) -> list[tuple[str, str, Source]]:
    name = BROKER_NAMES.get(topic_name, topic_name)
    given = [(name, each[topic_name], source) for source, each in layers if topic_name in each]
    return [*given, (name, TopicSettings().to_kafka()[topic_name], Source.DEFAULT_CONFIG)]


def default_entries(altered: Mapping[str, str]) -> list[ConfigEntry]:
    """What was altered for all brokers, which is what a broker without a name has."""
    layers = ((Source.DYNAMIC_DEFAULT_BROKER_CONFIG, altered),)
    return [_of_topics(name, layers) for name in altered]


def _of_topics(topic_name: str, layers: Layers) -> ConfigEntry:
    chain = _chain(topic_name, layers)
    name, value, source = chain[0]
    return ConfigEntry(name, value, source, _type_of(topic_name, value), tuple(chain))


def broker_entries(
    settings: BrokerSettings, layers: Layers, more: Mapping[str, str]
) -> list[ConfigEntry]:
    """Every setting of the broker; `more` are those of rooms it does not know (the network)."""
    defaults = BrokerSettings(log_dirs=settings.log_dirs)
    values = {**_as_text(settings), **_as_text(settings.groups), **more}
    of_kafka = {**_as_text(defaults), **_as_text(defaults.groups)}
    entries = []
    for name, value in values.items():
        by_default = of_kafka.get(name) == value and name != "log.dirs"
        source = Source.DEFAULT_CONFIG if by_default else Source.STATIC_BROKER_CONFIG
        chain = ((name, value, source),)
        entries.append(
            ConfigEntry(name, value, source, _type_of(name, value), chain, read_only=True)
        )
    return entries + [_of_topics(name, layers) for name in TOPIC_NAMES.values()]


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
