"""The directories of partitions: made, opened, and put out of the way.

made      mkdir, partition.metadata (whose it is), an empty segment
opened    whose it is decides first: a topic's that is known, one's that is being deleted, an
older one's of the same name, or nobody's yet (a copy of a Kafka's directory)
put aside renamed at once, removed after file.delete.delay.ms (leftovers.py)
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from uuid import UUID

from zerocopy_lab.errors import UnknownTopicOrPartition
from zerocopy_lab.log.atomic_file import make_files, sync_directory
from zerocopy_lab.log.file_names import PARTITION_METADATA_FILE, TopicPartition, name_of_deleted
from zerocopy_lab.log.open_files import OpenFiles
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.partitions import TopicInfo
from zerocopy_lab.log.startup.identity_files import (
    load_topic_id,
    save_topic_id,
    topic_id_file,
)
from zerocopy_lab.log.startup.leftovers import PATIENCE_MS, Leftovers, remove
from zerocopy_lab.log.startup.loading import Checkpoints, DamagedLog, load_partition
from zerocopy_lab.log.startup.log_directory import LogDirectory
from zerocopy_lab.log.startup.open_directories import OpenDirectories
from zerocopy_lab.log.startup.topic_registry import Registry

_LOGGER = logging.getLogger(__name__)
#: A directory that nobody announced, "flights-4000000000", must not make us fill the gap before it.
MOST_ADOPTED = 10_000


class PartitionDirectories:
    """What happens to them; the owner of `directories` holds its lock."""

    def __init__(
        self, directories: OpenDirectories, open_files: OpenFiles, clock_ms: Callable[[], int]
    ) -> None:
        self._directories = directories
        self._open_files = open_files
        self._clock_ms = clock_ms
        self._leftovers = Leftovers()

    def identify(self, path: Path, key: TopicPartition, registry: Registry) -> UUID | None:
        """Whose the directory is; None if a deleted topic's, of which nothing is left then.

        Raises DamagedLog (not one that can be served), ValueError, OSError.
        """
        topic_id = load_topic_id(path)
        if topic_id in registry.deleting:
            _finish_deletion(path, key)
            return None
        known = registry.topics.get(key.topic)
        if known is None and key.partition >= MOST_ADOPTED:
            raise DamagedLog(f"{path}: no topic of so many partitions is known here")
        if topic_id is None and known is None and not any(path.glob("*.log")):
            _finish_deletion(path, key)  # of a topic that could not be made
            return None
        if topic_id is None:  # a crash while it was made; or a Kafka older than topic ids
            topic_id = known.topic_id if known else uuid.uuid4()
            save_topic_id(path, topic_id)
        if known is not None and topic_id != known.topic_id:
            raise DamagedLog(f"{path} belongs to an older topic of the same name ({topic_id})")
        return topic_id

    def open(self, directory: LogDirectory, key: TopicPartition, info: TopicInfo) -> PartitionLog:
        """The log in a directory that is there. Raises DamagedLog, OSError."""
        checkpoints = Checkpoints(
            directory.was_clean,
            directory.recovery_points.get(key, 0),
            directory.log_starts.get(key, 0),
            directory.cleaned.get(key),
        )
        return self._load(directory.path / str(key), key, info, checkpoints)

    def create(
        self, keys: Sequence[TopicPartition], registry: Registry, others: Iterable[PartitionLog]
    ) -> list[PartitionLog]:
        """New ones, each where the fewest are, of all `others` and of these; what is left there of
        a deleted topic gives way. All are on disk then. Raises OSError, and leaves nothing then.

        Step by step for all of them, for each waits for the disk, and what one makes the file
        system write serves the others, too (`make_files`).
        """
        paths: dict[TopicPartition, Path] = {}
        made: list[PartitionLog] = []
        try:
            for key, place in zip(keys, self._directories.places(others), strict=False):
                path = place / str(key)
                if _is_of(path, registry.deleting):
                    _finish_deletion(path, key)
                path.mkdir()
                paths[key] = path
            topics = registry.topics
            # Before there is a log: without this file it would be taken for an old Kafka's.
            make_files(
                {
                    path / PARTITION_METADATA_FILE: topic_id_file(topics[key.topic].topic_id)
                    for key, path in paths.items()
                }
            )
            for key, path in paths.items():
                # What the checkpoints say of an older topic of this name does not apply.
                made.append(self._load(path, key, topics[key.topic], Checkpoints(was_clean=True)))
            for path in paths.values():
                sync_directory(path)
            self._directories.sync()
        except OSError:
            for log in made:  # nobody has seen it yet
                log.go_offline(UnknownTopicOrPartition(f"{log.name} could not be made"))
            for key, path in paths.items():  # at once: a full disk needs the room to say so
                self._put_away(key, path)
            raise
        return made

    def _load(
        self, path: Path, key: TopicPartition, info: TopicInfo, checkpoints: Checkpoints
    ) -> PartitionLog:
        return load_partition(
            path,
            key,
            info.topic_id,
            info.settings,
            checkpoints,
            open_files=self._open_files,
            on_failure=lambda error: self._directories.take_offline(path.parent, error),
            clock_ms=self._clock_ms,
        )

    def _put_away(self, key: TopicPartition, path: Path) -> None:
        # A new name first, which needs no descriptor: under this one, the next start would take
        # what is left for a topic's.
        aside = path.with_name(name_of_deleted(key))
        with self._directories.complaints.about(f"removing {path}"):
            path.rename(aside)
            self._remove_soon(aside)

    def _remove_soon(self, aside: Path) -> None:
        if not remove(aside):
            self._leftovers.add(aside, self._clock_ms() + PATIENCE_MS)

    def is_there(self, key: TopicPartition) -> bool:
        """Whether anything has the partition's name."""
        return any((path / str(key)).exists() for path in self._directories.online)

    def delete(self, key: TopicPartition, log: PartitionLog | None, info: TopicInfo) -> bool:
        """Put it aside, from wherever it lies. Whether none is left under its name, as far as we
        can see.
        """
        gone = UnknownTopicOrPartition(f"{key} was deleted")
        delay_ms = info.settings.file_delete_delay_ms
        try:
            if log is not None:
                self._put_aside(
                    key, log.directory, delay_ms, lambda aside: log.move_aside(aside, gone)
                )
            for path in [path / str(key) for path in self._directories.online]:
                if _is_of(path, (None, info.topic_id)):  # what was refused may lie in any of them
                    self._put_aside(key, path, delay_ms, path.rename)
        except OSError as error:
            _LOGGER.error("removing %s: %s", key, error)
            return False
        return not self._directories.offline

    def _put_aside(
        self, key: TopicPartition, path: Path, delay_ms: int, rename: Callable[[Path], object]
    ) -> None:
        aside = path.with_name(name_of_deleted(key))
        with self._directories.failing(path.parent):
            try:
                rename(aside)
            except FileNotFoundError:
                if not path.parent.is_dir():
                    raise
                return  # somebody has removed it by hand
        self._leftovers.add(aside, self._clock_ms() + delay_ms)

    def sweep(self, now_ms: int) -> None:
        """Remove what was put aside long enough ago. Without the lock: it may take long."""
        with self._directories.lock:
            due = self._leftovers.due(now_ms)
        for path in due:
            if not remove(path):
                with self._directories.lock:
                    self._leftovers.add(path, now_ms + PATIENCE_MS)


def _is_of(path: Path, topic_ids: Container[UUID | None]) -> bool:
    """Whether there is a directory, and it is one of these topics'; None is "it does not say"."""
    try:
        return path.is_dir() and load_topic_id(path) in topic_ids
    except (ValueError, OSError):
        return None in topic_ids


def _finish_deletion(path: Path, key: TopicPartition) -> None:
    _LOGGER.info("%s belongs to a topic that was deleted: removed", path)
    aside = path.with_name(name_of_deleted(key))  # half of it must not keep its name
    path.rename(aside)
    remove(aside)
