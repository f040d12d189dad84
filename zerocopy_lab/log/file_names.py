"""What the names in a log directory say, and how to make them.

    <log.dir>/
        flights-0/                        a partition: topic, dash, number
            00000000000000000000.log      batches from base offset 0 on
            00000000000000000000.index    a few of their offsets -> positions
            00000000000000000000.timeindex
            00000000000000004711.snapshot what is known about the producers at offset 4711
            leader-epoch-checkpoint  partition.metadata
        flights-1.6f0c...-delete/         a partition that was deleted, until its files are gone
        meta.properties  recovery-point-offset-checkpoint  ...

Twenty zero-padded digits make the alphabetical order of the names the order of the offsets. A base
offset is in no file's content: lose the name and you lose the offsets of the index.

Source: Kafka's `LogFileUtils`, `LocalLog.parseTopicPartitionName`, `Topic.validate`.
"""

from __future__ import annotations

import re
import uuid
from typing import NamedTuple

from zerocopy_lab.errors import InvalidTopic

LOG_SUFFIX = ".log"
OFFSET_INDEX_SUFFIX = ".index"
TIME_INDEX_SUFFIX = ".timeindex"
SNAPSHOT_SUFFIX = ".snapshot"
SEGMENT_SUFFIXES = (LOG_SUFFIX, OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX)
DELETED_SUFFIX = ".deleted"  # out of use, waiting for file.delete.delay.ms
CLEANED_SUFFIX = ".cleaned"  # compaction is still writing it: worthless after a crash
SWAP_SUFFIX = (
    ".swap"  # compaction has finished it: takes the place of the originals, also after a crash
)
DELETED_DIRECTORY_SUFFIX = "-delete"

LEADER_EPOCH_FILE = "leader-epoch-checkpoint"
PARTITION_METADATA_FILE = "partition.metadata"

#: A broker's own: clients read them, and do not write into them (Kafka's `Topic.isInternal`).
INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})
#: KRaft's own log lies in a Kafka's log.dir as well. It is no topic, and not all its files are
#: segments.
CLUSTER_METADATA_TOPIC = "__cluster_metadata"

LONGEST_TOPIC_NAME = 249  # a directory name of 255 minus a dash and five digits
_LEGAL_TOPIC = re.compile(r"[a-zA-Z0-9._-]+")
_DELETED_DIRECTORY = re.compile(r".+-\d+\.[0-9a-f]{32}-delete")
_SEGMENT_FILE = re.compile(r"(\d{20})(\.log|\.index|\.timeindex|\.snapshot)")


class TopicPartition(NamedTuple):
    """A partition, and the name of its directory."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


def check_topic_name(topic: str) -> None:
    """Raise InvalidTopic unless the name is legal, and therefore safe as a directory's name."""
    if not topic or len(topic) > LONGEST_TOPIC_NAME:
        raise InvalidTopic(
            f"topic name of {len(topic)} characters; it must have 1 to {LONGEST_TOPIC_NAME}"
        )
    if topic in (".", "..") or not _LEGAL_TOPIC.fullmatch(topic):
        raise InvalidTopic(
            f"topic name {topic!r}: only letters, digits, '.', '_' and '-' are legal, "
            "and neither '.' nor '..'"
        )
    if topic == CLUSTER_METADATA_TOPIC:
        raise InvalidTopic(f"{topic} is the name of KRaft's own log")


def parse_partition_directory(name: str) -> TopicPartition | None:
    """The partition whose directory has this name, or None when it is no partition's."""
    topic, dash, number = name.rpartition("-")
    if not dash or not number.isascii() or not number.isdecimal() or str(int(number)) != number:
        return None
    if len(topic) > LONGEST_TOPIC_NAME or not _LEGAL_TOPIC.fullmatch(topic):
        return None
    return TopicPartition(topic, int(number))


def name_of_deleted(key: TopicPartition) -> str:
    """A new name for a deleted partition's directory. As in Kafka, of a long topic's name only the
    beginning is kept: a name has 255 characters at most.
    """
    mark = f"-{key.partition}.{uuid.uuid4().hex}{DELETED_DIRECTORY_SUFFIX}"
    return key.topic[: 255 - len(mark)] + mark


def is_name_of_deleted(name: str) -> bool:
    """Whether `name_of_deleted`, or a Kafka, gave this name."""
    return _DELETED_DIRECTORY.fullmatch(name) is not None


def segment_file(base_offset: int, suffix: str) -> str:
    """The name of a segment's file: 20 digits and a suffix."""
    return f"{base_offset:020d}{suffix}"


def parse_segment_file(name: str) -> tuple[int, str] | None:
    """(base offset, suffix) of a segment's file or snapshot, or None for any other name."""
    matched = _SEGMENT_FILE.fullmatch(name)
    return (int(matched[1]), matched[2]) if matched else None
