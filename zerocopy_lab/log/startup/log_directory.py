"""One `log.dir`: what belongs to the directory as a whole rather than to one partition.

    .lock                  held while a broker uses the directory, so that no second one does
    meta.properties        whose it is
    .kafka_cleanshutdown   there while nobody uses it and everything in it is in order
    *-offset-checkpoint    how far things are, per partition (checkpoints.py)

A directory that cannot be used (its disk is gone, another broker has it, it belongs elsewhere)
goes offline alone; the partitions in the others are served on. Kafka: `LogManager`,
`CleanShutdownFileHandler`, KIP-112.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from zerocopy_lab.log import checkpoints
from zerocopy_lab.log.atomic_file import replace_file, sync_directory
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.startup.identity_files import MetaProperties, new_id

_LOGGER = logging.getLogger(__name__)
CLEAN_SHUTDOWN_FILE = ".kafka_cleanshutdown"
LOCK_FILE = ".lock"

Offsets = dict[TopicPartition, int]


class DirectoryUnusable(Exception):
    """A `log.dir` that this broker must not or cannot use; the message says why and what to do."""


class LogDirectory:
    """A `log.dir` in use."""

    def __init__(self, path: Path, meta: MetaProperties, lock_fd: int, was_clean: bool) -> None:
        self.path = path
        self.meta = meta
        self.was_clean = was_clean  # when it was opened
        self.recovery_points = checkpoints.read_offsets(path / checkpoints.RECOVERY_POINT_FILE)
        self.log_starts = checkpoints.read_offsets(path / checkpoints.LOG_START_FILE)
        self.cleaned = checkpoints.read_offsets(path / checkpoints.CLEANER_FILE)
        self._high_watermarks = checkpoints.read_offsets(path / checkpoints.HIGH_WATERMARK_FILE)
        self._lock = threading.Lock()
        self._lock_fd: int | None = lock_fd

    @classmethod
    def open(cls, path: Path, node_id: int, cluster_id: str) -> LogDirectory:
        """Take the directory, creating it if need be. Raises DirectoryUnusable, OSError."""
        path.mkdir(parents=True, exist_ok=True)
        lock_fd = _take_lock(path)
        try:
            return cls(path, _identify(path, node_id, cluster_id), lock_fd, _take_marker(path))
        except BaseException:
            os.close(lock_fd)
            raise

    def write_checkpoints(self, logs: Iterable[PartitionLog], *, all_of_them: bool = True) -> None:
        """Write down, for every partition in it, how far things are. Raises OSError.

        Start offsets and compaction are written whenever they have changed: a client that had
        records deleted should not see them again. The others can wait, they only spare the next
        start some work.
        """
        with self._lock:  # a topic may be deleted while housekeeping writes
            self._write(
                {TopicPartition(log.topic, log.partition): log for log in logs}, all_of_them
            )

    def _write(self, named: Mapping[TopicPartition, PartitionLog], all_of_them: bool) -> None:
        starts = {
            key: log.log_start_offset
            for key, log in named.items()
            if log.log_start_offset > log.segments_start_offset
        }
        cleaned = {key: log.cleaned_offset for key, log in named.items() if log.cleaned_offset}
        self.log_starts = self._update(checkpoints.LOG_START_FILE, self.log_starts, starts, named)
        self.cleaned = self._update(checkpoints.CLEANER_FILE, self.cleaned, cleaned, named)
        if all_of_them:
            points = {key: log.recovery_point for key, log in named.items()}
            name = checkpoints.RECOVERY_POINT_FILE
            self.recovery_points = self._update(name, self.recovery_points, points, named)
            marks = {key: log.high_watermark for key, log in named.items()}
            name = checkpoints.HIGH_WATERMARK_FILE
            self._high_watermarks = self._update(name, self._high_watermarks, marks, named)

    def _update(
        self, name: str, before: Offsets, offsets: Offsets, named: Container[TopicPartition]
    ) -> Offsets:
        """Write a checkpoint file if it changes. What could not be opened keeps its entry."""
        closed = {
            key: offset
            for key, offset in before.items()
            if key not in named and (self.path / str(key)).is_dir()
        }
        offsets = {**closed, **offsets}
        if offsets != before or not (self.path / name).exists():
            checkpoints.write_offsets(self.path / name, offsets)
        return offsets

    def mark_clean(self) -> None:
        """Say that everything in it is in order. Raises OSError."""
        # The broker epoch is a KRaft controller's business; -1 is Kafka's "unknown".
        content = json.dumps({"version": 0, "brokerEpoch": -1})
        replace_file(self.path / CLEAN_SHUTDOWN_FILE, content.encode())

    def release(self) -> None:
        """Let others use the directory."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def _take_lock(path: Path) -> int:
    import fcntl  # not on every system; only a broker needs it

    fd = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(
            fd, fcntl.LOCK_EX | fcntl.LOCK_NB
        )  # against another broker in this process, too
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kind of lock that Kafka takes
    except OSError:
        os.close(fd)
        raise DirectoryUnusable(
            f"{path} is in use: another broker holds {path / LOCK_FILE}; "
            "stop it, or choose another log.dir"
        ) from None
    return fd


def _identify(path: Path, node_id: int, cluster_id: str) -> MetaProperties:
    try:
        meta = MetaProperties.load(path)
    except ValueError as error:
        raise DirectoryUnusable(
            f"{error}. Repair it, or remove it if this directory is yours"
        ) from None
    if meta is None:
        meta = MetaProperties(cluster_id, node_id, new_id())
        meta.save(path)
    if meta.cluster_id != cluster_id:
        raise DirectoryUnusable(
            f"{path} belongs to the cluster {meta.cluster_id}, this is {cluster_id}; "
            "do not mix the directories of two clusters"
        )
    if meta.node_id != node_id:
        raise DirectoryUnusable(
            f"{path} belongs to the node {meta.node_id}, this is {node_id}; "
            "give the broker that node id"
        )
    return meta


def _take_marker(path: Path) -> bool:
    """Whether the directory was left in order. The marker goes before anything is written."""
    marker = path / CLEAN_SHUTDOWN_FILE
    try:
        was_clean = "version" in json.loads(marker.read_bytes())
    except FileNotFoundError:
        return False
    except (ValueError, TypeError):
        _LOGGER.warning("%s is damaged: taken for an unclean stop, so the logs are checked", marker)
        was_clean = False
    marker.unlink()
    sync_directory(path)  # else a power cut could bring it back
    return was_clean
