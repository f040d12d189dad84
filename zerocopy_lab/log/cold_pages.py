"""Bytes of a log that are not in memory: told apart without waiting for the disk, and brought in.

sendfile(2) and pread(2) put the thread to sleep that needs a page which is not there, on a socket
that does not block, too (KAFKA-7504). A thread that serves many clients can ask first, and leave
the waiting to another one:

    is_cold     a byte of every 128 KiB by preadv2(2) with RWF_NOWAIT: "now or not at all"
    warm_up     sendfile(2) to /dev/null: the pages come into the cache, and nobody copies them
    unwaiting   within, the headers of batches are read in that manner, too, or `Cold` is raised

The kernel reads ahead 128 KiB at once by default, so pages come in groups, and mostly go so. What
falls through costs what it always did: the thread waits. Where a file system does not know
RWF_NOWAIT (overlay), nothing is ever called cold.
"""

from __future__ import annotations

import errno
import os
import threading

from zerocopy_lab.file_slice import FileSlice

_STEP_BYTES = 128 << 10
_CALL_BYTES = 1 << 20
_UNKNOWN_HERE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)

_A_BYTE = [bytearray(1)]
"""Nobody looks at it."""

_thread = threading.local()


class Cold(Exception):
    """What is wanted is not in memory, and this thread does not wait for it."""


def why_not_here() -> str | None:
    """None where cold pages can be told apart."""
    return None if hasattr(os, "RWF_NOWAIT") else "only Linux can tell cold pages without waiting"


def is_cold(piece: FileSlice) -> bool:
    """Whether some of the piece is not in memory, as far as a look here and there can tell."""
    file, position, length = piece
    last = position + length - 1
    try:
        for at in range(position, last, _STEP_BYTES):
            os.preadv(file.fd, _A_BYTE, at, os.RWF_NOWAIT)
        os.preadv(file.fd, _A_BYTE, last, os.RWF_NOWAIT)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _UNKNOWN_HERE:
            raise
    return False


def warm_up(piece: FileSlice) -> None:
    """Wait until the piece is in memory. Raises OSError."""
    file, position, length = piece
    end = position + length
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        while position < end:
            moved = os.sendfile(nowhere, file.fd, position, min(end - position, _CALL_BYTES))
            if not moved:
                return  # the file has become shorter: who sends it will say so
            position += moved
    finally:
        os.close(nowhere)


class Unwaiting:
    """Within, this thread raises Cold where it would read headers or indexes from the disk."""

    def __enter__(self) -> None:
        _thread.waits = False

    def __exit__(self, *_: object) -> None:
        _thread.waits = True


unwaiting = Unwaiting()
"""For every thread; it is asked for too often to be made each time."""


def about_to_wait() -> None:
    """To be called before a file is read that may be cold. Raises Cold within `unwaiting`."""
    if not getattr(_thread, "waits", True):
        raise Cold


def read(fd: int, count: int, position: int) -> bytes | bytearray:
    """`count` bytes at `position`, fewer only at the end of the file. Raises OSError; Cold within
    `unwaiting`.
    """
    if getattr(_thread, "waits", True):
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
