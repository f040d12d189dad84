"""The broker's settings, by Kafka's names where Kafka has them.

Defaults are Kafka's, with three exceptions that suit a machine for learning: it listens on the
loopback only, a new topic is created on first use with one partition (as Kafka's own default), and
socket buffers are left to the operating system.

The settings under "mechanisms" exist to be taken away: a lab measures what a mechanism is worth by
switching it off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zerocopy_lab.log.settings import TopicSettings


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """Kafka's broker settings for groups, with its defaults.

    Three differ, because a few labs share one small broker: the log of committed offsets has one
    partition instead of 50, and small segments, so that it is read again in no time; and nobody
    waits for others before the first rebalance (3 s in Kafka, 0 in its quick start's settings).
    """

    group_min_session_timeout_ms: int = 6_000
    group_max_session_timeout_ms: int = 1_800_000
    group_max_size: int = 2**31 - 1
    group_initial_rebalance_delay_ms: int = 0
    #: Of the new protocol, in which the broker says how often it wants to hear of a member.
    group_consumer_session_timeout_ms: int = 45_000
    group_consumer_heartbeat_interval_ms: int = 5_000
    group_consumer_max_size: int = 2**31 - 1
    offset_metadata_max_bytes: int = 4096
    offsets_topic_num_partitions: int = 1
    offsets_topic_segment_bytes: int = 1 << 20
    offsets_retention_minutes: int = 7 * 24 * 60
    offsets_retention_check_interval_ms: int = 600_000


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    """Everything a broker is told before it starts."""

    log_dirs: tuple[Path, ...]
    node_id: int = 0
    num_partitions: int = 1
    auto_create_topics_enable: bool = True
    #: Of all topics together. Kafka knows no such setting; a partition costs files and memory.
    max_partitions: int = 20_000
    #: What every topic has unless it says otherwise.
    topic_defaults: TopicSettings = field(default_factory=TopicSettings)
    groups: GroupSettings = field(default_factory=GroupSettings)
    #: Names and passwords, for listeners with SASL.
    sasl_users: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: How long who failed to authenticate waits to hear so (KIP-306).
    connection_failed_authentication_delay_ms: int = 100
    #: Which batches of producers are opened: sample, always or never (`log.batch_rules`).
    batch_validation: str = "sample"
    #: No fetch response is larger, whatever the client asks for (Kafka's default).
    fetch_max_bytes: int = 57_671_680
    log_retention_check_interval_ms: int = 1_000
    #: Fetches of what is not in memory wait for the disk in so many threads of their own; with 0
    #: the network thread waits, and with it all its clients, as in Kafka (`broker.cold_reads`). So
    #: it does where nobody can tell what is in memory.
    cold_read_threads: int = 4
