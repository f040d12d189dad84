"""All logs of a broker: its `log.dirs`, the topics, and the partitions in them.

    topics.json: "flights" has 2 partitions ----> /disk1/flights-0   /disk2/flights-1
    a new partition goes to the directory that has the fewest, whatever their sizes (Kafka's rule)

A change of the topics is written down first, in every directory, then carried out; a start carries
out what a crash has left undone (topic_registry.py). Everything here is rare and takes one lock;
finding a log (`Partitions`) takes none. Whoever holds the lock waits for no group and no reader.

What cannot be used goes offline alone, with a reason: a directory (`offline`), or a partition
whose files are damaged or cannot be read (`refused`). Kafka: `LogManager`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
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
)
from zerocopy_lab.log.file_names import TopicPartition, check_topic_name
from zerocopy_lab.log.open_files import OpenFiles, share_of_descriptors
from zerocopy_lab.log.partition_log import PartitionLog, wall_clock_ms
from zerocopy_lab.log.partitions import Partitions, TopicInfo
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.identity_files import cluster_id_in, new_id
from zerocopy_lab.log.startup.leftovers import partitions_in
from zerocopy_lab.log.startup.loading import DamagedLog
from zerocopy_lab.log.startup.log_directory import LogDirectory
from zerocopy_lab.log.startup.open_directories import OpenDirectories
from zerocopy_lab.log.startup.partition_directories import PartitionDirectories
from zerocopy_lab.log.startup.topic_registry import Registry
from zerocopy_lab.log.upkeep.housekeeping_round import Rounds

_LOGGER = logging.getLogger(__name__)
RETRY_INTERVAL_MS = 5_000  # a directory whose reason to be offline may be over
CHECKPOINT_INTERVAL_MS = 60_000  # Kafka's log.flush.offset.checkpoint.interval.ms


class LogDirectories(Partitions):
    """The logs of one broker. Made by `open`; `close` leaves everything in order."""

    def __init__(
        self, defaults: TopicSettings, max_open_files: int, clock_ms: Callable[[], int]
    ) -> None:
        super().__init__()
        self._at_start = self.defaults = defaults
        self.cluster_id = ""
        self.open_files = OpenFiles(max_open_files)
        self._directories = OpenDirectories(self._lose)
        self._lock = self._directories.lock
        self._files = PartitionDirectories(self._directories, self.open_files, clock_ms)
        self._registry = Registry()
        self._last_checkpoint_ms = clock_ms()
        self._next_try_ms = clock_ms() + RETRY_INTERVAL_MS
        self._rounds = Rounds(self.open_files, clock_ms(), self._directories.complaints)

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
        logs._directories.open(directories, node_id, logs.cluster_id)
        logs._load_all()
        return logs

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories in use."""
        return tuple(self._directories.online)

    @property
    def offline(self) -> Mapping[Path, str]:
        """The directories that cannot be used, and why."""
        return MappingProxyType(self._directories.offline)

    def failed(self, path: Path, error: OSError) -> None:
        """Something in the directory `path` failed: unless that passes, it goes offline."""
        self._directories.failed(path, error)

    def _lose(self, path: Path, why: str) -> None:
        for log in self.logs():
            if log.directory.parent == path:
                self._refused[TopicPartition(log.topic, log.partition)] = why
                del self._logs[log.topic, log.partition]
                log.go_offline(KafkaStorageError(why))

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
            if topic in self._registry.forgetting:
                raise TopicAlreadyExists(f"the older topic {topic} is still being deleted")
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

    def alter_defaults(self, broker: str, overrides: Mapping[str, str]) -> None:
        """Make these, by their topics' names, the defaults that were set for a broker ("": for all)
        while it runs; in force at once. Raises InvalidConfig, KafkaStorageError.
        """
        with self._lock:
            of_brokers = {**self._registry.of_brokers, broker: MappingProxyType(dict(overrides))}
            defaults = self._registry._replace(of_brokers=of_brokers).defaults(self._at_start)
            topics = {
                topic: replace(
                    info, settings=TopicSettings.from_kafka(info.settings.overrides, defaults)
                )
                for topic, info in self._registry.topics.items()
            }
            changed = self._registry._replace(topics=topics, of_brokers=of_brokers)
            self._change(changed, "alter the broker's settings")
            self.defaults = defaults
            for log in self.logs():
                log.settings = topics[log.topic].settings

    @property
    def of_brokers(self) -> Mapping[str, Mapping[str, str]]:
        """The defaults that were altered, by broker ("" is all of them)."""
        return self._registry.of_brokers

    def delete_topic(self, topic: str, forget: Callable[[str], None] | None = None) -> None:
        """Remove a topic: for clients at once, its files after `file.delete.delay.ms`. `forget`
        removes what others know of it; until it has, there is no new topic of that name.

        Raises UnknownTopicOrPartition, KafkaStorageError, and what `forget` raises: then the
        topic is gone, and to delete it again is to try only that again.
        """
        gone: set[UUID] = set()
        with self._lock:
            if topic not in self._registry.forgetting:
                known = self._registry.known(topic)
                rest = self._registry.without(topic, forgetting=forget is not None)
                self._change(rest, f"delete {topic}")
                if self._clear_away(topic, known):
                    gone.add(known.topic_id)
        if forget is not None:  # outside the lock: groups take theirs first, then ours
            forget(topic)
        self._deleted(topic, gone)

    def finish_deletions(self, forget: Callable[[str], None]) -> None:
        """After the start: what was being deleted when the broker ended (see `delete_topic`)."""
        for topic in self._registry.forgetting:
            with self._directories.complaints.about(f"finishing the deletion of {topic}"):
                forget(topic)
                self._deleted(topic, set())

    def _deleted(self, topic: str, gone: Set[UUID]) -> None:
        with self._lock:
            now = self._registry
            done = now._replace(deleting=now.deleting - gone, forgetting=now.forgetting - {topic})
            if now.forgetting != done.forgetting:
                self._change(done, f"finish the deletion of {topic}")
            elif done != now:
                self._know(done)
                with self._directories.complaints.about(f"writing down that {topic} is gone"):
                    self._directories.write_topics(done)

    def _clear_away(self, topic: str, known: TopicInfo) -> bool:
        """Put the directories aside; whether all of them are, so that its id can be forgotten."""
        are_aside = []
        for key in (TopicPartition(topic, partition) for partition in range(known.partitions)):
            self._refused.pop(key, None)
            are_aside.append(self._files.delete(key, self._logs.pop(key, None), known))
        self._directories.write_checkpoints(self.logs())
        return all(are_aside)

    def _change(self, registry: Registry, action: str) -> None:
        """Write the new state of affairs down: from then on it is true. Then make the partitions.

        On an error everything is as before.
        """
        before, missing = self._registry, self._missing(registry)
        made: list[PartitionLog] = []
        try:
            self._directories.write_topics(registry)
            if missing:
                made = self._files.create(missing, registry, self.logs())
        except OSError as error:
            stays = {registry.topics[k.topic].topic_id for k in missing if self._files.is_there(k)}
            stays -= {info.topic_id for info in before.topics.values()}
            self._know(before._replace(deleting=before.deleting | stays))
            with self._directories.complaints.about(f"taking back: {action}"):
                self._directories.write_topics(self._registry)
            raise KafkaStorageError(f"cannot {action}: {error}") from error
        self._add(made)
        self._know(registry)

    def _add(self, logs: Iterable[PartitionLog]) -> None:
        self._logs.update({(log.topic, log.partition): log for log in logs})

    def _know(self, registry: Registry) -> None:
        self._registry = registry
        self._publish(registry.topics)

    def _missing(self, registry: Registry) -> list[TopicPartition]:
        return [
            key
            for key in registry.partitions()
            if key not in self._logs and key not in self._refused
        ]

    # Starting

    def _load_all(self) -> None:
        written_down = self._directories.read_topics(self._at_start)
        self.defaults = written_down.defaults(self._at_start)
        self._registry = written_down
        self._take_in(list(self._directories.online.values()))

    def _take_in(self, directories: Iterable[LogDirectory]) -> None:
        """Open what is there, make what is announced but not there, and write down what is there
        but not announced.
        """
        written_down = self._registry
        for directory in directories:
            try:
                for key in partitions_in(directory.path):
                    self._load(directory, key)
            except OSError as error:  # also one that passes: what was not seen is not missing
                self._directories.take_offline(directory.path, error)
        if not self.offline and not self._refused:  # nothing is left of them
            self._registry = self._registry._replace(deleting=frozenset())
        if missing := self._missing(self._registry):
            self._make_anew(missing)
        with self._directories.complaints.about("writing down the topics that were found"):
            self._directories.sync()
            if self._registry != written_down:
                self._directories.write_topics(self._registry)
        self._know(self._registry)
        # Recovery may have found less than they promise.
        self._directories.write_checkpoints(self.logs(), only_unclean=True)

    def _load(self, directory: LogDirectory, key: TopicPartition) -> None:
        path = directory.path / str(key)
        try:
            if key in self._logs:
                raise DamagedLog(f"{path}: {key} is in {self._logs[key].directory} as well")
            topic_id = self._files.identify(path, key, self._registry)
            if topic_id is not None:
                self._registry = self._registry.adopting(key, topic_id, self.defaults)
                info = self._registry.topics[key.topic]
                self._add([self._files.open(directory, key, info)])
        except (DamagedLog, KafkaError, ValueError, OSError) as error:
            self._refuse(key, str(error))

    def _make_anew(self, keys: Sequence[TopicPartition]) -> None:
        if self.offline:
            where = ", ".join(map(str, self.offline))
            self._refused |= {key: f"{key} may be in {where}" for key in keys}
            return
        try:
            made = self._files.create(keys, self._registry, self.logs())
        except OSError as error:
            if len(keys) == 1:
                self._refuse(keys[0], str(error))
                return
            for key in keys:  # not all of them for one
                self._make_anew([key])
            return
        for log in made:
            _LOGGER.warning("%s had no directory: made anew, and empty", log.name)
        self._add(made)

    def _refuse(self, key: TopicPartition, why: str) -> None:
        _LOGGER.error("%s stays offline: %s", key, why)
        self._refused[key] = why

    # Running and stopping

    def housekeeping(self, now_ms: int) -> None:
        """Flush by time, delete, compact, write checkpoints; to be called about every second.

        What goes wrong with one partition is logged and does not keep the others waiting.
        """
        if now_ms >= self._next_try_ms:
            self._next_try_ms = now_ms + RETRY_INTERVAL_MS
            self._bring_back()
        self._rounds.look_after(self.logs(), now_ms)
        is_due = now_ms - self._last_checkpoint_ms >= CHECKPOINT_INTERVAL_MS
        with self._lock:  # else a topic that is deleted meanwhile would be written down again
            self._directories.write_checkpoints(self.logs(), all_of_them=is_due)
            self._directories.repair_topics(self._registry)
        if is_due:
            self._last_checkpoint_ms = now_ms
        self._files.sweep(now_ms)

    def _bring_back(self) -> None:
        with self._lock:
            back = self._directories.bring_back(self._at_start)
            if not back:
                return
            # What was refused because of them is there now, or certain to be nowhere.
            others = self._directories.online.keys() - {directory.path for directory in back}
            self._refused = {
                key: why
                for key, why in self._refused.items()
                if any((path / str(key)).is_dir() for path in others)
            }
            self._take_in(back)
            # They have slept through the changes.
            with self._directories.complaints.about("writing down the topics"):
                self._directories.write_topics(self._registry)

    def close(self) -> None:
        """Force everything to disk and mark the directories as in order."""
        self._directories.close(self.logs(), self._refused)
        self._logs.clear()
