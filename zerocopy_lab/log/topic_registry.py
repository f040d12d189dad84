"""Which topics there are, and what was set for each: `topics.json` in every `log.dir`.

Kafka keeps this in its metadata log (`__cluster_metadata`), which a single broker does not need.
The file is replaced as a whole at every change, in every directory; when they differ after a
crash, the one with the highest revision counts.

    {"revision": 3, "topics": {
        "flights": {"id": "Wn3c...", "partitions": 2, "overrides": {"segment.bytes": "1048576"}}}}

Kafka ignores the file, as it ignores everything in a `log.dir` that is no directory. Where it is
missing or damaged, the topics are taken from the partitions' directories; only the overrides are
then gone, and that is said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
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


def write_topics(directory: Path, revision: int, topics: dict[str, TopicInfo]) -> None:
    """Replace the file in a `log.dir`. Raises OSError."""
    described = {
        name: {
            "id": format_id(topic.topic_id),
            "partitions": topic.partitions,
            "overrides": dict(topic.settings.overrides),
        }
        for name, topic in sorted(topics.items())
    }
    content = json.dumps({"revision": revision, "topics": described}, indent=1)
    replace_file(directory / TOPICS_FILE, content.encode())


def read_topics(
    directories: Iterable[Path], defaults: TopicSettings
) -> tuple[int, dict[str, TopicInfo]]:
    """(revision, topics) of the newest file that is whole; (0, {}) when there is none. Raises
    OSError.
    """
    newest: tuple[int, dict[str, TopicInfo]] = (0, {})
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
        newest = max(newest, found, key=lambda candidate: candidate[0])
    return newest


def _parse(content: bytes, defaults: TopicSettings) -> tuple[int, dict[str, TopicInfo]]:
    described: Any = json.loads(content)
    topics = {
        name: TopicInfo(
            parse_id(topic["id"]),
            int(topic["partitions"]),
            TopicSettings.from_kafka(topic["overrides"], defaults),
        )
        for name, topic in described["topics"].items()
    }
    return int(described["revision"]), topics
