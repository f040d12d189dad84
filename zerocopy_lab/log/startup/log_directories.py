"""All logs of a broker: its `log.dirs`, the topics, and the partitions in them.

    topics.json: "flights" has 2 partitions ----> /disk1/flights-0   /disk2/flights-1
    a new partition goes to the directory that has the fewest, whatever their sizes (Kafka's rule)

Finding a partition (`get`) is a dictionary look-up. Everything else here is rare and takes one
lock.

What cannot be used goes offline alone, with a reason: a directory (`offline`), or a partition
whose files are damaged (`refused`). Kafka: `LogManager`.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from zerocopy_lab.errors import (
    InvalidPartitions,
    KafkaStorageError,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log.atomic_file import passes, sync_directory
from zerocopy_lab.log.file_names import (
    DELETED_DIRECTORY_SUFFIX,
    TopicPartition,
    check_topic_name,
    name_of_deleted,
    parse_partition_directory,
)
from zerocopy_lab.log.open_files import OpenFiles, share_of_descriptors
from zerocopy_lab.log.partition_log import PartitionLog, wall_clock_ms
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.identity_files import (
    cluster_id_in,
    load_topic_id,
    new_id,
    save_topic_id,
)
from zerocopy_lab.log.startup.loading import Checkpoints, DamagedLog, load_partition
from zerocopy_lab.log.startup.log_directory import DirectoryUnusable, LogDirectory
from zerocopy_lab.log.startup.topic_registry import Registry, TopicInfo, read_topics, write_topics
from zerocopy_lab.log.upkeep.housekeeping_round import Rounds, logged

_LOGGER = logging.getLogger(__name__)
CHECKPOINT_INTERVAL_MS = 60_000  # Kafka's log.flush.offset.checkpoint.interval.ms
# KRaft's own log lies in a Kafka's log.dir as well. It is no topic, and not all its files are
# segments.
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
        self._revision, self._registry = 0, Registry()
        self._logs: dict[tuple[str, int], PartitionLog] = {}
        self._condemned: list[tuple[int, Path]] = []  # directories of deleted partitions, and when
        self._last_checkpoint_ms = clock_ms()
        self._rounds = Rounds(self.open_files, clock_ms())

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

        A directory that cannot be used is in `offline` afterwards. Raises KafkaStorageError when
        none can be used.
        """
        limit = max_open_files or share_of_descriptors()
        logs = cls(defaults or TopicSettings(), limit, clock_ms)
        logs.cluster_id = cluster_id or cluster_id_in(directories) or new_id()
        for path in directories:
            try:
                logs._directories[path] = LogDirectory.open(path, node_id, logs.cluster_id)
            except (DirectoryUnusable, OSError) as error:
                logs._take_offline(path, str(error))
        if not logs._directories:
            raise KafkaStorageError(
                f"no log directory can be used: {'; '.join(logs._offline.values())}"
            )
        logs._revision, written_down = read_topics(logs._directories, logs.defaults)
        logs._registry = written_down
        for directory in list(logs._directories.values()):
            logs._load_all(directory)
        logs._after_loading(written_down)
        return logs

    # Finding

    def get(self, topic: str, partition: int) -> PartitionLog | None:
        """The log of a partition, None when there is none (or none that can be used: see
        `find`).
        """
        return self._logs.get((topic, partition))

    def find(self, topic: str, partition: int) -> PartitionLog:
        """The log of a partition. Raises UnknownTopicOrPartition, KafkaStorageError (known, but
        unusable: why).
        """
        found = self._logs.get((topic, partition))
        if found is not None:
            return found
        if not 0 <= partition < self._registry.partition_count(topic):
            raise UnknownTopicOrPartition(f"{topic}-{partition}")
        key = TopicPartition(topic, partition)
        raise KafkaStorageError(self._refused.get(key, f"{key} is in a directory that is offline"))

    def topics(self) -> Mapping[str, TopicInfo]:
        """All topics by name, as of now."""
        return MappingProxyType(self._registry.topics)

    def partitions_of(self, topic: str) -> list[int]:
        """The partitions of a topic, [] when there is none of this name."""
        return list(range(self._registry.partition_count(topic)))

    def logs(self) -> list[PartitionLog]:
        """Every log that is open."""
        return list(self._logs.values())

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories in use."""
        return tuple(self._directories)

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
        """Make a topic. Raises InvalidTopic, TopicAlreadyExists, InvalidPartitions, InvalidConfig,
        KafkaStorageError.
        """
        check_topic_name(topic)
        if partition_count < 1:
            raise InvalidPartitions(
                f"{partition_count} partitions for {topic}; at least 1 is needed"
            )
        settings = TopicSettings.from_kafka(overrides or {}, self.defaults)
        with self._lock:
            if topic in self._registry.topics:
                raise TopicAlreadyExists(f"there is a topic {topic} already")
            info = TopicInfo(uuid.uuid4(), partition_count, settings)
            self._change(self._registry.with_topic(topic, info), f"create {topic}")
            return info

    def add_partitions(self, topic: str, new_total: int) -> TopicInfo:
        """Give a topic more partitions. Raises UnknownTopicOrPartition, InvalidPartitions,
        KafkaStorageError.
        """
        with self._lock:
            known = self._registry.known(topic)
            if new_total <= known.partitions:
                raise InvalidPartitions(
                    f"{topic} has {known.partitions} partitions, {new_total} would not be more"
                )
            info = replace(known, partitions=new_total)
            self._change(self._registry.with_topic(topic, info), f"extend {topic}")
            return info

    def alter_settings(self, topic: str, overrides: Mapping[str, str]) -> TopicInfo:
        """Make these the topic's overrides, instead of what was set before; in force at once.

        Raises UnknownTopicOrPartition, InvalidConfig, KafkaStorageError.
        """
        settings = TopicSettings.from_kafka(overrides, self.defaults)
        with self._lock:
            info = replace(self._registry.known(topic), settings=settings)
            self._change(self._registry.with_topic(topic, info), f"alter {topic}")
            for partition in range(info.partitions):
                if log := self.get(topic, partition):
                    log.settings = settings
            return info

    def delete_topic(self, topic: str) -> None:
        """Remove a topic: for clients at once, its files after `file.delete.delay.ms`. Raises
        UnknownTopicOrPartition.
        """
        with self._lock:
            known = self._registry.known(topic)
            self._change(self._registry.without(topic), f"delete {topic}")
            are_aside = [
                self._delete_partition(TopicPartition(topic, partition))
                for partition in range(known.partitions)
            ]
            for directory in self._directories.values():
                with logged(f"writing checkpoints in {directory.path}"):
                    directory.write_checkpoints(_inside(directory, self.logs()))
            if all(are_aside):
                with logged(f"writing down that {topic} is gone"):
                    self._write(self._registry.cleared_of(known.topic_id))

    def _delete_partition(self, key: TopicPartition) -> bool:
        """Whether its directory is out of the way; not if it was refused, or its disk is away."""
        is_aside = False
        self._refused.pop(key, None)
        log = self._logs.pop(key, None)
        if log is not None:
            with logged(f"removing {log.directory}"), self._failing(log.directory.parent):
                self._remove(log)
                is_aside = True
        return is_aside

    def _change(self, registry: Registry, action: str) -> None:
        """Make the partitions, then write the new state of affairs down: from then on it is true.

        On an error everything is as before.
        """
        before = self._registry
        try:
            self._create_missing(registry)
            self._write(registry)
        except OSError as error:
            for key in [key for key in self._logs if key[1] >= before.partition_count(key[0])]:
                self._remove(self._logs.pop(key))
            with logged(f"taking back: {action}"):
                self._write(before)
            raise KafkaStorageError(f"cannot {action}: {error}") from error

    def _write(self, registry: Registry) -> None:
        self._revision += 1
        for path in self._directories:
            write_topics(path, self._revision, registry)
        self._registry = registry

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
                if key is None:
                    _LOGGER.warning(
                        "%s is no partition's directory: left alone", directory.path / name
                    )
                elif key.topic != _NOT_A_TOPIC:
                    self._load(directory, key)
        except OSError as error:
            self._take_offline(directory.path, str(error))

    def _load(self, directory: LogDirectory, key: TopicPartition) -> None:
        path = directory.path / str(key)
        try:
            if key in self._logs:
                raise DamagedLog(f"{path}: {key} is in {self._logs[key].directory} as well")
            topic_id = load_topic_id(path)
            if topic_id in self._registry.deleting:
                _finish_deletion(path, key)
                return
            known = self._registry.topics.get(key.topic)
            if known is not None and topic_id is not None and topic_id != known.topic_id:
                raise DamagedLog(f"{path} belongs to an older topic of the same name ({topic_id})")
            topic_id = topic_id or (known.topic_id if known else uuid.uuid4())
            self._registry = self._registry.adopting(key, topic_id, self.defaults)
            self._open_partition(
                directory,
                key,
                self._registry.topics[key.topic],
                Checkpoints(
                    directory.was_clean,
                    directory.recovery_points.get(key, 0),
                    directory.log_starts.get(key, 0),
                    directory.cleaned.get(key),
                ),
            )
        except (DamagedLog, ValueError) as error:
            _LOGGER.error("%s stays offline: %s", key, error)
            self._refused[key] = str(error)

    def _open_partition(
        self,
        directory: LogDirectory,
        key: TopicPartition,
        info: TopicInfo,
        checkpoints: Checkpoints,
    ) -> None:
        path = directory.path / str(key)
        self._logs[key] = load_partition(
            path,
            key,
            info.topic_id,
            info.settings,
            checkpoints,
            open_files=self.open_files,
            on_failure=lambda error: self._take_offline(directory.path, str(error)),
            clock_ms=self._clock_ms,
        )

    def _after_loading(self, written_down: Registry) -> None:
        """Make what is announced but not there, and write down what is there but not announced."""
        if not self._offline:
            self._registry = self._registry._replace(deleting=frozenset())  # nothing is left
        for key in self._missing(self._registry):
            if self._offline:
                self._refused[key] = f"{key} may be in {', '.join(map(str, self._offline))}"
            else:
                _LOGGER.warning("%s has no directory: made anew, and empty", key)
        self._create_missing(self._registry)
        if self._registry != written_down:
            with logged("writing down the topics that were found"):
                self._write(self._registry)
        logs = self.logs()
        for directory in list(self._directories.values()):
            if not directory.was_clean:  # recovery may have found less than they promise
                with logged(f"writing checkpoints in {directory.path}"):
                    directory.write_checkpoints(_inside(directory, logs))

    def _missing(self, registry: Registry) -> list[TopicPartition]:
        return [
            key
            for key in registry.partitions()
            if key not in self._logs and key not in self._refused
        ]

    def _create_missing(self, registry: Registry) -> None:
        missing = self._missing(registry)
        if not missing:
            return
        if not self._directories:
            raise KafkaStorageError("every log directory is offline")
        counts = dict.fromkeys(self._directories, 0)
        for log in self._logs.values():
            if log.directory.parent in counts:
                counts[log.directory.parent] += 1
        for key in missing:
            path = min(counts, key=lambda path: counts[path])
            self._create_partition(self._directories[path], key, registry.topics[key.topic])
            counts[path] += 1
        for path in self._directories:
            sync_directory(path)

    def _create_partition(
        self, directory: LogDirectory, key: TopicPartition, info: TopicInfo
    ) -> None:
        path = directory.path / str(key)
        path.mkdir()
        try:
            save_topic_id(path, info.topic_id)
            # A new one: what the checkpoints say of an older topic of this name does not apply.
            self._open_partition(directory, key, info, Checkpoints(was_clean=True))
        except OSError:
            shutil.rmtree(path, ignore_errors=True)  # it holds nothing yet
            raise

    def _remove(self, log: PartitionLog) -> None:
        """Put a partition's directory aside; housekeeping removes it after the delay."""
        key = TopicPartition(log.topic, log.partition)
        aside = log.directory.with_name(name_of_deleted(key))
        log.move_aside(aside, UnknownTopicOrPartition(f"{key} was deleted"))
        self._condemned.append((self._clock_ms() + log.settings.file_delete_delay_ms, aside))

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
        """Flush by time, delete, compact, write checkpoints; to be called about every second.

        What goes wrong with one partition is logged and does not keep the others waiting.
        """
        self._rounds.look_after(self.logs(), now_ms)
        self._write_checkpoints(now_ms)
        self._remove_directories(now_ms)

    def _write_checkpoints(self, now_ms: int) -> None:
        is_due = now_ms - self._last_checkpoint_ms >= CHECKPOINT_INTERVAL_MS
        with self._lock:  # else a topic that is deleted meanwhile would be written down again
            logs = self.logs()
            for directory in list(self._directories.values()):
                inside = _inside(directory, logs)
                action = f"writing checkpoints in {directory.path}"
                with logged(action), self._failing(directory.path):
                    directory.write_checkpoints(inside, all_of_them=is_due)
        if is_due:
            self._last_checkpoint_ms = now_ms

    def _remove_directories(self, now_ms: int) -> None:
        with self._lock:
            due = [path for due_ms, path in self._condemned if due_ms <= now_ms]
            self._condemned = [item for item in self._condemned if item[0] > now_ms]
        for path in due:
            with logged(f"removing {path}"), self._failing(path.parent):
                shutil.rmtree(path)

    @contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        """An error of the disk takes the directory offline; a full disk only has to wait."""
        try:
            yield
        except OSError as error:
            self.failed(path, error)
            raise

    def failed(self, path: Path, error: OSError) -> None:
        """Something in the directory `path` failed: unless that passes, it goes offline."""
        if not passes(error):
            self._take_offline(path, str(error))

    def close(self) -> None:
        """Force everything to disk and mark the directories as in order."""
        with self._lock:
            directories, self._directories = list(self._directories.values()), {}
        logs = self.logs()  # not under the lock: a log that fails wants it
        for directory in directories:
            inside = _inside(directory, logs)
            try:
                for log in inside:
                    log.close()
                directory.write_checkpoints(inside)
                if not self._refused_in(directory):
                    directory.mark_clean()
            except OSError as error:
                _LOGGER.error("%s could not be closed in good order: %s", directory.path, error)
            finally:
                directory.release()
        self._logs.clear()

    def _refused_in(self, directory: LogDirectory) -> list[TopicPartition]:
        """Partitions that nobody has recovered yet: with the marker nobody ever would."""
        return [key for key in self._refused if (directory.path / str(key)).is_dir()]


def _finish_deletion(path: Path, key: TopicPartition) -> None:
    """Remove the directory of a topic that was deleted. A crash must not leave half of it under its
    old name.
    """
    _LOGGER.info("%s belongs to a topic that was deleted: removed", path)
    aside = path.with_name(name_of_deleted(key))
    path.rename(aside)
    shutil.rmtree(aside)


def _inside(directory: LogDirectory, logs: Iterable[PartitionLog]) -> list[PartitionLog]:
    return [log for log in logs if log.directory.parent == directory.path]
