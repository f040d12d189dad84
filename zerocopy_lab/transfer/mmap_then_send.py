"""mmap_then_send: the file's pages become our memory, and send copies from there into the socket.

    page cache = our address space --(copy: send)--> socket queue --> ...

One copy less than read_then_send, paid for with the page tables: a mapping per slice, and a page
fault for every 64 KiB or so on its first touch. Kafka maps only its indexes in this way.

The danger of a mapping is truncation. A page beyond the file's new end kills a process that touches
it (SIGBUS). Here only the kernel touches the payload, inside send(2), and then the answer is
EFAULT. The remainder of the file's last page would be sent as zeros, so the length is looked up
before every send.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket

from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.transfer.strategy import Transfer


class MmapThenSend(Transfer):
    """mmap(2) once per slice, then send(2) chunk by chunk straight from the mapping."""

    name = "mmap_then_send"
    default_chunk_bytes = 1 << 20

    def __init__(self, chunk_bytes: int | None = None) -> None:
        super().__init__(chunk_bytes)
        self._piece: FileSlice | None = None
        self._mapping: mmap.mmap | None = None
        self._payload = memoryview(b"")

    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        """Look up the length, then send a chunk; the first maps the slice, the last unmaps it."""
        if sent_bytes >= piece.length:
            return 0
        file_bytes = os.fstat(piece.file.fd).st_size
        if file_bytes < piece.position + piece.length:
            self.nothing_came(piece, max(0, file_bytes - piece.position))
        if piece != self._piece:
            self._map(piece)
        # Released at once: a mapping cannot be closed while a traceback holds a view of it.
        with self._payload[sent_bytes : sent_bytes + self.chunk_bytes] as chunk:
            try:
                moved_bytes = self._send_chunk(sock, chunk)
            except OSError as failure:
                if failure.errno == errno.EFAULT:  # truncated since the fstat above
                    self.nothing_came(piece, sent_bytes)
                raise
        if sent_bytes + moved_bytes == piece.length:
            self.close()  # an idle connection must not keep a deleted segment on the disk
        return moved_bytes

    def close(self) -> None:
        """Unmap."""
        self._payload.release()
        if self._mapping is not None:
            self._mapping.close()
        self._piece = self._mapping = None

    def _map(self, piece: FileSlice) -> None:
        self.close()
        # A mapping starts at a page; up to a page before the slice is mapped and never sent.
        lead_bytes = piece.position % mmap.ALLOCATIONGRANULARITY
        first, mapped_bytes = piece.position - lead_bytes, lead_bytes + piece.length
        try:
            self._mapping = mmap.mmap(
                piece.file.fd, mapped_bytes, access=mmap.ACCESS_READ, offset=first
            )
        except ValueError:  # Python's own check of the length: truncated since ours
            self.nothing_came(piece, 0)
            raise
        self._payload = memoryview(self._mapping)[lead_bytes:]
        self._piece = piece

    def _send_chunk(self, sock: socket.socket, chunk: memoryview) -> int:
        return sock.send(chunk)
