"""Creating, extending and deleting topics: what is allowed, whoever asks (an administrator, or a
first use).

One broker stores every replica, so a replication factor is 1 and an assignment names this broker
for each partition. Partitions are files and memory: a request may ask for 10,000 at most, as in
Kafka, and the broker has a limit for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zerocopy_lab.broker.admin.config_entries import Layers, layers_of
from zerocopy_lab.broker.groups.store import OFFSETS_TOPIC
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import (
    InvalidConfig,
    InvalidPartitions,
    InvalidReplicaAssignment,
    InvalidReplicationFactor,
    InvalidRequest,
    InvalidTopic,
    PolicyViolation,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log import TopicInfo, TopicSettings
from zerocopy_lab.log.file_names import (
    CLUSTER_METADATA_TOPIC,
    INTERNAL_TOPICS,
    check_topic_name,
)
from zerocopy_lab.log.startup.log_directories import LogDirectories

MOST_PARTITIONS_PER_REQUEST = 10_000  # Kafka's MAX_PARTITIONS_PER_BATCH
BY_DEFAULT = -1  # "as the broker likes", for partitions and replication factor


class TopicChanges:
    """Changes which topics there are. `on_delete` is told the name of a topic that is gone, and
    done before there can be another one of that name.
    """

    def __init__(
        self,
        logs: LogDirectories,
        settings: BrokerSettings,
        on_delete: Callable[[str], None] = lambda topic: None,
    ) -> None:
        self._logs = logs
        self._settings = settings
        self._on_delete = on_delete

    def layers(self) -> Layers:
        """What a topic has that says nothing, and where that comes from."""
        return layers_of(self._logs, self._settings)

    def create(
        self,
        name: str,
        partition_count: int = BY_DEFAULT,
        replication_factor: int = BY_DEFAULT,
        assignments: Mapping[int, Sequence[int]] | None = None,
        overrides: Mapping[str, str | None] | None = None,
        *,
        validate_only: bool = False,
    ) -> TopicInfo | None:
        """Make a topic; with `validate_only` just raise what making it would (and return None).

        Raises InvalidTopic, TopicAlreadyExists, InvalidPartitions, InvalidReplicationFactor,
        InvalidReplicaAssignment, InvalidConfig, InvalidRequest, PolicyViolation, KafkaStorageError.
        """
        if name == CLUSTER_METADATA_TOPIC:
            raise InvalidRequest(f"creation of internal topic {name} is prohibited")
        check_topic_name(name)
        if name in self._logs.topics():
            raise TopicAlreadyExists(f"there is a topic {name} already")
        self._check_collision(name)
        if assignments:
            if (partition_count, replication_factor) != (BY_DEFAULT, BY_DEFAULT):
                raise InvalidRequest("give either an assignment or numbers, not both")
            self._check_assignment(assignments, first=0)
            partition_count = len(assignments)
        if replication_factor not in (BY_DEFAULT, 1):
            raise InvalidReplicationFactor(f"{replication_factor} replicas, but there is 1 broker")
        if partition_count == BY_DEFAULT:
            partition_count = self._settings.num_partitions
        if partition_count < 1:
            raise InvalidPartitions(f"{partition_count} partitions; a topic has at least one")
        self._check_room(partition_count)
        given = _without_nulls(overrides or {})
        check_settings(name, TopicSettings.from_kafka(given, self._logs.defaults))
        return None if validate_only else self._logs.create_topic(name, partition_count, given)

    def extend(
        self,
        name: str,
        new_total: int,
        assignments: Sequence[Sequence[int]] | None = None,
        *,
        validate_only: bool = False,
    ) -> None:
        """Give a topic more partitions. Raises UnknownTopicOrPartition, InvalidPartitions, ..."""
        known = self._logs.topics().get(name)
        if known is None:
            raise UnknownTopicOrPartition(f"there is no topic {name}")
        if name in INTERNAL_TOPICS:
            raise PolicyViolation(f"{name}: its partitions are chosen by how many there are")
        added = new_total - known.partitions
        if added < 1:
            raise InvalidPartitions(
                f"{name} has {known.partitions} partitions, not less than asked"
            )
        if assignments is not None:
            if len(assignments) != added:
                raise InvalidReplicaAssignment(
                    f"{len(assignments)} assignments for {added} new partitions"
                )
            first = known.partitions
            self._check_assignment(dict(enumerate(assignments, first)), first)
        self._check_room(added)
        if not validate_only:
            self._logs.add_partitions(name, new_total)

    def delete(self, name: str) -> None:
        """Remove a topic, and what consumer groups have committed for it."""
        if name == OFFSETS_TOPIC:
            raise PolicyViolation(f"{name} holds the groups' offsets; delete the groups instead")
        self._logs.delete_topic(name, self._on_delete)

    def _check_collision(self, name: str) -> None:
        """Kafka's rule: in the names of metrics a dot becomes an underscore (`hasCollision`)."""
        unified = name.replace(".", "_")
        if "_" in unified:
            for other in self._logs.topics():
                if other.replace(".", "_") == unified:
                    raise InvalidTopic(f"topic {name} collides with the existing topic {other}")

    def _check_assignment(self, assignments: Mapping[int, Sequence[int]], first: int) -> None:
        if sorted(assignments) != list(range(first, first + len(assignments))):
            raise InvalidReplicaAssignment(f"partitions {sorted(assignments)} have gaps")
        for partition, replicas in assignments.items():
            if list(replicas) != [self._settings.node_id]:
                raise InvalidReplicaAssignment(
                    f"partition {partition} on {list(replicas)}; there is only broker "
                    f"{self._settings.node_id}"
                )

    def _check_room(self, added: int) -> None:
        if added > MOST_PARTITIONS_PER_REQUEST:
            raise PolicyViolation(
                f"{added} partitions in one request; {MOST_PARTITIONS_PER_REQUEST} are the most"
            )
        there = sum(topic.partitions for topic in self._logs.topics().values())
        if there + added > self._settings.max_partitions:
            raise PolicyViolation(
                f"{there} partitions and {added} more, but this broker takes "
                f"{self._settings.max_partitions} (max.partitions)"
            )


def check_settings(topic: str, settings: TopicSettings) -> None:
    """Raise InvalidConfig for what would cost a broker's own topic its contents."""
    if topic in INTERNAL_TOPICS and settings.deletes:
        raise InvalidConfig(f"{topic} must have cleanup.policy=compact: else its records expire")


def _without_nulls(overrides: Mapping[str, str | None]) -> dict[str, str]:
    for name, value in overrides.items():
        if value is None:
            raise InvalidConfig(f"{name} has no value; leave it out to get the default")
    return {name: value for name, value in overrides.items() if value is not None}
