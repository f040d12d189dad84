"""The settings of a topic, by Kafka's own names, with Kafka's own defaults and limits.

A topic stores only what was set for it (its *overrides*); everything else follows the broker's
defaults. The name of an attribute is the Kafka name with dots for underscores: `segment_bytes` is
`segment.bytes`.

| setting | what it decides |
|---|---|
| segment.bytes, segment.ms, segment.index.bytes | when a segment is full and the next one begins |
| index.interval.bytes | how sparse the indexes are |
| retention.ms, retention.bytes | when old segments go (-1: never), under cleanup.policy=delete |
| cleanup.policy | delete, compact, or both |
| min.cleanable.dirty.ratio, min.compaction.lag.ms, max.compaction.lag.ms | when compaction runs |
| delete.retention.ms | how long it keeps tombstones |
| flush.messages, flush.ms | when the log is forced to disk; by default the system decides |
| file.delete.delay.ms | how long the files of a deleted segment stay |
| max.message.bytes | the largest batch that may be appended |
| message.timestamp.type | CreateTime (the producer's clock) or LogAppendTime (the broker's) |
| message.timestamp.before.max.ms, .after.max.ms | how far a record's time may be from now |
| compression.type | producer: batches stay as they came; else the broker repacks them |
| min.insync.replicas | kept for the clients that ask: with one broker a partition has one replica |

Settings of features that are not here (replication quotas, remote storage, levels of compression,
preallocated files) have one value that says what this broker does anyway (`AS_IT_IS`). It is
accepted, for the tools that set it on every topic; others are refused by name, so that nobody
believes in a setting without effect. Source: Kafka's `TopicConfig` and `LogConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from zerocopy_lab.errors import InvalidConfig

_DAY_MS = 86_400_000
MAX_INT32 = (1 << 31) - 1
MAX_INT64 = (1 << 63) - 1  # Kafka's "never" for the flush settings

COMPRESSION_TYPES = ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")
TIMESTAMP_TYPES = ("CreateTime", "LogAppendTime")
CLEANUP_POLICIES = ("delete", "compact")


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """The settings in force for one topic: the defaults with the topic's overrides on top."""

    segment_bytes: int = 1 << 30
    segment_ms: int = 7 * _DAY_MS
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    retention_ms: int = 7 * _DAY_MS
    retention_bytes: int = -1
    cleanup_policy: str = "delete"
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = MAX_INT64
    delete_retention_ms: int = _DAY_MS
    file_delete_delay_ms: int = 60_000
    flush_messages: int = MAX_INT64
    flush_ms: int = MAX_INT64
    max_message_bytes: int = (1 << 20) + 12
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = MAX_INT64
    message_timestamp_after_max_ms: int = 3_600_000
    compression_type: str = "producer"
    min_insync_replicas: int = 1
    overrides: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    # What follows from the others, and is asked for every batch.
    #: Whether its records are looked at before it is appended.
    opens_batches: bool = field(init=False, repr=False)
    #: How old a segment may become: what must be compacted by then must not be active.
    roll_ms: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        opens = (
            self.compression_type != "producer"
            or self.compacts
            or self.message_timestamp_before_max_ms != MAX_INT64  # no header has the oldest
        )
        lag_ms = self.max_compaction_lag_ms if self.compacts else MAX_INT64
        object.__setattr__(self, "opens_batches", opens)  # the way of a frozen dataclass
        object.__setattr__(self, "roll_ms", min(self.segment_ms, lag_ms))

    @classmethod
    def from_kafka(
        cls, overrides: Mapping[str, str], defaults: TopicSettings | None = None
    ) -> TopicSettings:
        """The settings of a topic with these overrides, e.g. {"segment.bytes": "1048576"}.

        Raises InvalidConfig, naming the setting, its value and what is legal.
        """
        values = {
            _attribute(name): _parse(name, text)
            for name, text in overrides.items()
            if not _says_what_is(name, text)
        }
        settings = replace(defaults or cls(), overrides=MappingProxyType(dict(overrides)), **values)
        if settings.min_compaction_lag_ms > settings.max_compaction_lag_ms:
            raise InvalidConfig(
                f"min.compaction.lag.ms={settings.min_compaction_lag_ms} is more than "
                f"max.compaction.lag.ms={settings.max_compaction_lag_ms}"
            )
        return settings

    def to_kafka(self) -> dict[str, str]:
        """Every setting by its Kafka name, as text; with `overrides` one sees which were set for
        the topic.
        """
        given = {name: str(getattr(self, _attribute(name))) for name in _LEGAL}
        as_it_is = {name: self.overrides.get(name, words[0]) for name, words in AS_IT_IS.items()}
        return given | as_it_is

    @property
    def deletes(self) -> bool:
        """Whether segments are deleted by age or size."""
        return "delete" in self.cleanup_policy

    @property
    def compacts(self) -> bool:
        """Whether only the last record of every key is kept."""
        return "compact" in self.cleanup_policy


# Smallest and largest legal number, or the legal words.
_LEGAL: dict[str, tuple[int, int] | tuple[float, float] | tuple[str, ...]] = {
    "segment.bytes": (14, MAX_INT32),
    "segment.ms": (1, MAX_INT64),
    "segment.index.bytes": (4, MAX_INT32),
    "index.interval.bytes": (0, MAX_INT32),
    "retention.ms": (-1, MAX_INT64),
    "retention.bytes": (-1, MAX_INT64),
    "cleanup.policy": CLEANUP_POLICIES,
    "min.cleanable.dirty.ratio": (0.0, 1.0),
    "min.compaction.lag.ms": (0, MAX_INT64),
    "max.compaction.lag.ms": (1, MAX_INT64),
    "delete.retention.ms": (0, MAX_INT64),
    "file.delete.delay.ms": (0, MAX_INT64),
    "flush.messages": (1, MAX_INT64),
    "flush.ms": (0, MAX_INT64),
    "max.message.bytes": (0, MAX_INT32),
    "message.timestamp.type": TIMESTAMP_TYPES,
    "message.timestamp.before.max.ms": (0, MAX_INT64),
    "message.timestamp.after.max.ms": (0, MAX_INT64),
    "compression.type": COMPRESSION_TYPES,
    "min.insync.replicas": (1, MAX_INT32),
}
#: What may be said of what is not here; the first is Kafka's default.
AS_IT_IS: dict[str, tuple[str, ...]] = {
    "segment.jitter.ms": ("0",),
    "preallocate": ("false",),
    "unclean.leader.election.enable": ("false", "true"),  # one replica: there is no election
    "compression.gzip.level": ("-1",),
    "compression.lz4.level": ("9",),
    "compression.zstd.level": ("3",),
    "remote.storage.enable": ("false",),
    "local.retention.ms": ("-2",),  # as retention.ms
    "local.retention.bytes": ("-2",),
    "leader.replication.throttled.replicas": ("", "none", "*"),  # nothing is replicated
    "follower.replication.throttled.replicas": ("", "none", "*"),
}
assert {_.name for _ in fields(TopicSettings) if _.init} - {"overrides"} == {
    name.replace(".", "_") for name in _LEGAL
}


def _says_what_is(name: str, text: str) -> bool:
    words = AS_IT_IS.get(name)
    if words is None:
        return False
    if text.strip().lower() not in words:
        raise InvalidConfig(f"{name}={text}: this broker has no such feature, only {words[0]!r}")
    return True


def _attribute(name: str) -> str:
    if name not in _LEGAL:
        raise InvalidConfig(
            f"no topic setting is called {name!r}; there are: {', '.join((*_LEGAL, *AS_IT_IS))}"
        )
    return name.replace(".", "_")


def _parse(name: str, text: str) -> Any:
    legal = _LEGAL[name]
    if name == "cleanup.policy":
        return _parse_policies(text)
    if isinstance(legal[0], str):
        if text not in legal:
            raise InvalidConfig(f"{name}={text!r}: it must be one of {', '.join(map(str, legal))}")
        return text
    smallest, largest = legal
    try:
        number = type(smallest)(text)
    except (TypeError, ValueError):
        raise InvalidConfig(f"{name}={text!r} is not a number") from None
    if not smallest <= number <= largest:
        raise InvalidConfig(f"{name}={text}: it must lie between {smallest} and {largest}")
    return number


def _parse_policies(text: str) -> str:
    policies = [policy.strip() for policy in text.split(",")]
    if not policies or not set(policies) <= set(CLEANUP_POLICIES):
        raise InvalidConfig(
            f"cleanup.policy={text!r}: it must be delete, compact or both, with a comma"
        )
    return ",".join(policies)
