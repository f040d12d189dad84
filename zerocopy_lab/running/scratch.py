"""Directories for what is stored while something runs: a lab, a broker, a headless run.

The owner of a directory holds a lock on it (flock(2) on the directory itself, which is also how
systemd-tmpfiles is told to leave one alone). The kernel takes the lock away when the owner dies,
however it dies: so the next process that makes such a directory removes those that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import Self

_PREFIX = "zerocopy-lab-"
_LOCKED = ".scratch"  # how the name of a directory ends whose owner holds its lock


class ScratchDirectory:
    """A new, empty directory among the system's temporary files, at `path`.

    It goes at the end of its `with` block, or with `remove`, or when nobody holds this object any
    more, or with the process. The directory of a process that was killed goes with the next call.
    """

    def __init__(self, name: str) -> None:
        parent = Path(tempfile.gettempdir())
        _remove_abandoned(parent)
        unlocked = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{name}-", dir=parent))
        lock = os.open(unlocked, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.path = unlocked.rename(unlocked.with_suffix(_LOCKED))
        self.remove = weakref.finalize(self, _remove, self.path, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def scratch_directory(name: str) -> Path:
    """A directory that is there until the process ends.

    Not until a notebook's last cell: a widget is moved after that, and reads the same files.
    """
    _until_the_end.append(ScratchDirectory(name))
    return _until_the_end[-1].path


_until_the_end: list[ScratchDirectory] = []


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


@cache
def _remove_abandoned(parent: Path) -> None:
    """Removes this user's directories that nobody holds: once in a process, the labs' start."""
    for path in parent.glob(f"{_PREFIX}*{_LOCKED}"):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or removed just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)  # its owner lives
        else:
            _remove(path, lock)
