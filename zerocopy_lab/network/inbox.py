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
import sys
from collections import deque
from collections.abc import Callable
from threading import Lock

from zerocopy_lab.errors import FrameError
from zerocopy_lab.network.quotas import Limits
from zerocopy_lab.protocol.framing import LENGTH, Client

Buffer = bytearray | mmap.mmap

SMALL_BYTES = 4096
_KEPT_BYTES = 8 << 20


class RequestMemory:
    """Bytes lent to requests that are arriving, all connections together; who gets none waits its
    turn.

    A single request may always have what it needs, else one that is larger than the limit would
    wait for ever. Kafka's counterpart is `SimpleMemoryPool`, which mutes connections in the same
    way. Thread-safe.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes if limit_bytes >= 0 else sys.maxsize
        self._lock = Lock()
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self.lent_bytes = 0
        self.waits = 0  # how often somebody had to

    def take(self, length_bytes: int, granted: Callable[[], None]) -> bool:
        """Take the bytes now (True), or have `granted()` called, from any thread, when they are
        taken for you.
        """
        with self._lock:
            if not self._queue and self._fits(length_bytes):
                self.lent_bytes += length_bytes
                return True
            self._queue.append((length_bytes, granted))
            self.waits += 1
            return False

    def give_back(self, length_bytes: int) -> None:
        """The bytes are free; whoever comes first in the queue and fits gets them."""
        with self._lock:
            self.lent_bytes -= length_bytes
            lucky = []
            while self._queue and self._fits(self._queue[0][0]):
                length_bytes, granted = self._queue.popleft()
                self.lent_bytes += length_bytes
                lucky.append(granted)
        for granted in lucky:
            granted()

    def leave_queue(self, length_bytes: int, granted: Callable[[], None]) -> None:
        """Whoever waited is gone. If its turn had just come, somebody else gets the bytes."""
        with self._lock:
            waiting = (length_bytes, granted) in self._queue
            if waiting:
                self._queue.remove((length_bytes, granted))
        # Without the one that left, the next in the queue may fit.
        self.give_back(0 if waiting else length_bytes)

    def _fits(self, length_bytes: int) -> bool:
        return not self.lent_bytes or self.lent_bytes + length_bytes <= self._limit_bytes


class ReceiveBuffers:
    """The large receive buffers of one network thread: what comes back is lent again, up to 8 MiB
    in all. `memory` is that of all threads.
    """

    def __init__(self, memory: RequestMemory) -> None:
        self.memory = memory
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
        buffers: ReceiveBuffers,
        client: Client,
        limits: Limits,
        on_memory: Callable[[], None],
    ) -> None:
        """`on_memory` is called, from any thread, when `go_on` should be: there is memory now."""
        self._buffers = buffers
        self._memory = buffers.memory
        self._client = client
        self._limits = limits
        self._on_memory = on_memory
        self.lacks_bytes = 0  # of memory, for the frame that has begun: receive nothing meanwhile
        self.received_bytes = 0
        self.frames = 0
        self._small = memoryview(bytearray(SMALL_BYTES))
        self._begin = self._end = 0  # the unread part of the small buffer
        self._large: Buffer | None = None
        self._large_view = memoryview(b"")
        self._filled_bytes = 0
        self._is_out = False  # whether the handler has the frame

    @property
    def has_room(self) -> bool:
        """Whether `fill` can take anything before a frame is handled."""
        return self._large is not None or self._end < SMALL_BYTES or self._begin > 0

    @property
    def has_part_of_a_frame(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return self._large is not None or self._end > self._begin

    def receive(self, sock: socket.socket) -> memoryview | None:
        """One recv, and the frame that is whole now, as `next_frame` has it.

        Two, when a large one begins: the rest is mostly there, and a turn of the loop costs more.
        """
        had_begun = self._large is not None
        self.fill(sock)
        frame = self.next_frame()
        if self._large is None or had_begun:
            return frame
        self.fill(sock)
        return self.next_frame()

    def fill(self, sock: socket.socket) -> None:
        """One recv. Raises BlockingIOError when nothing is there, ConnectionError when the client
        has closed.
        """
        if self._large is not None:
            received = sock.recv_into(self._large_view[self._filled_bytes :])
            self._filled_bytes += received
        else:
            if self._begin:
                unread = self._end - self._begin
                self._small[:unread] = self._small[self._begin : self._end]
                self._begin, self._end = 0, unread
            received = sock.recv_into(self._small[self._end :])
            self._end += received
        if not received:
            raise ConnectionError("it closed the connection")
        self.received_bytes += received

    def next_frame(self) -> memoryview | None:
        """The next whole frame without its length, or None; the view is good until `done`, or until
        the next is asked for. Raises FrameError for a length that cannot be, before the rest comes.
        """
        if self._is_out:
            self.done()
        if self._large is not None:
            self._is_out = self._filled_bytes == len(self._large_view)
            return self._large_view if self._is_out else None
        available = self._end - self._begin - LENGTH.size
        if available < 0 or self.lacks_bytes:
            return None
        (length,) = LENGTH.unpack_from(self._small, self._begin)
        if 0 <= length <= available:
            self._is_out = True
            body_at = self._begin + LENGTH.size
            self._begin = body_at + length
            return self._small[body_at : self._begin]
        if not 0 <= length <= SMALL_BYTES - LENGTH.size:
            self._make_room(length)
        return None

    def done(self) -> None:
        """Nobody holds a view of the frame any more that `next_frame` gave."""
        if self._is_out:
            self._is_out = False
            self.frames += 1
            if self._large is not None:
                self._give_back()
            elif self._begin == self._end:
                self._begin = self._end = 0

    def go_on(self) -> None:
        """The memory that was waited for is ours: make room for the frame."""
        length, self.lacks_bytes = self.lacks_bytes, 0
        self._move_to_large(length)

    def close(self) -> None:
        """The connection is gone: a buffer that was being filled goes back."""
        if self._large is not None:
            self._give_back()
        elif self.lacks_bytes:
            self._memory.leave_queue(self.lacks_bytes, self._on_memory)
        del self._on_memory  # it is the connection's, and this the connection's inbox: a circle

    def _make_room(self, length: int) -> None:
        """For a large frame. A stranger's four bytes must not make us reserve two gigabytes, and
        who has not said yet who it is has little to say.
        """
        limit, name = self._limits.socket_request_max_bytes, "socket.request.max.bytes"
        if not self._client.authenticated:
            limit_before = self._limits.sasl_server_max_receive_size
            limit, name = min((limit, name), (limit_before, "sasl.server.max.receive.size"))
        if length < 0:
            raise FrameError(f"a frame of negative length {length}")
        if length > limit:
            raise FrameError(f"a frame of {length} bytes, over {name}={limit}")
        if self._memory.take(length, self._on_memory):
            self._move_to_large(length)
        else:
            self.lacks_bytes = length

    def _move_to_large(self, length: int) -> None:
        body_at = self._begin + LENGTH.size
        self._large = self._buffers.take(length)
        self._large_view = memoryview(self._large)[:length]
        self._filled_bytes = self._end - body_at
        self._large_view[: self._filled_bytes] = self._small[body_at : self._end]
        self._begin = self._end = 0

    def _give_back(self) -> None:
        assert self._large is not None
        self._memory.give_back(len(self._large_view))
        self._large_view = memoryview(b"")
        self._buffers.give_back(self._large)
        self._large = None
