"""sendfile: the kernel puts references to page-cache pages into the socket; no byte is copied.

    page cache --(references)--> socket queue --(the network card's DMA; on loopback recv copies)-->

One system call per `chunk_bytes`, or fewer bytes when the socket's send buffer is full first, which
on a non-blocking socket it nearly always is: that is why everybody calls it in a loop.

Because the socket holds the page itself, whoever overwrites the file before the receiver has read
changes what is received (sendfile(2), NOTES). A log never rewrites what it has written, so there
is nothing to change.

Kafka: `FileRecords.writeTo` -> `FileChannel.transferTo` -> sendfile(2).
"""

from __future__ import annotations

import os
import socket

from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.transfer.strategy import Transfer


class Sendfile(Transfer):
    """sendfile(2) from the slice's position; the file's own offset stays where it is."""

    name = "sendfile"

    @classmethod
    def unavailable(cls) -> str | None:
        """Windows has no sendfile(2)."""
        return None if hasattr(os, "sendfile") else "this system has no sendfile(2)"

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        """One sendfile(2)."""
        count = min(piece.length - sent_bytes, self.chunk_bytes)
        if count <= 0:  # never ask for 0: on macOS that means "until the end of the file"
            return 0
        here = piece.position + sent_bytes
        moved_bytes = os.sendfile(sock.fileno(), piece.file.fd, here, count)
        return moved_bytes or self.nothing_came(piece, sent_bytes)
