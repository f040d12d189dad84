"""Pieces of a response, until the socket has taken them all.

This is where a half-sent file is a normal thing. A socket that does not block takes what fits into
its send buffer and then says "would block"; the outbox remembers how far it came and goes on when
the selector says so. What waits here is a file slice, a few dozen bytes whatever its length, so a
slow consumer costs no memory.

Bytes are sent with MSG_MORE while anything follows: the kernel then puts a response's head and the
first of its records into one packet instead of two. sendfile has no such flag, so where something
follows a file (the next partition; since version 12 of Fetch, three zeros), the socket is corked,
and once all is gone, one setsockopt has the rest sent. On loopback, 4 KiB cost a tenth more of the
processor's time that way; a packet of their own for three zeros costs half as much again.
"""

from __future__ import annotations

import socket
from collections import deque

from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.protocol.framing import Piece, Pieces
from zerocopy_lab.transfer import Transfer

#: macOS has no MSG_MORE; there the head goes out on its own.
_MORE = getattr(socket, "MSG_MORE", 0)

#: Only Linux has it. A corked socket sends full packets alone, until it is told TCP_NODELAY.
_CORK = getattr(socket, "TCP_CORK", None)

#: After so many bytes the other connections of the thread get their turn. A system call counts as
#: some, or else a response in ten thousand pieces would keep them waiting.
TURN_BYTES = 8 << 20
CALL_BYTES = 16 << 10


class Outbox:
    """What one client is still to be sent."""

    def __init__(self, sock: socket.socket, transfer: Transfer) -> None:
        self._sock = sock
        self._transfer = transfer
        self._pieces: deque[Piece] = deque()
        self._sent_bytes = 0  # of the first piece
        # Under TLS, what follows a file is a record of its own in any case.
        is_plain_tcp = type(sock) is socket.socket and sock.family != socket.AF_UNIX
        self._cork = _CORK if is_plain_tcp else None
        self._is_corked = False
        self.would_blocks = 0
        self.sent_bytes = 0
        self.file_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def memory_bytes(self) -> int:
        """Of what waits, that which is not in a file."""
        return sum(len(piece) for piece in self._pieces if not isinstance(piece, FileSlice))

    def put(self, pieces: Pieces) -> None:
        """Line a response up."""
        self._pieces.extend(pieces)

    def clear(self) -> None:
        """Nobody is left to send to; the files that were to be sent are let go of."""
        self._pieces.clear()

    def drain(self) -> bool:
        """Send until everything is gone (True), or until the socket is full or the turn is over
        (False). Raises OSError.
        """
        pieces = self._pieces
        turn_bytes = TURN_BYTES
        while pieces and turn_bytes > 0:
            try:
                sent = self._send_some(pieces[0], more=len(pieces) > 1)
            except BlockingIOError:
                self.would_blocks += 1
                return False
            turn_bytes -= max(sent, CALL_BYTES)
            self.sent_bytes += sent
        if self._is_corked and not pieces:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return not pieces

    def _send_some(self, piece: Piece, *, more: bool) -> int:
        """Send what the socket takes of the first piece, and drop the piece when it is sent."""
        if isinstance(piece, FileSlice):
            length = piece.length
            if more and self._cork is not None:
                self._sock.setsockopt(socket.IPPROTO_TCP, self._cork, 1)
                self._cork, self._is_corked = None, True
            sent = self._transfer.send(self._sock, piece, self._sent_bytes)
            assert sent or not length, f"{self._transfer.name} neither moved a byte nor raised"
            self.file_bytes += sent
        else:
            length = len(piece)
            unsent = memoryview(piece)[self._sent_bytes :] if self._sent_bytes else piece
            sent = self._sock.send(unsent, _MORE if more else 0)
        self._sent_bytes += sent
        if self._sent_bytes == length:
            self._pieces.popleft()
            self._sent_bytes = 0
        return sent
