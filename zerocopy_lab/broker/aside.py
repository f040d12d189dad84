"""Large requests that are no Produce are answered in a thread of their own.

A mebibyte of topic names takes a second or two to look up, and a network thread that is busy for a
second serves nobody else meanwhile. In another thread the same work takes as long, but the
interpreter gives the others their turn in between.

Kafka has request handler threads for everything. Here nearly all requests are answered faster than
they could be handed over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import cast

from zerocopy_lab.broker.deferred import Deferred
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol.exchange import Answer, Later, Reply

_log = logging.getLogger(__name__)

#: From this length on a request is put aside. Those of real clients are mostly below a kibibyte.
LARGE_BYTES = 16 << 10

#: So many may wait, each with a copy of its frame; whoever comes then is disconnected.
MOST_WAITING = 64


class Aside:
    """One thread, which answers one request after the other."""

    def __init__(self) -> None:
        self._places = BoundedSemaphore(MOST_WAITING)
        self._thread = ThreadPoolExecutor(1, "large-requests")

    def answer_later(self, work: Callable[[], Reply]) -> Deferred[Answer]:
        """What `work()` answers, later; a CloseConnection that it raises is handed over like an
        answer.

        Raises CloseConnection when too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise CloseConnection(f"{MOST_WAITING} large requests wait already")
        later: Deferred[Answer] = Deferred()
        self._thread.submit(self._run, work, later)
        return later

    def close(self) -> None:
        """Answer nobody any more."""
        self._thread.shutdown(cancel_futures=True)

    def _run(self, work: Callable[[], Reply], later: Deferred[Answer]) -> None:
        try:
            reply = work()
        except CloseConnection as reason:
            later.complete(reason)
        except Exception:
            _log.exception("a large request failed")
            later.complete(CloseConnection("an error of this broker (see the traceback)"))
        else:
            if reply is None or isinstance(reply, (list, tuple)):
                later.complete(reply)
            else:
                _chain(cast(Later, reply), later)
        finally:
            self._places.release()


def _chain(reply: Later, later: Deferred[Answer]) -> None:
    reply.on_complete(lambda answer: _complete(later, answer))


def _complete(later: Deferred[Answer], answer: Answer) -> None:
    later.complete(answer)
