"""What a transfer strategy is: the one method that moves bytes of a file into a socket.

A `FileSlice` says *which* bytes (an open file, a position, a length) and has no `read()`. A
strategy is the only code that holds that file and a socket in the same hand. It moves *some* bytes
and says how many; calling again after a partial send, and waiting while the socket is full, is the
caller's business (the broker's outbox does it in its event loop).

A strategy of your own needs a name and `send`:

    class PreadThenSend(Transfer):
        name = "pread_then_send"

        def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
            left_bytes = piece.length - sent_bytes
            chunk = os.pread(piece.file.fd, min(4096, left_bytes), piece.position + sent_bytes)
            return sock.send(chunk) if chunk else self.nothing_came(piece, sent_bytes)

and `zerocopy_lab.conformance.transfer_strategies` tells whether it keeps the promises below.

Compared with Kafka: there `FileRecords.writeTo` knows exactly two ways, `FileChannel.transferTo`
(sendfile) for plain sockets and read + encrypt + write for TLS.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import ClassVar

from zerocopy_lab.errors import FileShrank
from zerocopy_lab.file_slice import FileSlice

MOST_BYTES_PER_CALL = 0x7FFF_F000
"""Linux moves no more in one read, write, sendfile or splice: 2 GiB less a page (sendfile(2))."""


class Transfer(ABC):
    """One way from file to socket; one object per connection, used by one thread at a time."""

    name: ClassVar[str]
    """The phrase of its system calls, as `--transfer` takes it."""

    default_chunk_bytes: ClassVar[int] = MOST_BYTES_PER_CALL

    tcp_only: ClassVar[bool] = False
    """True: not for unix sockets."""

    needs_tls: ClassVar[bool] = False
    """True: for `ssl.SSLSocket` alone; False: for plain sockets alone."""

    descriptors: ClassVar[int] = 0
    """The most that one object holds beside the socket and the file."""

    def __init__(self, chunk_bytes: int | None = None) -> None:
        """`chunk_bytes`: the most that one round of system calls moves; None: a default."""
        if chunk_bytes is not None and not 1 <= chunk_bytes <= MOST_BYTES_PER_CALL:
            raise ValueError(
                f"chunk_bytes is {chunk_bytes}; one call can move 1 to {MOST_BYTES_PER_CALL} bytes"
            )
        self.chunk_bytes = self.default_chunk_bytes if chunk_bytes is None else chunk_bytes

    @classmethod
    def unavailable(cls) -> str | None:
        """None where this machine can run the strategy, else the reason, found by trying."""
        return None

    @abstractmethod
    def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
        """Move some of the piece beyond its first `sent_bytes` into the socket: how many bytes.

        At least 1, or 0 only when nothing was left. The caller adds the result to `sent_bytes` and
        calls again with the same piece until all of it went; bytes taken from the file but not yet
        accepted by the socket stay in here. Never moves a byte beyond the slice.
        Raises BlockingIOError when the socket takes nothing now, FileShrank when the file ends
        inside the slice, and the socket's own errors (BrokenPipeError, ConnectionResetError).
        """

    def settle(self, sock: socket.socket) -> None:  # noqa: B027 - most have nothing to settle
        """Take what the kernel reports about earlier sends (only send_with_msg_zerocopy has any).

        For event loops: while reports wait, the selector keeps calling the socket ready.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back pipes and mappings; twice is safe. Socket and file stay the caller's."""

    def nothing_came(self, piece: FileSlice, sent_bytes: int) -> int:
        """What an empty read means: 0 at the end of the slice, FileShrank at an end inside it."""
        if sent_bytes >= piece.length:
            return 0
        raise FileShrank(
            f"{piece.file.path} ends before its byte {piece.position + sent_bytes + 1}, but the "
            f"slice of {piece.length} bytes from {piece.position} needs it: the file was truncated "
            "while being sent. Close the connection, the receiver cannot make sense of the rest"
        )
