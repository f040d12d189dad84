"""Replacing a small file so that a crash leaves either the old content or the new one, never a
mixture.

Write a temporary file, force it to disk, rename it over the old one, force the directory to disk:
without the first fsync the new name may point to an empty file after a power cut, without the
second the old name may come back. Kafka: `CheckpointFile.write`, `Utils.atomicMoveWithFallback`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"
# A full disk, or a full quota, in an OSError: unlike all others it may pass.
FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


def replace_file(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Make `content` the content of `path`, in one step for every reader. Raises OSError; the old
    file then stays.

    Without `sync` the step is atomic for a crash of this process, not for a power cut: for what
    can be rebuilt.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    os.replace(temporary, path)
    if sync:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Force the names in a directory to disk (fsync(2) on the file does not do that). Raises
    OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
