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
from threading import Lock
from typing import cast

from zerocopy_lab.broker.deferred import Deferred
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol.exchange import Answer, Later, Reply

_log = logging.getLogger(__name__)

#: From this length on a request is put aside. Those of real clients are mostly below a kibibyte.
LARGE_BYTES = 16 << 10

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

    def answer_later(
        self, frame: memoryview, work: Callable[[memoryview], Reply]
    ) -> Deferred[Answer] | None:
        """What `work` answers to a copy of the frame, later; a CloseConnection that it raises is
        handed over like an answer. None when too much waits already.
        """
        if not self._take(len(frame)):
            return None
        copy = memoryview(bytearray(frame))  # the network wants its buffer back
        later: Deferred[Answer] = Deferred()
        self._thread.submit(self._run, work, copy, later)
        return later

    def _take(self, frame_bytes: int) -> bool:
        with self._lock:
            if (
                self._waiting >= MOST_WAITING
                or self._waiting_bytes + frame_bytes > MOST_WAITING_BYTES
            ):
                return False
            self._waiting += 1
            self._waiting_bytes += frame_bytes
            return True

    def _give_back(self, frame_bytes: int) -> None:
        with self._lock:
            self._waiting -= 1
            self._waiting_bytes -= frame_bytes

    def close(self) -> None:
        """Answer nobody any more."""
        self._thread.shutdown(cancel_futures=True)

    def _run(
        self, work: Callable[[memoryview], Reply], frame: memoryview, later: Deferred[Answer]
    ) -> None:
        try:
            reply = work(frame)
        except CloseConnection as reason:
            later.complete(reason)
        except Exception:
            _log.exception("a costly request failed")
            later.complete(CloseConnection("an error of this broker (see the traceback)"))
        else:
            if reply is None or isinstance(reply, (list, tuple)):
                later.complete(reply)
            else:
                _chain(cast(Later, reply), later)
        finally:
            self._give_back(len(frame))


def _chain(reply: Later, later: Deferred[Answer]) -> None:
    reply.on_complete(lambda answer: _complete(later, answer))


def _complete(later: Deferred[Answer], answer: Answer) -> None:
    later.complete(answer)
