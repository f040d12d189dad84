"""One look at a running broker, as plain values: what it says, what its disk and the kernel say.

What the broker says comes through Kafka's own admin client (topics, offsets, settings), what its
disk says from its directory (segments, bytes), what the kernel says from the page cache and from
/proc (pages in memory, dirty pages, CPU). Rates are the difference of two looks.

Left out: what other data directories of the same broker hold, and its groups.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from zerocopy_lab.instruments.page_residency import PAGE_BYTES, page_counts
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.topic_admin import admin_client

_ANSWER_TIMEOUT_S = 10
_SETTINGS = ("retention.ms", "retention.bytes", "segment.bytes", "cleanup.policy")


class Watched(Protocol):
    """What a broker must have to be looked at."""

    @property
    def bootstrap(self) -> str:
        """HOST:PORT."""

    @property
    def pid(self) -> int:
        """Its process."""

    data_dir: Path


class OnDisk(NamedTuple):
    """A partition's files: how many segments, their bytes, how many of these are in memory."""

    segments: int
    log_bytes: int
    resident_bytes: int | None
    dirty_bytes: int | None


class PartitionRow(NamedTuple):
    """One partition: offsets from the broker, files from its disk, pages from the kernel."""

    topic: str
    partition: int
    first_offset: int
    end_offset: int
    files: OnDisk

    @property
    def name(self) -> str:
        """As its directory is called."""
        return f"{self.topic}-{self.partition}"


class View(NamedTuple):
    """One look at a broker."""

    at_s: float
    broker_cpu_s: float
    partitions: tuple[PartitionRow, ...]
    settings: Mapping[str, Mapping[str, str]]
    """topic -> setting -> value"""


def look(broker: Watched) -> View:
    """Asks the broker, its disk and the kernel. Raises KafkaException, BrokerNotRunning.

    The cluster's own topics (`__consumer_offsets`) come last.
    """
    broker_cpu_s = cpu_seconds(broker.pid)
    admin = admin_client(broker.bootstrap)
    topics = admin.list_topics(timeout=_ANSWER_TIMEOUT_S).topics
    rows = _offsets(admin, [(name, p) for name, topic in topics.items() for p in topic.partitions])
    partitions = tuple(
        PartitionRow(*of, first, end, _on_disk(broker.data_dir, *of))
        for of, (first, end) in sorted(
            rows.items(), key=lambda row: (row[0][0][:2] == "__", row[0])
        )
    )
    settings = _settings(admin, list(topics))
    return View(time.monotonic(), broker_cpu_s, partitions, settings)


def _offsets(admin: Any, of: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
    """(topic, partition) -> first offset and the one after the last."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

    partitions = [TopicPartition(*each) for each in of]
    if not partitions:
        return {}
    ends = []
    specs: Any = OffsetSpec  # untyped
    for spec in (specs.earliest(), specs.latest()):
        asked = admin.list_offsets(dict.fromkeys(partitions, spec))
        answers = {p: future.result(_ANSWER_TIMEOUT_S).offset for p, future in asked.items()}
        ends.append({(p.topic, p.partition): offset for p, offset in answers.items()})
    return {each: (ends[0][each], ends[1][each]) for each in of}


def _settings(admin: Any, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

    if not topics:
        return {}
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics])
    return {
        resource.name: {
            name: entry.value
            for name, entry in future.result(_ANSWER_TIMEOUT_S).items()
            if name in _SETTINGS
        }
        for resource, future in asked.items()
    }


def _on_disk(data_dir: Path, topic: str, partition: int) -> OnDisk:
    """What is in the partition's directory now; None: the kernel does not tell."""
    segments = list((data_dir / f"{topic}-{partition}").glob("*.log"))
    try:
        log_bytes = sum(path.stat().st_size for path in segments)
        counts = [page_counts(path) for path in segments]
    except FileNotFoundError:  # retention was faster than we: look again
        return _on_disk(data_dir, topic, partition)
    except Unavailable:
        return OnDisk(len(segments), log_bytes, None, None)
    resident, dirty = (
        min(log_bytes, PAGE_BYTES * sum(getattr(each, state) or 0 for each in counts))
        for state in ("resident", "dirty")
    )
    return OnDisk(len(segments), log_bytes, resident, dirty)
