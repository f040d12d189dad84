"""What a broker says of its own settings, held against what somebody believes of them.

A measurement of "Kafka as it comes" is none when the Kafka that answers was set otherwise. So who
measures asks first, by DescribeConfigs, as any administrator does; a topic's answer has the
broker's defaults in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zerocopy_lab.running.topic_admin import admin_client

_ANSWER_TIMEOUT_S = 30


def described(bootstrap: str, topic: str | None = None) -> dict[str, str]:
    """Every setting that the broker tells, of a topic or (None) of itself, by Kafka's names.

    What it keeps to itself (passwords) is "". Raises KafkaException.
    """
    from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

    admin = admin_client(bootstrap)
    if topic is not None:
        wanted = ConfigResource(ResourceType.TOPIC, topic)
    else:
        [node_id, *_] = admin.list_topics(timeout=_ANSWER_TIMEOUT_S).brokers
        wanted = ConfigResource(ResourceType.BROKER, str(node_id))
    entries: Mapping[str, Any] = admin.describe_configs([wanted])[wanted].result(_ANSWER_TIMEOUT_S)
    return {name: entry.value or "" for name, entry in entries.items()}


def otherwise_set(
    bootstrap: str, believed: Mapping[str, str], topic: str | None = None
) -> list[str]:
    """What is not as believed: `flush.messages of my-topic is 1, not 9223372036854775807`.

    A setting that the broker does not know is none of the differences: it says nothing of it.
    Raises KafkaException.
    """
    told = described(bootstrap, topic)
    whose = f"of {topic}" if topic else "of the broker"
    return [
        f"{name} {whose} is {told[name]}, not {value}"
        for name, value in believed.items()
        if told.get(name, value) != value
    ]
