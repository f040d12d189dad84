"""splice_through_pipe: page references move from the file into a pipe, from there into a socket.

    page cache --(references)--> pipe --(references)--> socket queue --> ...

What sendfile does inside the kernel, done by hand: sendfile(2) is built on a hidden pipe of 16
pages. A pipe of our own may be larger, so fewer rounds are needed; each round is two system calls.
What the socket does not take stays in the pipe and goes out first next time.

A pipe holds a number of *pages* (256 in 1 MiB), and the pages of a slice that starts inside a page
hold less than that: such a round moves up to a page less than `chunk_bytes`.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.transfer.strategy import Transfer

_LARGEST_PIPE = Path("/proc/sys/fs/pipe-max-size")  # only root may ask for more


class SpliceThroughPipe(Transfer):
    """splice(2) file to pipe, then splice(2) pipe to socket."""

    name = "splice_through_pipe"
    descriptors = 2
    default_chunk_bytes = 1 << 20

    def __init__(self, chunk_bytes: int | None = None) -> None:
        super().__init__(chunk_bytes)
        self._pipe: tuple[int, int] | None = None  # its read end and its write end
        self._waiting_bytes = 0  # in the pipe
        self._waiting_from: tuple[OpenFile, int] | None = (
            None  # file and position of its first byte
        )

    @classmethod
    def unavailable(cls) -> str | None:
        """splice(2) exists on Linux alone."""
        return None if hasattr(os, "splice") else f"{sys.platform} has no splice(2)"

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        """Fill the pipe, unless it still holds bytes of the last round; then empty it."""
        left_bytes = piece.length - sent_bytes
        if left_bytes <= 0:
            return 0
        here = piece.position + sent_bytes
        if not self._waiting_bytes or self._waiting_from != (piece.file, here):
            self._fill(piece, sent_bytes)
        assert self._pipe is not None
        moved_bytes = os.splice(self._pipe[0], sock.fileno(), min(self._waiting_bytes, left_bytes))
        self._waiting_bytes -= moved_bytes
        # An idle connection must not keep a deleted segment on the disk.
        self._waiting_from = (piece.file, here + moved_bytes) if self._waiting_bytes else None
        return moved_bytes

    def close(self) -> None:
        """Close the pipe and drop what it holds."""
        for end in self._pipe or ():
            os.close(end)
        self._pipe, self._waiting_bytes, self._waiting_from = None, 0, None

    def _fill(self, piece: FileSlice, sent_bytes: int) -> None:
        if self._waiting_bytes:  # of a slice that was given up: nothing but closing empties a pipe
            self.close()
        if self._pipe is None:
            self._pipe = _pipe_of(self.chunk_bytes)
        here = piece.position + sent_bytes
        count = min(piece.length - sent_bytes, self.chunk_bytes)
        filled_bytes = os.splice(piece.file.fd, self._pipe[1], count, offset_src=here)
        if filled_bytes == 0:
            self.nothing_came(piece, sent_bytes)
        self._waiting_bytes, self._waiting_from = filled_bytes, (piece.file, here)


def _pipe_of(wanted_bytes: int) -> tuple[int, int]:
    """A pipe that holds `wanted_bytes`, or as many as an ordinary user gets (pipe(7))."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    limit_bytes = int(_LARGEST_PIPE.read_text())
    # A user whose pipes hold their total already keeps the default size: it works in more rounds.
    with suppress(PermissionError):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, min(wanted_bytes, limit_bytes))
    return read_end, write_end
