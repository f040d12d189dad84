"""Requests that cost much are answered in threads of their own.

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

from zerocopy_lab.broker.serving import Served
from zerocopy_lab.errors import CloseConnection, KafkaError
from zerocopy_lab.protocol.framing import HangUp, Reply, Request
from zerocopy_lab.protocol.later import Later

_LOGGER = logging.getLogger(__name__)

#: A few, so that one request which creates thousands of files does not keep the others waiting; not
#: many, since each of them wants the interpreter as often as the network does.
THREADS = 4

#: So many bytes may wait, for each request is a copy of its frame. One of the largest
#: (socket.request.max.bytes: 100 MiB) fits, and so do many that are short, as when all clients come
#: back at once.
MOST_WAITING_BYTES = 128 << 20
_LEAST_BYTES = 4 << 10


class Aside:
    """The threads; one request of each connection at a time."""

    def __init__(self, threads: int = THREADS, name: str = "costly-requests") -> None:
        self._lock = Lock()
        self._waiting_bytes = 0
        self._threads = ThreadPoolExecutor(threads, name)

    def answer(
        self, request: Request, served: Served, failed: Callable[[Request, KafkaError], Reply]
    ) -> Later:
        """What the handler says to a copy of the request, or `failed` to the error that it raises.
        Raises CloseConnection when the request is too long, or too much waits.
        """
        length = len(request.frame)
        if length > served.most_bytes:
            raise CloseConnection(
                f"{request.api_key.name} of {length} bytes; {served.most_bytes} are allowed"
            )
        kept = request.kept()

        def work() -> Reply:
            try:
                return served.answer(kept)
            except KafkaError as error:
                return failed(kept, error)

        later = self.answer_later(length, work)
        if later is None:
            raise CloseConnection("too many costly requests wait already")
        return later

    def answer_later(self, kept_bytes: int, work: Callable[[], Reply]) -> Later | None:
        """What `work()` answers, later; a CloseConnection that it raises becomes a HangUp. None
        when too much waits already; `kept_bytes` are those of the request that it holds.
        """
        kept_bytes = max(kept_bytes, _LEAST_BYTES)
        if not self._take(kept_bytes):
            return None
        later = Later()
        self._threads.submit(self._run, work, kept_bytes, later)
        return later

    def call_soon(self, call: Callable[[], object]) -> None:
        """Make a call that concerns no request, or one that was counted before."""
        with suppress(RuntimeError):  # closed: nobody waits for it any more
            self._threads.submit(_logged, call)

    def _take(self, kept_bytes: int) -> bool:
        with self._lock:
            if self._waiting_bytes + kept_bytes > MOST_WAITING_BYTES:
                return False
            self._waiting_bytes += kept_bytes
            return True

    def _give_back(self, kept_bytes: int) -> None:
        with self._lock:
            self._waiting_bytes -= kept_bytes

    def close(self) -> None:
        """Answer nobody any more."""
        self._threads.shutdown(cancel_futures=True)

    def _run(self, work: Callable[[], Reply], kept_bytes: int, later: Later) -> None:
        try:
            reply = None if later.done else _reply_of(work)  # done: the client has hung up
        finally:
            self._give_back(kept_bytes)
        if reply is not None:  # who is answered may ask again at once, and finds room
            _hand_over(reply, later)


def _logged(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:
        _LOGGER.exception("a costly call failed")


def _reply_of(work: Callable[[], Reply]) -> Reply:
    try:
        return work()
    except CloseConnection as reason:
        return HangUp(str(reason))
    except Exception:
        _LOGGER.exception("a costly request failed")
        return HangUp("an error of this broker (see the traceback)")


def _hand_over(reply: Reply, later: Later) -> None:
    match reply:
        case Later():
            later.follow(reply)
        case answer:
            later.complete(answer)
