"""All logs of a broker: its `log.dirs`, the topics, and the partitions in them.

    topics.json: "flights" has 2 partitions ----> /disk1/flights-0   /disk2/flights-1
    a new partition goes to the directory that has the fewest, whatever their sizes (Kafka's rule)

Finding a partition (`get`) is a dictionary look-up. Everything else here is rare and takes one lock.

What cannot be used goes offline alone, with a reason: a directory (`offline`), or a partition whose files are damaged
(`refused`). Kafka: `LogManager`.
"""

from __future__ import annotations

import logging
import os
import resource
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Self
from uuid import UUID

from zerocopy_lab.errors import (
    InvalidPartitions,
    KafkaError,
    KafkaStorageError,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log.atomic_file import sync_directory
from zerocopy_lab.log.file_names import (
    DELETED_DIRECTORY_SUFFIX,
    TopicPartition,
    check_topic_name,
    parse_partition_directory,
)
from zerocopy_lab.log.identity_files import MetaProperties, load_topic_id, new_id, save_topic_id
from zerocopy_lab.log.loading import Checkpoints, DamagedLog, load_partition
from zerocopy_lab.log.log_directory import DirectoryUnusable, LogDirectory
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.log.partition_log import PartitionLog, wall_clock_ms
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.topic_registry import TopicInfo, read_topics, write_topics

_LOGGER = logging.getLogger(__name__)
# KRaft's own log lies in a Kafka's log.dir as well. It is no topic, and its files are not all segments.
_NOT_A_TOPIC = "__cluster_metadata"


class LogDirectories:
    """The logs of one broker. Made by `open`; `close` leaves everything in order."""

    def __init__(
        self,
        defaults: TopicSettings,
        max_open_files: int,
        clock_ms: Callable[[], int],
    ) -> None:
        self.defaults = defaults
        self.cluster_id = ""
        self.open_files = OpenFiles(max_open_files)
        self._clock_ms = clock_ms
        self._lock = threading.RLock()
        self._directories: dict[Path, LogDirectory] = {}
        self._offline: dict[Path, str] = {}
        self._refused: dict[TopicPartition, str] = {}
        self._revision = 0
        self._topics: dict[str, TopicInfo] = {}
        self._logs: dict[tuple[str, int], PartitionLog] = {}

    @classmethod
    def open(
        cls,
        directories: Sequence[Path],
        defaults: TopicSettings | None = None,
        *,
        node_id: int = 0,
        cluster_id: str | None = None,
        max_open_files: int | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> Self:
        """Take the directories and open every log in them, recovering those that were not closed.

        A directory that cannot be used is in `offline` afterwards. Raises KafkaStorageError when none can be used.
        """
        limit = max_open_files or resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4
        logs = cls(defaults or TopicSettings(), limit, clock_ms)
        logs.cluster_id = cluster_id or _cluster_id_in(directories) or new_id()
        for path in directories:
            try:
                logs._directories[path] = LogDirectory.open(path, node_id, logs.cluster_id)
            except (DirectoryUnusable, OSError) as error:
                logs._take_offline(path, str(error))
        if not logs._directories:
            raise KafkaStorageError(
                f"no log directory can be used: {'; '.join(logs._offline.values())}"
            )
        logs._revision, logs._topics = read_topics(logs._directories, logs.defaults)
        for directory in list(logs._directories.values()):
            logs._load_all(directory)
        logs._create_missing()
        return logs

    # Finding

    def get(self, topic: str, partition: int) -> PartitionLog | None:
        """The log of a partition, None when there is none (or none that can be used: see `why_offline`)."""
        return self._logs.get((topic, partition))

    def find(self, topic: str, partition: int) -> PartitionLog:
        """The log of a partition. Raises UnknownTopicOrPartition, KafkaStorageError (known, but unusable: why)."""
        found = self._logs.get((topic, partition))
        if found is not None:
            return found
        info = self._topics.get(topic)
        if info is None or not 0 <= partition < info.partitions:
            raise UnknownTopicOrPartition(f"{topic}-{partition}")
        key = TopicPartition(topic, partition)
        raise KafkaStorageError(self._refused.get(key, f"{key} is in a directory that is offline"))

    def topics(self) -> Mapping[str, TopicInfo]:
        """All topics by name, as of now."""
        return MappingProxyType(self._topics)

    def partitions_of(self, topic: str) -> list[int]:
        """The partitions of a topic, [] when there is none of this name."""
        known = self._topics.get(topic)
        return list(range(known.partitions)) if known else []

    def logs(self) -> list[PartitionLog]:
        """Every log that is open."""
        return list(self._logs.values())

    @property
    def offline(self) -> Mapping[Path, str]:
        """The directories that cannot be used, and why."""
        return MappingProxyType(self._offline)

    @property
    def refused(self) -> Mapping[TopicPartition, str]:
        """The partitions that could not be opened, and why."""
        return MappingProxyType(self._refused)

    # Changing

    def create_topic(
        self, topic: str, partition_count: int, overrides: Mapping[str, str] | None = None
    ) -> TopicInfo:
        """Make a topic. Raises InvalidTopic, TopicAlreadyExists, InvalidPartitions, InvalidConfig, KafkaStorageError."""
        check_topic_name(topic)
        if partition_count < 1:
            raise InvalidPartitions(
                f"{partition_count} partitions for {topic}; at least 1 is needed"
            )
        settings = TopicSettings.from_kafka(overrides or {}, self.defaults)
        with self._lock:
            if topic in self._topics:
                raise TopicAlreadyExists(f"there is a topic {topic} already")
            info = TopicInfo(uuid.uuid4(), partition_count, settings)
            self._change_topics({**self._topics, topic: info}, f"create {topic}")
            return info

    def add_partitions(self, topic: str, new_total: int) -> TopicInfo:
        """Give a topic more partitions. Raises UnknownTopicOrPartition, InvalidPartitions, KafkaStorageError."""
        with self._lock:
            known = self._known(topic)
            if new_total <= known.partitions:
                raise InvalidPartitions(
                    f"{topic} has {known.partitions} partitions, {new_total} would not be more"
                )
            info = replace(known, partitions=new_total)
            self._change_topics({**self._topics, topic: info}, f"extend {topic}")
            return info

    def alter_settings(self, topic: str, overrides: Mapping[str, str]) -> TopicInfo:
        """Make these the topic's overrides, instead of what was set before; in force at once.

        Raises UnknownTopicOrPartition, InvalidConfig, KafkaStorageError.
        """
        settings = TopicSettings.from_kafka(overrides, self.defaults)
        with self._lock:
            info = replace(self._known(topic), settings=settings)
            self._change_topics({**self._topics, topic: info}, f"alter {topic}")
            for partition in range(info.partitions):
                if log := self.get(topic, partition):
                    log.settings = settings
            return info

    def delete_topic(self, topic: str) -> None:
        """Remove a topic: for clients at once, its files after `file.delete.delay.ms`. Raises UnknownTopicOrPartition."""
        with self._lock:
            known = self._known(topic)
            rest = {name: info for name, info in self._topics.items() if name != topic}
            self._change_topics(rest, f"delete {topic}")
            for partition in range(known.partitions):
                self._refused.pop(TopicPartition(topic, partition), None)
                log = self._logs.pop((topic, partition), None)
                if log is not None:
                    self._remove(log)

    def _known(self, topic: str) -> TopicInfo:
        known = self._topics.get(topic)
        if known is None:
            raise UnknownTopicOrPartition(f"there is no topic {topic}")
        return known

    def _change_topics(self, topics: dict[str, TopicInfo], action: str) -> None:
        """Write the new state of affairs, then make it so. On an error everything is as before."""
        before = self._topics
        try:
            self._write_topics(topics)
            self._create_missing()
        except OSError as error:
            for key in [key for key in self._logs if key[1] >= _count(before, key[0])]:
                self._remove(self._logs.pop(key))
            self._topics = before
            raise KafkaStorageError(f"cannot {action}: {error}") from error

    def _write_topics(self, topics: dict[str, TopicInfo]) -> None:
        self._revision += 1
        for path in self._directories:
            write_topics(path, self._revision, topics)
        self._topics = topics

    # Partitions

    def _load_all(self, directory: LogDirectory) -> None:
        try:
            with os.scandir(directory.path) as entries:
                found = [entry.name for entry in entries if entry.is_dir()]
            for name in sorted(found):
                if name.endswith(DELETED_DIRECTORY_SUFFIX):
                    shutil.rmtree(directory.path / name)
                    continue
                key = parse_partition_directory(name)
                if key is not None and key.topic != _NOT_A_TOPIC:
                    self._load(directory, key)
        except OSError as error:
            self._take_offline(directory.path, str(error))

    def _load(self, directory: LogDirectory, key: TopicPartition) -> None:
        path = directory.path / str(key)
        try:
            if key in self._logs:
                raise DamagedLog(f"{path}: {key} is in {self._logs[key].directory} as well")
            topic_id = load_topic_id(path)
            known = self._topics.get(key.topic)
            if known is not None and topic_id is not None and topic_id != known.topic_id:
                raise DamagedLog(f"{path} belongs to an older topic of the same name ({topic_id})")
            topic_id = topic_id or (known.topic_id if known else uuid.uuid4())
            self._adopt(key, topic_id)
            self._open_partition(directory, key, topic_id)
        except (DamagedLog, ValueError) as error:
            _LOGGER.error("%s stays offline: %s", key, error)
            self._refused[key] = str(error)

    def _adopt(self, key: TopicPartition, topic_id: UUID) -> None:
        """Partitions that topics.json does not know: it was lost, or they come from a Kafka."""
        known = self._topics.get(key.topic, TopicInfo(topic_id, 0, self.defaults))
        if key.partition >= known.partitions:
            self._topics[key.topic] = replace(known, partitions=key.partition + 1)

    def _open_partition(self, directory: LogDirectory, key: TopicPartition, topic_id: UUID) -> None:
        path = directory.path / str(key)
        self._logs[key] = load_partition(
            path,
            key,
            topic_id,
            self._topics[key.topic].settings,
            Checkpoints(
                directory.was_clean,
                directory.recovery_points.get(key, 0),
                directory.log_starts.get(key, 0),
                key in directory.cleaned,
            ),
            open_files=self.open_files,
            on_failure=lambda error: self._take_offline(directory.path, str(error)),
            clock_ms=self._clock_ms,
        )

    def _create_missing(self) -> None:
        """Make the partitions that are announced but not there, unless they may be in an offline directory."""
        for topic, info in self._topics.items():
            for partition in range(info.partitions):
                key = TopicPartition(topic, partition)
                if key not in self._logs and key not in self._refused:
                    self._create_partition(key, info)

    def _create_partition(self, key: TopicPartition, info: TopicInfo) -> None:
        counts = {path: 0 for path in self._directories}
        for log in self._logs.values():
            if log.directory.parent in counts:
                counts[log.directory.parent] += 1
        directory = self._directories[min(counts, key=lambda path: counts[path])]
        path = directory.path / str(key)
        path.mkdir(exist_ok=True)
        save_topic_id(path, info.topic_id)
        sync_directory(directory.path)
        self._open_partition(directory, key, info.topic_id)

    def _remove(self, log: PartitionLog) -> None:
        """Put a partition's directory aside; housekeeping removes it after the delay."""
        log.go_offline(UnknownTopicOrPartition(f"{log.topic}-{log.partition} was deleted"))
        aside = f".{uuid.uuid4().hex}{DELETED_DIRECTORY_SUFFIX}"
        name = f"{log.topic[: 255 - len(aside) - 12]}-{log.partition}{aside}"
        log.directory.rename(log.directory.with_name(name))

    # Running and stopping

    def _take_offline(self, path: Path, why: str) -> None:
        with self._lock:
            _LOGGER.error("log directory %s goes offline: %s", path, why)
            self._offline[path] = why
            directory = self._directories.pop(path, None)
            if directory is not None:
                directory.release()
            for log in self._logs.values():
                if log.directory.parent == path:
                    log.go_offline(KafkaStorageError(f"log directory {path} is offline: {why}"))

    def housekeeping(self, now_ms: int) -> None:
        """What has to be done from time to time; to be called about every second."""
        self.open_files.close_idle()

    def close(self) -> None:
        """Force everything to disk and mark the directories as in order."""
        with self._lock:
            for path, directory in list(self._directories.items()):
                logs = [log for log in self._logs.values() if log.directory.parent == path]
                try:
                    for log in logs:
                        log.close()
                    directory.write_checkpoints(logs)
                    directory.mark_clean()
                except OSError as error:
                    _LOGGER.error("%s could not be closed in good order: %s", path, error)
                directory.release()
            self._directories.clear()
            self._logs.clear()


def _count(topics: Mapping[str, TopicInfo], topic: str) -> int:
    known = topics.get(topic)
    return known.partitions if known else 0


def _cluster_id_in(directories: Sequence[Path]) -> str | None:
    for path in directories:
        try:
            meta = MetaProperties.load(path)
        except (ValueError, OSError):
            continue  # opening the directory will say what is wrong with it
        if meta is not None:
            return meta.cluster_id
    return None
