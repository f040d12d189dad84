"""read_then_send: the traditional path. Two system calls and two copies for every chunk.

    page cache --(copy 1: preadv)--> our buffer --(copy 2: send)--> socket queue --> ...

The buffer is reused, so the path costs copies and calls but no allocation. `chunk_bytes` decides
how much of the price is calls (4096, the article's loop) and how much is copying (1 MiB).
"""

from __future__ import annotations

import os
import socket

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.transfer.strategy import Transfer


class ReadThenSend(Transfer):
    """preadv(2) into one reusable buffer, then send(2) from it.

    What a partial send leaves in the buffer goes out first next time, so a slice takes
    ceil(length / chunk_bytes) reads, however slowly the socket drains.
    """

    name = "read_then_send"
    default_chunk_bytes = 64 * 1024

    def __init__(self, chunk_bytes: int | None = None) -> None:
        super().__init__(chunk_bytes)
        self._chunk = memoryview(bytearray(self.chunk_bytes))
        self._unsent = self._chunk[:0]
        self._unsent_from: tuple[OpenFile, int] | None = None  # file and position of its first byte

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        """Read a chunk, unless bytes of the last one are still unsent; then send."""
        if sent_bytes >= piece.length:
            return 0
        here = piece.position + sent_bytes
        if not self._unsent or self._unsent_from != (piece.file, here):
            self._read(piece, sent_bytes)
        moved_bytes = self._send_chunk(sock, self._unsent[: piece.length - sent_bytes])
        self._unsent = self._unsent[moved_bytes:]
        # An idle connection must not keep a deleted segment on the disk.
        self._unsent_from = (piece.file, here + moved_bytes) if self._unsent else None
        return moved_bytes

    def close(self) -> None:
        """Let go of the file."""
        self._unsent, self._unsent_from = self._chunk[:0], None

    def _read(self, piece: FileSlice, sent_bytes: int) -> None:
        here = piece.position + sent_bytes
        wanted = self._chunk[: min(piece.length - sent_bytes, self.chunk_bytes)]
        read_bytes = os.preadv(piece.file.fd, [wanted], here)
        if read_bytes == 0:
            self.nothing_came(piece, sent_bytes)
        self._unsent, self._unsent_from = self._chunk[:read_bytes], (piece.file, here)

    def _send_chunk(self, sock: socket.socket, chunk: memoryview) -> int:
        return sock.send(chunk)
