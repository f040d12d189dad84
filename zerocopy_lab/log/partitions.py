"""Finding a partition's log: the step of every Produce and Fetch from a name to files.

    ("flights", 0) --> PartitionLog        one look-up in a dictionary, without a lock

Who makes, deletes and loads logs is not here (`startup.log_directories`): it replaces what is
found here as a whole, so that a reader sees the state before a change or the one after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from zerocopy_lab.errors import KafkaStorageError, UnknownTopicId, UnknownTopicOrPartition
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.settings import TopicSettings


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic: how many partitions it has and what is set for it."""

    topic_id: UUID
    partitions: int
    settings: TopicSettings


class Partitions:
    """The topics of a broker, and the logs of their partitions."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, int], PartitionLog] = {}
        self._topics: Mapping[str, TopicInfo] = {}
        self._names: Mapping[UUID, str] = {}
        self._refused: dict[TopicPartition, str] = {}

    def get(self, topic: str, partition: int) -> PartitionLog | None:
        """The log of a partition; None when there is none, or none that can be used (`find` says
        why).
        """
        return self._logs.get((topic, partition))

    def find(self, topic: str, partition: int) -> PartitionLog:
        """The log of a partition. Raises UnknownTopicOrPartition, KafkaStorageError (known, but
        unusable: why).
        """
        found = self._logs.get((topic, partition))
        if found is not None:
            return found
        known = self._topics.get(topic)
        if known is None or not 0 <= partition < known.partitions:
            raise UnknownTopicOrPartition(f"{topic}-{partition}")
        found = self._logs.get((topic, partition))  # it may have been made since we looked
        if found is not None:
            return found
        key = TopicPartition(topic, partition)
        raise KafkaStorageError(self._refused.get(key, f"{key} cannot be used now"))

    def name_of(self, topic_id: UUID | None) -> str:
        """The name of the topic with this id (None is nobody's). Raises UnknownTopicId."""
        name = self._names.get(topic_id) if topic_id else None
        if name is None:
            raise UnknownTopicId(f"no topic has the id {topic_id}")
        return name

    def topics(self) -> Mapping[str, TopicInfo]:
        """All topics by name, as of now."""
        return MappingProxyType(self._topics)

    def partitions_of(self, topic: str) -> list[int]:
        """The partitions of a topic, [] when there is none of this name."""
        known = self._topics.get(topic)
        return list(range(known.partitions if known else 0))

    def logs(self) -> list[PartitionLog]:
        """Every log that is open."""
        return list(self._logs.values())

    @property
    def refused(self) -> Mapping[TopicPartition, str]:
        """The partitions that cannot be used, and why."""
        return MappingProxyType(self._refused)

    def _publish(self, topics: Mapping[str, TopicInfo]) -> None:
        """From now on these are the topics."""
        self._topics = topics
        self._names = {info.topic_id: name for name, info in topics.items()}
