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
import shutil
import threading
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Self
from uuid import UUID

from zerocopy_lab.errors import (
    InvalidPartitions,
    KafkaStorageError,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from zerocopy_lab.log.atomic_file import passes, sync_directory
from zerocopy_lab.log.file_names import TopicPartition, check_topic_name, name_of_deleted
from zerocopy_lab.log.open_files import OpenFiles, share_of_descriptors
from zerocopy_lab.log.partition_log import PartitionLog, wall_clock_ms
from zerocopy_lab.log.partitions import Partitions, TopicInfo
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.identity_files import (
    cluster_id_in,
    load_topic_id,
    new_id,
    save_topic_id,
)
from zerocopy_lab.log.startup.leftovers import PATIENCE_MS, Leftovers, partitions_in, remove
from zerocopy_lab.log.startup.loading import Checkpoints, DamagedLog, load_partition
from zerocopy_lab.log.startup.log_directory import DirectoryUnusable, LogDirectory
from zerocopy_lab.log.startup.topic_registry import Registry, read_topics, write_topics
from zerocopy_lab.log.upkeep.housekeeping_round import Rounds, logged

_LOGGER = logging.getLogger(__name__)
CHECKPOINT_INTERVAL_MS = 60_000  # Kafka's log.flush.offset.checkpoint.interval.ms
#: A directory that nobody announced, "flights-4000000000", must not make us fill the gap before it.
MOST_ADOPTED = 10_000


class LogDirectories(Partitions):
    """The logs of one broker. Made by `open`; `close` leaves everything in order."""

    def __init__(
        self,
        defaults: TopicSettings,
        max_open_files: int,
        clock_ms: Callable[[], int],
    ) -> None:
        super().__init__()
        self._at_start = self.defaults = defaults
        self.cluster_id = ""
        self.open_files = OpenFiles(max_open_files)
        self._clock_ms = clock_ms
        self._lock = threading.RLock()
        self._directories: dict[Path, LogDirectory] = {}
        self._offline: dict[Path, str] = {}
        self._revision, self._registry = 0, Registry()
        self._is_written = True  # else topics.json says what was taken back
        self._leftovers = Leftovers()
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
        logs.defaults = written_down.defaults(logs.defaults)
        for directory in list(logs._directories.values()):
            logs._load_all(directory)
        logs._after_loading(written_down)
        return logs

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories in use."""
        return tuple(self._directories)

    @property
    def offline(self) -> Mapping[Path, str]:
        """The directories that cannot be used, and why."""
        return MappingProxyType(self._offline)

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
            with logged(f"finishing the deletion of {topic}"):
                forget(topic)
                self._deleted(topic, set())

    def _deleted(self, topic: str, gone: Set[UUID]) -> None:
        with self._lock:
            now = self._registry
            done = now._replace(deleting=now.deleting - gone, forgetting=now.forgetting - {topic})
            if now.forgetting != done.forgetting:
                self._change(done, f"finish the deletion of {topic}")
            elif done != now:
                with logged(f"writing down that {topic} is gone"):
                    self._write(done)

    def _clear_away(self, topic: str, known: TopicInfo) -> bool:
        """Put the directories aside; whether all of them are, so that its id can be forgotten."""
        are_aside = [
            self._delete_partition(TopicPartition(topic, partition), known)
            for partition in range(known.partitions)
        ]
        for directory in self._directories.values():
            with logged(f"writing checkpoints in {directory.path}"):
                directory.write_checkpoints(_inside(directory, self.logs()))
        return all(are_aside)

    def _delete_partition(self, key: TopicPartition, info: TopicInfo) -> bool:
        """Whether no directory of it is left under its name, as far as we can see."""
        self._refused.pop(key, None)
        log = self._logs.pop(key, None)
        gone = UnknownTopicOrPartition(f"{key} was deleted")
        delay_ms = info.settings.file_delete_delay_ms
        try:
            if log is not None:
                self._put_aside(
                    key, log.directory, delay_ms, lambda aside: log.move_aside(aside, gone)
                )
            for path in [path / str(key) for path in self._directories]:
                if _is_of(path, (None, info.topic_id)):  # what was refused may lie in any of them
                    self._put_aside(key, path, delay_ms, path.rename)
        except OSError as error:
            _LOGGER.error("removing %s: %s", key, error)
            return False
        return not self._offline

    def _change(self, registry: Registry, action: str) -> None:
        """Write the new state of affairs down: from then on it is true. Then make the partitions.

        On an error everything is as before.
        """
        before, made = self._registry, list[PartitionLog]()
        try:
            self._write(registry, publish=False)
            for key in self._missing(registry):
                made.append(self._create_partition(key, registry.topics[key.topic], made))
            self._sync_directories()
        except OSError as error:
            stays = {log.topic_id for log in made if not self._take_back(log)}
            stays -= {info.topic_id for info in before.topics.values()}
            before = before._replace(deleting=before.deleting | stays)
            with logged(f"taking back: {action}"):
                self._write(before)
            raise KafkaStorageError(f"cannot {action}: {error}") from error
        self._add(made)
        self._know(registry)

    def _take_back(self, log: PartitionLog) -> bool:
        """Nobody has seen it yet. It goes at once: a full disk needs the room to say so."""
        key = TopicPartition(log.topic, log.partition)
        aside = log.directory.with_name(name_of_deleted(key))
        try:
            log.move_aside(aside, UnknownTopicOrPartition(f"{key} could not be made"))
        except OSError as error:
            _LOGGER.error("removing %s: %s", log.directory, error)
            return False
        remove(aside)
        return True

    def _add(self, logs: Iterable[PartitionLog]) -> None:
        self._logs.update({(log.topic, log.partition): log for log in logs})

    def _write(self, registry: Registry, *, publish: bool = True) -> None:
        self._revision += 1
        self._is_written = False
        for path in list(self._directories):
            try:
                with self._failing(path):
                    write_topics(path, self._revision, registry)
            except OSError:
                if path in self._directories or not self._directories:
                    raise
        if not self._directories:
            raise KafkaStorageError("every log directory is offline")
        self._is_written = True
        if publish:
            self._know(registry)

    def _know(self, registry: Registry) -> None:
        self._registry = registry
        self._publish(registry.topics)

    # Partitions

    def _load_all(self, directory: LogDirectory) -> None:
        try:
            for key in partitions_in(directory.path):
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
                self._finish_deletion(path, key)
                return
            known = self._registry.topics.get(key.topic)
            if known is not None and topic_id is not None and topic_id != known.topic_id:
                raise DamagedLog(f"{path} belongs to an older topic of the same name ({topic_id})")
            if known is None and key.partition >= MOST_ADOPTED:
                raise DamagedLog(f"{path}: no topic of so many partitions is known here")
            if topic_id is None:  # a crash while it was made; or a Kafka older than topic ids
                topic_id = known.topic_id if known else uuid.uuid4()
                save_topic_id(path, topic_id)
            self._registry = self._registry.adopting(key, topic_id, self.defaults)
            checkpoints = Checkpoints(
                directory.was_clean,
                directory.recovery_points.get(key, 0),
                directory.log_starts.get(key, 0),
                directory.cleaned.get(key),
            )
            info = self._registry.topics[key.topic]
            self._add([self._open_partition(directory, key, info, checkpoints)])
        except (DamagedLog, ValueError, OSError) as error:
            self._refuse(key, str(error))

    @staticmethod
    def _finish_deletion(path: Path, key: TopicPartition) -> None:
        _LOGGER.info("%s belongs to a topic that was deleted: removed", path)
        aside = path.with_name(name_of_deleted(key))  # half of it must not keep its name
        path.rename(aside)
        remove(aside)

    def _refuse(self, key: TopicPartition, why: str) -> None:
        _LOGGER.error("%s stays offline: %s", key, why)
        self._refused[key] = why

    def _open_partition(
        self,
        directory: LogDirectory,
        key: TopicPartition,
        info: TopicInfo,
        checkpoints: Checkpoints,
    ) -> PartitionLog:
        return load_partition(
            directory.path / str(key),
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
        if not self._offline and not self._refused:  # nothing is left of them
            self._registry = self._registry._replace(deleting=frozenset())
        for key in self._missing(self._registry):
            if self._offline:
                self._refused[key] = f"{key} may be in {', '.join(map(str, self._offline))}"
                continue
            _LOGGER.warning("%s has no directory: made anew, and empty", key)
            try:
                self._add([self._create_partition(key, self._registry.topics[key.topic])])
            except OSError as error:
                self._refuse(key, str(error))
        with logged("writing down the topics that were found"):
            self._sync_directories()
            if self._registry != written_down:
                self._write(self._registry)
        self._know(self._registry)
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

    def _create_partition(
        self, key: TopicPartition, info: TopicInfo, others: Sequence[PartitionLog] = ()
    ) -> PartitionLog:
        """In the directory that has the fewest; `others` are not known yet. Raises OSError, and
        leaves nothing then.
        """
        counts = dict.fromkeys(self._directories, 0)
        for log in (*self._logs.values(), *others):
            counts[log.directory.parent] += 1
        directory = self._directories[min(counts, key=lambda path: counts[path])]
        path = directory.path / str(key)
        if _is_of(path, self._registry.deleting):
            self._finish_deletion(path, key)
        path.mkdir()
        try:
            save_topic_id(path, info.topic_id)
            # A new one: what the checkpoints say of an older topic of this name does not apply.
            return self._open_partition(directory, key, info, Checkpoints(was_clean=True))
        except OSError:
            shutil.rmtree(path, ignore_errors=True)  # it holds nothing yet
            raise

    def _sync_directories(self) -> None:
        for path in self._directories:
            sync_directory(path)

    def _put_aside(
        self, key: TopicPartition, path: Path, delay_ms: int, rename: Callable[[Path], object]
    ) -> None:
        """Give a partition's directory another name; housekeeping removes it. Raises OSError."""
        aside = path.with_name(name_of_deleted(key))
        with self._failing(path.parent):
            try:
                rename(aside)
            except FileNotFoundError:
                if not path.parent.is_dir():
                    raise
                return  # somebody has removed it by hand
        self._leftovers.add(aside, self._clock_ms() + delay_ms)

    # Running and stopping

    def _take_offline(self, path: Path, why: str) -> None:
        with self._lock:
            if path in self._offline:
                return  # it was said
            _LOGGER.error("log directory %s goes offline: %s", path, why)
            self._offline[path] = why
            directory = self._directories.pop(path, None)
            if directory is not None:
                directory.release()
            reason = f"log directory {path} is offline: {why}"
            for log in self.logs():
                if log.directory.parent == path:
                    key = TopicPartition(log.topic, log.partition)
                    self._refused[key] = reason
                    self._logs.pop(key, None)
                    log.go_offline(KafkaStorageError(reason))

    def housekeeping(self, now_ms: int) -> None:
        """Flush by time, delete, compact, write checkpoints; to be called about every second.

        What goes wrong with one partition is logged and does not keep the others waiting.
        """
        self._rounds.look_after(self.logs(), now_ms)
        self._write_checkpoints(now_ms)
        with self._lock:
            if not self._is_written:
                with logged("writing down what was taken back"):
                    self._write(self._registry)
            due = self._leftovers.due(now_ms)
        for path in due:  # may take long: nobody need wait for it
            if not remove(path):
                with self._lock:
                    self._leftovers.add(path, now_ms + PATIENCE_MS)

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


def _is_of(path: Path, topic_ids: Container[UUID | None]) -> bool:
    """Whether there is a directory, and it is one of these topics'; None is "it does not say"."""
    try:
        return path.is_dir() and load_topic_id(path) in topic_ids
    except (ValueError, OSError):
        return None in topic_ids


def _inside(directory: LogDirectory, logs: Iterable[PartitionLog]) -> list[PartitionLog]:
    return [log for log in logs if log.directory.parent == directory.path]
