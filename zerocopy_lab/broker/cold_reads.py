"""Fetches of what is not in memory wait for the disk in threads of their own (`cold.read.threads`).

    fetch --> in memory?  yes: answered as ever                        (a look costs 2 µs)
                          no:  a thread brings the pages in, then the network sends them

Without it a consumer that is late makes all others of its network thread wait, as in Kafka
(KAFKA-7504); lab 06 shows that. With it they do not: the network thread hears of a cold fetch again
when its pages are there. It stands around the handler, so the way of a byte does not know of it.

Left to the network thread: a fetch that had to wait for an append, since what was just appended is
in memory; and pages that go again before they are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from zerocopy_lab.broker.own_thread import Aside
from zerocopy_lab.broker.serving import Handler
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.log.cold_pages import Cold, is_cold, unwaiting, warm_up, why_not_here
from zerocopy_lab.protocol.framing import Now, Reply, Request


class ColdReads:
    """The threads, and what stands around the handler of Fetch."""

    def __init__(self, threads: int) -> None:
        """Raises ValueError where it cannot be told what is in memory."""
        if reason := why_not_here():
            raise ValueError(f"cold.read.threads={threads}: {reason}")
        self._aside = Aside(threads, "cold-reads")

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
                    if isinstance(piece, FileSlice) and is_cold(piece):
                        return self._later(0, partial(_warmed, reply))
            return reply

        return answer

    def _later(self, kept_bytes: int, work: Callable[[], Reply]) -> Reply:
        return self._aside.answer_later(kept_bytes, work) or work()

    def close(self) -> None:
        """Answer nobody any more."""
        self._aside.close()


def _warmed(reply: Reply) -> Reply:
    if isinstance(reply, Now):
        for piece in reply.pieces:
            if isinstance(piece, FileSlice):
                warm_up(piece)
    return reply
