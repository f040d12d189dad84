"""send_with_msg_zerocopy: the socket holds our own memory, here a mapping of the file, not a copy.

    page cache = our address space --(pinned pages)--> socket queue --> network card
                                                            `-- report: sent, and whether COPIED

send(2) returns before the bytes have left, so the kernel reports later, through the socket's error
queue, that it needs the memory no longer. Until then the memory must not *change*. (It may be
unmapped: the kernel has pinned the pages.) A log never changes what it has written; a program that
sends from a buffer of its own must keep the buffer until its report.

Each report covers a range of sends and says whether the kernel copied after all. On loopback it
always does, because a local receiver could otherwise hold foreign memory for ever; so there this
strategy costs more than the copy it was to save. On a network card it pays from about 10 KiB a
send.

Numbers and structures: Linux Documentation/networking/msg_zerocopy.rst, <linux/errqueue.h>:

    struct sock_extended_err, 16 bytes, native byte order
      0  u32  ee_errno    0
      4  u8   ee_origin   5  SO_EE_ORIGIN_ZEROCOPY
      5  u8   ee_type
      6  u8   ee_code     1  SO_EE_CODE_ZEROCOPY_COPIED
      7  u8   ee_pad
      8  u32  ee_info     number of the first send reported, from 0
     12  u32  ee_data     number of the last
"""

from __future__ import annotations

import errno
import socket
import struct
import sys

from zerocopy_lab.transfer.mmap_then_send import MmapThenSend

_SO_ZEROCOPY = 60
_MSG_ZEROCOPY = 0x400_0000
_MSG_ERRQUEUE = 0x2000
_FROM_ZEROCOPY = 5
_COPIED = 1
_EXTENDED_ERROR = struct.Struct("=IBBBBII")


class SendWithMsgZerocopy(MmapThenSend):
    """mmap(2), then send(2) with MSG_ZEROCOPY; counts what the kernel reports. TCP only."""

    name = "send_with_msg_zerocopy"
    tcp_only = True

    def __init__(self, chunk_bytes: int | None = None) -> None:
        super().__init__(chunk_bytes)
        self._prepared: socket.socket | None = None
        self.sends = 0
        """How many sends the kernel took with the promise to report."""
        self.reported_sends = 0
        """How many of them it has reported as done."""
        self.copied_sends = 0
        """For how many of those it said COPIED: nothing was saved."""

    @classmethod
    def unavailable(cls) -> str | None:
        """Ask for SO_ZEROCOPY on a socket (Linux >= 4.14)."""
        if not sys.platform.startswith("linux"):
            return f"{sys.platform} has no MSG_ZEROCOPY"
        with socket.socket() as probe:
            try:
                probe.setsockopt(socket.SOL_SOCKET, _SO_ZEROCOPY, 1)
            except OSError as refusal:
                return f"this kernel refuses SO_ZEROCOPY: {refusal.strerror}"
        return None

    def settle(self, sock: socket.socket) -> None:
        """Take one report from the error queue, if one is there."""
        try:
            _, ancillary, _, _ = sock.recvmsg(0, 128, _MSG_ERRQUEUE)
        except BlockingIOError:
            return
        for _, _, content in ancillary:
            fields = _EXTENDED_ERROR.unpack_from(content)
            _, origin, _, code, _, first_send, last_send = fields
            if origin == _FROM_ZEROCOPY:
                count = ((last_send - first_send) & 0xFFFF_FFFF) + 1  # the numbers wrap at 2**32
                self.reported_sends += count
                self.copied_sends += count if code & _COPIED else 0

    def _send_chunk(self, sock: socket.socket, chunk: memoryview) -> int:
        if self._prepared is not sock:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ZEROCOPY, 1)
            self._prepared = sock
        self.settle(sock)  # one report per send keeps the queue, which counts as our memory, short
        try:
            moved_bytes = sock.send(chunk, _MSG_ZEROCOPY)
        except OSError as failure:
            if failure.errno != errno.ENOBUFS:
                raise
            # Too many reports outstanding (net.core.optmem_max) or pages pinned (RLIMIT_MEMLOCK).
            return sock.send(chunk)
        self.sends += 1
        return moved_bytes
