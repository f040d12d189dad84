"""Directories of deleted partitions, until they are gone; and everything else in a `log.dir`.

    flights-0  --rename-->  flights-0.6f0c...-delete  --file.delete.delay.ms later-->  gone

A partition's directory may be a symbolic link (people move partitions to other disks that way):
then both the link and what it points to go. What somebody removed by hand meanwhile is gone as
well. What cannot be removed now is tried again later, and costs nothing else.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from zerocopy_lab.log.file_names import (
    CLUSTER_METADATA_TOPIC,
    TopicPartition,
    is_name_of_deleted,
    parse_partition_directory,
)

_LOGGER = logging.getLogger(__name__)
PATIENCE_MS = 60_000  # between two attempts to remove a directory


class Leftovers:
    """The directories that wait for their removal."""

    def __init__(self) -> None:
        self._due: list[tuple[int, Path]] = []  # when, in ms

    def add(self, path: Path, due_ms: int) -> None:
        """Remember it until then."""
        self._due.append((due_ms, path))

    def due(self, now_ms: int) -> list[Path]:
        """Those whose time has come; they are not remembered any longer."""
        due = [path for due_ms, path in self._due if due_ms <= now_ms]
        self._due = [item for item in self._due if item[0] > now_ms]
        return due


def remove(path: Path) -> bool:
    """Remove a directory, or a link and the directory it points to. False if it is still there,
    which is logged.
    """
    try:
        with suppress(FileNotFoundError):
            shutil.rmtree(os.path.realpath(path))
        if path.is_symlink():
            path.unlink(missing_ok=True)
    except OSError as error:
        _LOGGER.error("%s cannot be removed, it will be tried again: %s", path, error)
        return False
    return True


def partitions_in(directory: Path) -> Iterator[TopicPartition]:
    """The partitions that have a directory here. Removes what was deleted, and names the strangers
    in the log. Raises OSError when the directory itself cannot be read.
    """
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        key = parse_partition_directory(entry.name)
        if is_name_of_deleted(entry.name):
            remove(directory / entry.name)
        elif key is None:
            if _may_be_a_directory(entry):
                _LOGGER.warning("%s is no partition's directory: left alone", entry.path)
        elif key.topic != CLUSTER_METADATA_TOPIC and _may_be_a_directory(entry):
            yield key


def _may_be_a_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead in a circle: whoever opens it will hear that
        return True
