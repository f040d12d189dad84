"""The `log.dirs` of a broker together: those in use, and those that are offline, with a reason.

None of them is special: what is written for all of them (the topics, how far each partition is) is
written in each, and one that fails is left behind. There is one lock for everything that is rare;
it stands here, because a disk may fail in any thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from zerocopy_lab.errors import KafkaStorageError
from zerocopy_lab.log.atomic_file import has_passing_reason, passes, sync_directory
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.log_directory import DirectoryUnusable, LogDirectory
from zerocopy_lab.log.startup.topic_registry import Registry, read_topics, write_topics
from zerocopy_lab.log.upkeep.housekeeping_round import Complaints

_LOGGER = logging.getLogger(__name__)


def _fewest(partition_counts: Sequence[int]) -> int:
    return min(range(len(partition_counts)), key=partition_counts.__getitem__)


_choose: Callable[[Sequence[int]], int] = _fewest


def seat_choice(choose: Callable[[Sequence[int]], int]) -> None:
    """For this whole process: let this function choose a new partition's log directory, by how
    many partitions each holds. `serve --parts` seats a learner's function.
    """
    global _choose
    _choose = choose


class OpenDirectories:
    """`online` and `offline` directories by path. `on_offline` hears of each that leaves, and why,
    while the lock is held.
    """

    def __init__(self, on_offline: Callable[[Path, str], None]) -> None:
        self.lock = threading.RLock()
        self.online: dict[Path, LogDirectory] = {}
        self.offline: dict[Path, str] = {}
        self.revision = 0  # of the topics, as they are written down
        self.complaints = Complaints()
        self._as: tuple[int, str] = (0, "")  # node and cluster id
        self._may_return: set[Path] = set()  # those offline whose reason may be over
        self._unwritten = False  # a revision did not come through everywhere
        self._on_offline = on_offline

    def open(self, paths: Sequence[Path], node_id: int, cluster_id: str) -> None:
        """Take them. Raises KafkaStorageError when none can be used."""
        self._as = node_id, cluster_id
        for path in paths:
            try:
                self.online[path] = LogDirectory.open(path, node_id, cluster_id)
            except (DirectoryUnusable, OSError) as error:
                self.take_offline(path, error)
        self._check_any()

    def _check_any(self) -> None:
        if not self.online:
            raise KafkaStorageError(
                f"no log directory can be used: {'; '.join(self.offline.values())}"
            )

    def places(self, logs: Iterable[PartitionLog]) -> Iterator[Path]:
        """Where new partitions go, one after the other: each to the directory in use that has the
        fewest, of `logs` and of those before it.
        """
        counts = dict.fromkeys(self.online, 0)
        for log in logs:
            counts[log.directory.parent] += 1
        while True:
            path = list(counts)[_choose(list(counts.values()))]
            counts[path] += 1
            yield path

    # Failing

    def take_offline(self, path: Path, error: Exception) -> None:
        """Nothing in it is used any longer. It is said once."""
        with self.lock:
            if path in self.offline:
                return
            why = str(error)
            if has_passing_reason(error):
                self._may_return.add(path)
            _LOGGER.error("log directory %s goes offline: %s", path, why)
            self.offline[path] = why
            directory = self.online.pop(path, None)
            if directory is not None:
                directory.release()
            self._on_offline(path, f"log directory {path} is offline: {why}")

    def failed(self, path: Path, error: OSError) -> None:
        """Something in a directory failed: unless that passes, it goes offline."""
        if not passes(error):
            self.take_offline(path, error)

    def bring_back(self, at_start: TopicSettings) -> list[LogDirectory]:
        """Take those again whose reason may be over: the disk is no longer full, there are
        descriptors again. What is in them is to be loaded as after a crash. The lock is held.
        """
        back = []
        for path in sorted(self._may_return):
            try:
                revision, _ = read_topics(path, at_start)
                directory = LogDirectory.open(path, *self._as)
            except (DirectoryUnusable, OSError) as error:
                if str(error) != self.offline[path]:
                    self._stays(path, str(error))
                continue
            if revision > self.revision:
                directory.release()
                self._may_return.remove(path)
                self._stays(path, "it knows newer topics than the others: restart the broker")
                continue
            _LOGGER.warning("log directory %s is back", path)
            self._may_return.remove(path)
            del self.offline[path]
            self.online[path] = directory
            back.append(directory)
        return back

    def _stays(self, path: Path, why: str) -> None:
        _LOGGER.error("log directory %s stays offline: %s", path, why)
        self.offline[path] = why

    @contextmanager
    def failing(self, path: Path) -> Iterator[None]:
        """Within it an error of the disk takes the directory offline, and goes on."""
        try:
            yield
        except OSError as error:
            self.failed(path, error)
            raise

    # Written in each of them

    def read_topics(self, at_start: TopicSettings) -> Registry:
        """The newest that was written. Without its topics a directory cannot be used: they would be
        taken for strangers. Raises KafkaStorageError when none can be.
        """
        newest = Registry()
        for path in list(self.online):
            try:
                revision, found = read_topics(path, at_start)
            except OSError as error:
                self.take_offline(path, error)
                continue
            if revision > self.revision:
                self.revision, newest = revision, found
        self._check_any()
        return newest

    def write_topics(self, registry: Registry) -> None:
        """Make this the state of affairs, for whoever starts next. Raises OSError (that passes: it
        may be written in some of them), KafkaStorageError (all are offline).
        """
        self.revision += 1
        self._unwritten = True
        for path in list(self.online):
            try:
                with self.failing(path):
                    write_topics(path, self.revision, registry)
            except OSError:
                if path in self.online or not self.online:
                    raise
        if not self.online:
            raise KafkaStorageError("every log directory is offline")
        self._unwritten = False

    def repair_topics(self, registry: Registry) -> None:
        """If the last change neither came through nor could be taken back: now it may."""
        if self._unwritten and self.online:
            with self.complaints.about("writing down what was taken back"):
                self.write_topics(registry)

    def sync(self) -> None:
        """Force the names of partitions' directories to disk. Raises OSError."""
        for path in self.online:
            sync_directory(path)

    def write_checkpoints(
        self, logs: Sequence[PartitionLog], *, all_of_them: bool = True, only_unclean: bool = False
    ) -> None:
        """Write down how far `logs`, all there are, have come (see `LogDirectory`)."""
        for directory in list(self.online.values()):
            if only_unclean and directory.was_clean:
                continue
            action = f"writing checkpoints in {directory.path}"
            with self.complaints.about(action), self.failing(directory.path):
                directory.write_checkpoints(_inside(directory, logs), all_of_them=all_of_them)

    def close(self, logs: Sequence[PartitionLog], refused: Iterable[TopicPartition]) -> None:
        """Force everything to disk and mark the directories as in order."""
        with self.lock:
            directories = list(self.online.values())
            self.online.clear()
        for directory in directories:  # not under the lock: a log that fails wants it
            inside = _inside(directory, logs)
            try:
                for log in inside:
                    log.close()
                directory.write_checkpoints(inside)
                # With the marker nobody would ever recover what was refused.
                if not any((directory.path / str(key)).is_dir() for key in refused):
                    directory.mark_clean()
            except OSError as error:
                _LOGGER.error("%s could not be closed in good order: %s", directory.path, error)
            finally:
                directory.release()


def _inside(directory: LogDirectory, logs: Iterable[PartitionLog]) -> list[PartitionLog]:
    return [log for log in logs if log.directory.parent == directory.path]
