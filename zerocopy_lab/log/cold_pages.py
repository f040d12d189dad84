"""Bytes of a log that are not in memory: told apart without waiting for the disk, and brought in.

sendfile(2) and pread(2) put the thread to sleep that needs a page which is not there, on a socket
that does not block, too (KAFKA-7504). A thread that serves many clients can ask first, and leave
the waiting to another one:

    is_cold     a byte of every MiB and the last, by preadv2(2) with RWF_NOWAIT, "now or not at all"
    warm_up     sendfile(2) to /dev/null: the pages come into the cache, and nobody copies them
    unwaiting   within, the headers of batches are read in that manner, too, or `Cold` is raised

A look costs a microsecond. Pages come in their order and mostly go so, and therefore the first byte
or the last one tells. What falls through costs what it always did: the thread waits. Where a file
system does not know RWF_NOWAIT (overlay), nothing is ever called cold.
"""

from __future__ import annotations

import errno
import os
import threading

from zerocopy_lab.file_slice import FileSlice

_STEP_BYTES = 1 << 20
_UNKNOWN_HERE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)

_A_BYTE = [bytearray(1)]
"""Nobody looks at it."""


class Cold(Exception):
    """What is wanted is not in memory, and this thread does not wait for it."""


def can_tell() -> bool:
    """Whether cold pages can be told apart: on Linux."""
    return hasattr(os, "RWF_NOWAIT")


def is_cold(piece: FileSlice) -> bool:
    """Whether some of the piece is not in memory, as far as a look here and there can tell. Where
    that fails, it is not: who reads it will say why.
    """
    file, position, length = piece
    last = position + length - 1
    try:
        for at in range(position, last, _STEP_BYTES):
            os.preadv(file.fd, _A_BYTE, at, os.RWF_NOWAIT)
        os.preadv(file.fd, _A_BYTE, last, os.RWF_NOWAIT)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def warm_up(piece: FileSlice) -> None:
    """Wait until the piece is in memory. Raises OSError."""
    file, position, length = piece
    end = position + length
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        while position < end:
            moved = os.sendfile(nowhere, file.fd, position, min(end - position, _STEP_BYTES))
            if not moved:
                return  # the file has become shorter: who sends it will say so
            position += moved
    finally:
        os.close(nowhere)


class Unwaiting(threading.local):
    """Within, this thread raises Cold where it would read headers or indexes from the disk."""

    waits = True

    def __enter__(self) -> None:
        self.waits = False

    def __exit__(self, *_: object) -> None:
        self.waits = True


unwaiting = Unwaiting()
"""Of each thread; it is asked for too often to be made each time."""


def about_to_wait() -> None:
    """To be called before a file is read that may be cold. Raises Cold within `unwaiting`."""
    if not unwaiting.waits:
        raise Cold


def read(fd: int, count: int, position: int) -> bytes | bytearray:
    """`count` bytes at `position`, fewer only at the end of the file. Raises OSError; Cold within
    `unwaiting`.
    """
    if unwaiting.waits:
        return os.pread(fd, count, position)
    buffer = bytearray(count)
    try:
        if os.preadv(fd, [buffer], position, os.RWF_NOWAIT) == count:
            return buffer
    except BlockingIOError:
        pass
    except OSError as error:
        if error.errno not in _UNKNOWN_HERE:
            raise
        return os.pread(fd, count, position)
    raise Cold
