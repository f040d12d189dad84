"""Requests that cost much are answered in a thread of their own.

A mebibyte of topic names takes a second or two to look up, and a batch that the broker has to open
may unpack to 32 MiB. A network thread that is busy for so long serves nobody else meanwhile. In
another thread the same work takes as long, but the interpreter gives the others their turn in
between, and what a codec does needs no interpreter at all.

Kafka has request handler threads for everything. Here nearly all requests are answered faster than
they could be handed over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock

from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol.framing import HangUp, Later, Reply

log = logging.getLogger(__name__)

#: So many may wait, and so many bytes of theirs, for each is a copy of its frame. One frame of
#: `socket.request.max.bytes`, 100 MiB by default, fits.
MOST_WAITING = 64
MOST_WAITING_BYTES = 128 << 20


class Aside:
    """One thread, which answers one request after the other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting = self._waiting_bytes = 0
        self._thread = ThreadPoolExecutor(1, "costly-requests")

    def answer_later(self, kept_bytes: int, work: Callable[[], Reply]) -> Later | None:
        """What `work()` answers, later; a CloseConnection that it raises becomes a HangUp. None
        when too much waits already; `kept_bytes` are those of the request that it holds.
        """
        if not self._take(kept_bytes):
            return None
        later = Later()
        self._thread.submit(self._run, work, kept_bytes, later)
        return later

    def call_soon(self, call: Callable[[], None]) -> None:
        """Make a call that concerns no request, or one that was counted before."""
        with suppress(RuntimeError):  # closed: nobody waits for it any more
            self._thread.submit(_logged, call)

    def _take(self, kept_bytes: int) -> bool:
        with self._lock:
            if (
                self._waiting >= MOST_WAITING
                or self._waiting_bytes + kept_bytes > MOST_WAITING_BYTES
            ):
                return False
            self._waiting += 1
            self._waiting_bytes += kept_bytes
            return True

    def _give_back(self, kept_bytes: int) -> None:
        with self._lock:
            self._waiting -= 1
            self._waiting_bytes -= kept_bytes

    def close(self) -> None:
        """Answer nobody any more."""
        self._thread.shutdown(cancel_futures=True)

    def _run(self, work: Callable[[], Reply], kept_bytes: int, later: Later) -> None:
        try:
            if not later.done:  # else the client has hung up meanwhile
                _hand_over(_reply_of(work), later)
        finally:
            self._give_back(kept_bytes)


def _logged(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        log.exception("a costly call failed")


def _reply_of(work: Callable[[], Reply]) -> Reply:
    try:
        return work()
    except CloseConnection as reason:
        return HangUp(str(reason))
    except Exception:
        log.exception("a costly request failed")
        return HangUp("an error of this broker (see the traceback)")


def _hand_over(reply: Reply, later: Later) -> None:
    match reply:
        case Later():
            later.follow(reply)
        case answer:
            later.complete(answer)
