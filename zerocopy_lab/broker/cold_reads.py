"""Fetches of what is not in memory wait for the disk in threads of their own (`cold.read.threads`).

    fetch --> in memory?  yes: answered as ever
                          no:  a thread brings the pages in, then the network sends them

Without them a consumer that is late makes all others of its network thread wait, as in Kafka
(KAFKA-7504); lab 06 shows both. With them the network thread hears of a cold fetch again when its
pages are there. It stands around the handler, so the way of a byte does not know of it. The threads
begin with the first cold fetch. All others pay for two looks. Small ones look at where they begin
and at the end of that mebibyte, so that who goes on there need not look again.

Left to the network thread: a fetch that had to wait for an append, since what was just appended is
in memory; and pages that go again before they are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic

from zerocopy_lab.broker.own_thread import Aside
from zerocopy_lab.broker.serving import Handler
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.log.cold_pages import Cold, is_cold, unwaiting, warm_up
from zerocopy_lab.protocol.framing import Now, Reply, Request

_BLOCK_BYTES = 1 << 20
_FRESH_S = 0.002
"""So long it is taken for granted that what was in memory still is: some twenty small fetches of
one who asks again and again. Were it much longer, what went meanwhile would be taken for there.
"""
_MOST_REMEMBERED = 4096


class ColdReads:
    """The threads, and what stands around the handler of Fetch."""

    def __init__(self, threads: int) -> None:
        self._aside = Aside(threads, "cold-reads")
        # Descriptor and number of a block: from where to its end it is in memory, until when.
        self._warm: dict[tuple[int, int], tuple[int, float]] = {}

    def around(self, fetch: Handler) -> Handler:
        """A handler that never waits for the disk, as far as that can be told beforehand."""

        def answer(request: Request) -> Reply:
            try:
                with unwaiting:
                    reply = fetch(request)
            except Cold:  # to find the records takes the disk, too
                kept = request.kept()
                return self._later(len(kept.frame), lambda: _warmed(fetch(kept)))
            if isinstance(reply, Now):
                for piece in reply.pieces:
                    if isinstance(piece, FileSlice) and self._is_cold(piece):
                        return self._later(0, partial(_warmed, reply))
            return reply

        return answer

    def _is_cold(self, piece: FileSlice) -> bool:
        file, position, length = piece
        if length >= _BLOCK_BYTES:  # what it costs to send is a hundred looks
            return is_cold(piece)
        block = (position + length - 1) // _BLOCK_BYTES
        start, until_s = self._warm.get((file.fd, block), (0, 0.0))
        now_s = monotonic()
        if start <= position and now_s < until_s:
            return False
        whole = FileSlice(file, position, (block + 1) * _BLOCK_BYTES - position)
        if is_cold(whole):
            return is_cold(piece)
        if len(self._warm) >= _MOST_REMEMBERED:
            self._warm.clear()
        self._warm[file.fd, block] = position, now_s + _FRESH_S
        return False

    def _later(self, kept_bytes: int, work: Callable[[], Reply]) -> Reply:
        return self._aside.answer_later(kept_bytes, work) or work()

    def close(self) -> None:
        """Answer nobody any more."""
        self._aside.close()


def _warmed(reply: Reply) -> Reply:
    if isinstance(reply, Now):
        for piece in reply.pieces:
            if isinstance(piece, FileSlice):
                with suppress(OSError):  # who sends it will meet that, too, and say so
                    warm_up(piece)
    return reply
