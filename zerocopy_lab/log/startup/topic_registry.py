"""Which topics there are, and what was set for each: `topics.json` in every `log.dir`.

Kafka keeps this in its metadata log (`__cluster_metadata`), which a single broker does not need.
The file is replaced as a whole at every change, in every directory; when they differ after a
crash, the one with the highest revision counts.

    {"revision": 3, "topics": {
        "flights": {"id": "Wn3c...", "partitions": 2, "overrides": {"segment.bytes": "1048576"}}}}

The file is the moment of decision: it is written first, and the directories follow. What a crash
left undone is done at the next start: partitions that are announced are made, and those of a topic
that is being deleted, which is named by its id in "deleting", go, also from a disk that was away.
A name in "forgetting" may not be given to a new topic yet: the groups' offsets of the deleted one
are still there.

Kafka ignores the file, as it ignores everything in a `log.dir` that is no directory. Where it is
missing or damaged, the topics are taken from the partitions' directories; only the overrides are
then gone, and that is said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from zerocopy_lab.errors import InvalidConfig, UnknownTopicOrPartition
from zerocopy_lab.log.atomic_file import replace_file
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.partitions import TopicInfo
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.identity_files import format_id, parse_id

_LOGGER = logging.getLogger(__name__)
TOPICS_FILE = "topics.json"


class Registry(NamedTuple):
    """The topics, and those that are being deleted. Never changed: a change is another one."""

    topics: Mapping[str, TopicInfo] = MappingProxyType({})
    deleting: frozenset[UUID] = frozenset()
    forgetting: frozenset[str] = frozenset()
    #: What was set for topics while the broker ran: for every broker (""), and for one by its id.
    of_brokers: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def defaults(self, at_start: TopicSettings) -> TopicSettings:
        """What a topic has that says nothing, where `at_start` is what the broker was started with.
        Raises InvalidConfig.
        """
        in_order = [self.of_brokers[broker] for broker in sorted(self.of_brokers)]
        merged = {name: text for each in in_order for name, text in each.items()}
        return TopicSettings.from_kafka(merged, at_start)

    def known(self, topic: str) -> TopicInfo:
        """The topic of this name. Raises UnknownTopicOrPartition."""
        found = self.topics.get(topic)
        if found is None:
            raise UnknownTopicOrPartition(f"there is no topic {topic}")
        return found

    def partition_count(self, topic: str) -> int:
        """How many partitions the topic has, 0 if there is none of this name."""
        found = self.topics.get(topic)
        return found.partitions if found else 0

    def partitions(self) -> Iterator[TopicPartition]:
        """All partitions of all topics."""
        for topic, info in self.topics.items():
            for partition in range(info.partitions):
                yield TopicPartition(topic, partition)

    def with_topic(self, topic: str, info: TopicInfo) -> Registry:
        """A new topic, or another state of one."""
        return self._replace(topics={**self.topics, topic: info})

    def adopting(self, key: TopicPartition, topic_id: UUID, defaults: TopicSettings) -> Registry:
        """A partition that is there, though topics.json may not know it: it was lost, or the
        partition comes from a Kafka.
        """
        info = self.topics.get(key.topic, TopicInfo(topic_id, 0, defaults))
        if key.partition < info.partitions:
            return self
        return self.with_topic(key.topic, replace(info, partitions=key.partition + 1))

    def without(self, topic: str, *, forgetting: bool) -> Registry:
        """The topic is gone, but its directories may still be there; and what others know of it
        (`forgetting`).
        """
        rest = {name: info for name, info in self.topics.items() if name != topic}
        return self._replace(
            topics=rest,
            deleting=self.deleting | {self.topics[topic].topic_id},
            forgetting=self.forgetting | {topic} if forgetting else self.forgetting,
        )


def write_topics(directory: Path, revision: int, registry: Registry) -> None:
    """Replace the file in a `log.dir`. Raises OSError."""
    described = {
        name: {
            "id": format_id(topic.topic_id),
            "partitions": topic.partitions,
            "overrides": dict(topic.settings.overrides),
        }
        for name, topic in sorted(registry.topics.items())
    }
    whole: dict[str, Any] = {"revision": revision, "topics": described}
    if registry.deleting:
        whole["deleting"] = sorted(map(format_id, registry.deleting))
    if registry.forgetting:
        whole["forgetting"] = sorted(registry.forgetting)
    if registry.of_brokers:
        whole["brokers"] = {name: dict(each) for name, each in registry.of_brokers.items()}
    content = json.dumps(whole, indent=1)
    replace_file(directory / TOPICS_FILE, content.encode())


def read_topics(directory: Path, at_start: TopicSettings) -> tuple[int, Registry]:
    """(revision, content) of the file in a `log.dir`; (0, no topics) when there is none, or a
    damaged one. Raises OSError: what cannot be read now is not lost.
    """
    path = directory / TOPICS_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0, Registry()
    try:
        return _parse(content, at_start)
    except Exception as error:  # whatever a damaged file makes the parsers say
        _LOGGER.error("%s cannot be used (%s): topics are taken from the directories", path, error)
        return 0, Registry()


def _parse(content: bytes, at_start: TopicSettings) -> tuple[int, Registry]:
    described: Any = json.loads(content)
    of_brokers = {
        name: _legal(f"broker {name!r}", overrides, at_start)
        for name, overrides in described.get("brokers", {}).items()
    }
    defaults = Registry(of_brokers=of_brokers).defaults(at_start)
    topics = {
        name: TopicInfo(
            parse_id(topic["id"]),
            int(topic["partitions"]),
            TopicSettings.from_kafka(_legal(name, topic["overrides"], defaults), defaults),
        )
        for name, topic in described["topics"].items()
    }
    deleting = frozenset(map(parse_id, described.get("deleting", ())))
    forgetting = frozenset(described.get("forgetting", ()))
    return int(described["revision"]), Registry(topics, deleting, forgetting, of_brokers)


def _legal(whose: str, overrides: Mapping[str, str], defaults: TopicSettings) -> dict[str, str]:
    """One that another release knew, or somebody mistyped, does not cost the others."""
    legal: dict[str, str] = {}
    for name, text in overrides.items():
        try:
            TopicSettings.from_kafka({**legal, name: text}, defaults)
            legal[name] = text
        except InvalidConfig as error:
            _LOGGER.error("%s: %s; going on without it", whose, error)
    return legal
