"""Which topics there are, and what was set for each: `topics.json` in every `log.dir`.

Kafka keeps this in its metadata log (`__cluster_metadata`), which a single broker does not need.
The file is replaced as a whole at every change, in every directory; when they differ after a
crash, the one with the highest revision counts.

    {"revision": 3, "topics": {
        "flights": {"id": "Wn3c...", "partitions": 2, "overrides": {"segment.bytes": "1048576"}}}}

A topic that is being deleted is named by its id, in "deleting", until its last directory is out of
the way: those that a crash has left, or that are on a disk that is away, go at a later start.

Kafka ignores the file, as it ignores everything in a `log.dir` that is no directory. Where it is
missing or damaged, the topics are taken from the partitions' directories; only the overrides are
then gone, and that is said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from zerocopy_lab.log.atomic_file import replace_file
from zerocopy_lab.log.identity_files import format_id, parse_id
from zerocopy_lab.log.settings import TopicSettings

_LOGGER = logging.getLogger(__name__)
TOPICS_FILE = "topics.json"


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic: how many partitions it has and what is set for it."""

    topic_id: UUID
    partitions: int
    settings: TopicSettings


class Registry(NamedTuple):
    """What the file says."""

    revision: int
    topics: Mapping[str, TopicInfo]
    deleting: frozenset[UUID] = frozenset()


def write_topics(directory: Path, registry: Registry) -> None:
    """Replace the file in a `log.dir`. Raises OSError."""
    described = {
        name: {
            "id": format_id(topic.topic_id),
            "partitions": topic.partitions,
            "overrides": dict(topic.settings.overrides),
        }
        for name, topic in sorted(registry.topics.items())
    }
    whole: dict[str, Any] = {"revision": registry.revision, "topics": described}
    if registry.deleting:
        whole["deleting"] = sorted(map(format_id, registry.deleting))
    content = json.dumps(whole, indent=1)
    replace_file(directory / TOPICS_FILE, content.encode())


def read_topics(directories: Iterable[Path], defaults: TopicSettings) -> Registry:
    """The newest file that is whole; one without topics when there is none. Raises OSError."""
    newest = Registry(0, {})
    for directory in directories:
        path = directory / TOPICS_FILE
        try:
            found = _parse(path.read_bytes(), defaults)
        except FileNotFoundError:
            continue
        except Exception as error:  # whatever a damaged file makes the parsers say
            _LOGGER.error(
                "%s cannot be used (%s): topics are taken from the directories", path, error
            )
            continue
        newest = max(newest, found, key=attrgetter("revision"))
    return newest


def _parse(content: bytes, defaults: TopicSettings) -> Registry:
    described: Any = json.loads(content)
    topics = {
        name: TopicInfo(
            parse_id(topic["id"]),
            int(topic["partitions"]),
            TopicSettings.from_kafka(topic["overrides"], defaults),
        )
        for name, topic in described["topics"].items()
    }
    deleting = frozenset(map(parse_id, described.get("deleting", ())))
    return Registry(int(described["revision"]), topics, deleting)
