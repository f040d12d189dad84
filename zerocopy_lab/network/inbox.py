"""Bytes from a socket, until they are a whole frame.

Small requests (nearly all but Produce) arrive in a small buffer of the connection, often in one
recv. When a frame is larger, what the small buffer holds of it moves, once, into a buffer of the
frame's exact length, and the rest is received straight into its place. These large buffers are lent
by the network thread: a connection has one only while a frame is arriving, so that idle clients
cost nothing, and one that is used again costs no page faults. All that are lent together have a
limit (`RequestMemory`); beyond it a frame waits in the socket.

    socket --recv_into--> buffer --memoryview--> handler --write(2) of that view--> page cache

So the payload of a Produce is copied twice on its way to the page cache, by the kernel each time:
out of the socket and into the file. Both are the CPU's work, whatever the network card does (claim
D1 of the labs).
"""

from __future__ import annotations

import mmap
import socket
from collections.abc import Callable

from zerocopy_lab.network.quotas import RequestMemory
from zerocopy_lab.protocol.framing import LENGTH, frame_length

Buffer = bytearray | mmap.mmap

SMALL_BYTES = 4096
_KEPT_BYTES = 8 << 20


class BufferLoan:
    """The large receive buffers of one network thread: what comes back is lent again, up to 8 MiB
    in all.
    """

    def __init__(self) -> None:
        self._spare: list[bytearray] = []  # by length, shortest first

    def take(self, length_bytes: int) -> Buffer:
        """A buffer of at least `length_bytes`; its content is left over from before."""
        for index, buffer in enumerate(self._spare):
            if len(buffer) >= length_bytes:
                return self._spare.pop(index)
        if length_bytes > _KEPT_BYTES:
            # The kernel makes its pages one by one, on first touch: what a client announces and
            # does not send costs nothing. A bytearray would be filled with zeros here.
            return mmap.mmap(-1, length_bytes)
        return bytearray(length_bytes)

    def give_back(self, buffer: Buffer) -> None:
        """The borrower has no view of `buffer` any more."""
        if isinstance(buffer, mmap.mmap):
            return  # its pages go back to the system with the last reference
        self._spare.append(buffer)
        self._spare.sort(key=len)
        while sum(map(len, self._spare)) > _KEPT_BYTES:
            self._spare.pop()


class Inbox:
    """What has arrived from one client and was not handled yet."""

    def __init__(
        self,
        loan: BufferLoan,
        memory: RequestMemory,
        limit_bytes: int,
        on_memory: Callable[[], None],
    ) -> None:
        """`on_memory` is called, from any thread, when `go_on` should be: there is memory now."""
        self._loan = loan
        self._memory = memory
        self._limit_bytes = limit_bytes
        self._on_memory = on_memory
        self._waiting_for_bytes = 0  # of memory, for the frame that has begun
        self.received_bytes = 0
        self.frames = 0
        self._small = memoryview(bytearray(SMALL_BYTES))
        self._begin = self._end = 0  # the unread part of the small buffer
        self._large: Buffer | None = None
        self._large_view = memoryview(b"")
        self._filled_bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether `receive` can take anything before a frame is handled."""
        return self._large is not None or self._end < SMALL_BYTES or self._begin > 0

    @property
    def is_waiting_for_memory(self) -> bool:
        """Whether nothing should be received until `go_on`."""
        return self._waiting_for_bytes > 0

    @property
    def has_part_of_a_frame(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return self._large is not None or self._end > self._begin

    def receive(self, sock: socket.socket) -> int:
        """One recv; how many bytes came, 0 when the client has closed. Raises BlockingIOError when
        nothing is there.
        """
        if self._large is not None:
            received = sock.recv_into(self._large_view[self._filled_bytes :])
            self._filled_bytes += received
            self.received_bytes += received
            return received
        if self._begin:
            unread = self._end - self._begin
            self._small[:unread] = self._small[self._begin : self._end]
            self._begin, self._end = 0, unread
        received = sock.recv_into(self._small[self._end :])
        self._end += received
        self.received_bytes += received
        return received

    def next_frame(self) -> memoryview | None:
        """The next whole frame without its length, or None. The view is good until `done`; raises
        FrameError.
        """
        if self._large is not None:
            return self._large_view if self._filled_bytes == len(self._large_view) else None
        available = self._end - self._begin
        if available < LENGTH.size or self._waiting_for_bytes:
            return None
        body_at = self._begin + LENGTH.size
        length = frame_length(self._small, self._limit_bytes, self._begin)
        if available - LENGTH.size >= length:
            self._begin = body_at + length
            return self._small[body_at : self._begin]
        if LENGTH.size + length > SMALL_BYTES:
            if self._memory.take(length, self._on_memory):
                self._move_to_large(body_at, length)
            else:
                self._waiting_for_bytes = length
        return None

    def go_on(self) -> None:
        """The memory that was waited for is ours: make room for the frame."""
        length, self._waiting_for_bytes = self._waiting_for_bytes, 0
        self._move_to_large(self._begin + LENGTH.size, length)

    def done(self) -> None:
        """The frame that `next_frame` gave has been handled: nobody holds a view of it any more."""
        self.frames += 1
        if self._large is not None:
            self._give_back()
        elif self._begin == self._end:
            self._begin = self._end = 0

    def close(self) -> None:
        """The connection is gone: a buffer that was being filled goes back."""
        if self._large is not None:
            self._give_back()
        elif self._waiting_for_bytes:
            self._memory.leave_queue(self._waiting_for_bytes, self._on_memory)

    def _move_to_large(self, body_at: int, length: int) -> None:
        self._large = self._loan.take(length)
        self._large_view = memoryview(self._large)[:length]
        self._filled_bytes = self._end - body_at
        self._large_view[: self._filled_bytes] = self._small[body_at : self._end]
        self._begin = self._end = 0

    def _give_back(self) -> None:
        assert self._large is not None
        self._memory.give_back(len(self._large_view))
        self._large_view = memoryview(b"")
        self._loan.give_back(self._large)
        self._large = None
