"""Topics created, changed and deleted the way an administrator does it: through Kafka's own client.

Four verbs that wait for the broker's answer and raise what it says (KafkaException). What the
client says about its own threads when it ends is kept out of the notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ANSWER_TIMEOUT_S = 30


def create_topic(
    bootstrap: str, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None
) -> None:
    """Creates a topic; `settings` by Kafka's names (`segment.bytes`, ...)."""
    from confluent_kafka.cimpl import NewTopic

    admin = admin_client(bootstrap)
    topic = NewTopic(name, partitions, 1, config=dict(settings or {}))
    admin.create_topics([topic])[name].result(_ANSWER_TIMEOUT_S)


def delete_topic(bootstrap: str, name: str) -> None:
    """Deletes a topic."""
    admin = admin_client(bootstrap)
    admin.delete_topics([name])[name].result(_ANSWER_TIMEOUT_S)


def alter_topic(bootstrap: str, name: str, settings: Mapping[str, str]) -> None:
    """Sets some of a topic's settings and leaves the others alone."""
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ResourceType,
    )

    change = AlterConfigOpType.SET
    entries = [ConfigEntry(k, v, incremental_operation=change) for k, v in settings.items()]
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    admin = admin_client(bootstrap)
    admin.incremental_alter_configs([resource])[resource].result(_ANSWER_TIMEOUT_S)


def delete_records_before(bootstrap: str, name: str, offset: int) -> None:
    """Moves the log start offset of partition 0 forward: what lies before it may be deleted."""
    from confluent_kafka import TopicPartition

    admin = admin_client(bootstrap)
    until = TopicPartition(name, 0, offset)
    admin.delete_records([until])[until].result(_ANSWER_TIMEOUT_S)


def admin_client(bootstrap: str) -> Any:
    """A client that has to be kept until the answer is there: it ends when nobody holds it."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})  # 3: errors
