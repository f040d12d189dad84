"""Arithmetic: which partition a record belongs to, and which brokers store a partition's replicas.

Nothing here touches a disk, a socket or a broker; a cluster is a few numbers and names. That is no
simplification of the labs: Kafka decides both questions by the same arithmetic, once by the client
for each record, once by the controller when a topic is created.

| module             | answers                                                                  |
|--------------------|--------------------------------------------------------------------------|
| `partitioners`     | key -> partition: Java's murmur2, librdkafka's CRC-32, no key: sticky    |
| `shifted_replicas` | partition -> brokers, as Kafka did it in the days of ZooKeeper           |
| `striped_replicas` | partition -> brokers, as KRaft controllers do it now                     |
"""

from __future__ import annotations

from collections.abc import Mapping

Replicas = Mapping[int, tuple[int, ...]]
"""Partition -> brokers that store it, the preferred leader first."""
