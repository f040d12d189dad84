"""What is on disk, what is not, and what nobody knows: forcing files to disk, and replacing a small
file so that a crash leaves either the old content or the new one, never a mixture.

Write a temporary file, force it to disk, rename it over the old one, force the directory to disk:
without the first fsync the new name may point to an empty file after a power cut, without the
second the old name may come back. Kafka: `CheckpointFile.write`, `Utils.atomicMoveWithFallback`.

Every fsync(2) of a broker's log directories goes through `force`, because a failed one is unlike
other errors.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"
_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
# Of these nothing is broken, and they may be over in a moment: a full disk or quota, too many open
# files in the process or the system, no memory, a signal (rename(2) and unlink(2) on a network
# file system, which Python does not repeat).
_PASSING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EINTR,
}


class StateUnknown(OSError):
    """What is on the disk is no longer known, so nothing may be built on it until it was read, and
    written, anew.
    """


def passes(error: OSError) -> bool:
    """Whether things are as before the error, and the same may succeed later."""
    return has_passing_reason(error) and not isinstance(error, StateUnknown)


def has_passing_reason(error: Exception) -> bool:
    """Whether, once everything was read anew, it may go on."""
    return isinstance(error, OSError) and error.errno in _PASSING


def force(fd: int, path: Path, *, data_only: bool = False) -> None:
    """Force a file's bytes to disk; with `data_only` no more of its metadata than its size. Raises
    StateUnknown.
    """
    try:
        (_fdatasync if data_only else os.fsync)(fd)
    except OSError as error:
        # Whatever the reason, trying again proves nothing: Linux has dropped the dirty flags of the
        # pages it could not write, so the next fsync(2) finds none and reports success for bytes
        # that never reached the disk ("fsyncgate", https://wiki.postgresql.org/wiki/Fsync_Errors).
        raise StateUnknown(error.errno, f"{error.strerror} by fsync", str(path)) from error


def replace_file(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Make `content` the content of `path`, in one step for every reader. Raises OSError; the old
    file then stays, unless it is a StateUnknown.

    Without `sync` the step is atomic for a crash of this process, not for a power cut: for what
    can be rebuilt.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        if sync:
            force(file.fileno(), temporary)
    os.replace(temporary, path)
    if sync:
        sync_directory(path.parent)


def make_files(contents: Mapping[Path, bytes]) -> None:
    """Make many small files, each of which is either there as a whole or not at all. Their names
    are not forced to disk yet: the directories are still to be synced. Raises OSError.

    Each step is taken for all of them before the next one. The first fsync makes the file system
    write its journal, and with it what all the others wait for, so theirs find little left to do.
    """
    temporaries = {path: path.with_name(path.name + TEMPORARY_SUFFIX) for path in contents}
    for path, content in contents.items():
        with open(temporaries[path], "wb") as file:
            file.write(content)
    for temporary in temporaries.values():
        _force_named(temporary)
    for path, temporary in temporaries.items():
        os.replace(temporary, path)


def sync_directory(path: Path) -> None:
    """Force the names in a directory to disk (fsync(2) on the file does not do that). Raises
    OSError.
    """
    _force_named(path)


def _force_named(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        force(fd, path)
    finally:
        os.close(fd)
