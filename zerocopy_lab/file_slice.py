"""The hinge of the house: "these bytes, in that file, unread".

The log answers a fetch with a `FileSlice`; the protocol puts it between two pieces of a response;
the network carries it to a transfer strategy, which alone may touch both the file and the socket.
On this whole way nobody can look at the payload, because a slice has no `read()`. Zero copy is a
type here.

Kafka's counterpart is `FileRecords.slice`.

A slice keeps its file open. Retention may therefore unlink a segment while somebody is still being
sent a piece of it (POSIX keeps the bytes until the last descriptor closes). Truncation is the other
case: then the bytes are gone, and the transfer raises `errors.FileShrank` when it meets the new end
of the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class OpenFile:
    """A file descriptor that is closed when its last holder lets go of it.

    Python counts the holders for us: the log holds one reference for as long as it uses the file,
    every slice in flight holds another.
    """

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: Path) -> None:
        self.fd = fd
        self.path = path

    @classmethod
    def open(cls, path: Path, flags: int = os.O_RDONLY) -> OpenFile:
        """Open `path`; raises OSError. The descriptor is not inherited by child processes."""
        return cls(os.open(path, flags | os.O_CLOEXEC, 0o644), path)

    def __del__(self) -> None:
        os.close(self.fd)

    def __repr__(self) -> str:
        return f"OpenFile(fd={self.fd}, path={str(self.path)!r})"


class FileSlice(NamedTuple):
    """`length` bytes of `file` from byte `position` on, deliberately without a way to read them."""

    file: OpenFile
    position: int
    length: int
