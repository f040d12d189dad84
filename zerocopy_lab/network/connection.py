"""One client: bytes come in, a handler answers, pieces go out.

The states, of which exactly one holds:

    reading   waiting for (the rest of) a request
    waiting   a request was handled, its response will come later; only a hang-up is of interest
    sending   the socket is full; nothing is read before the response is gone

One request at a time, as in Kafka: answers stay in order, and a client that asks without reading
stands still.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import cast

from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.network.inbox import BufferLoan, Inbox
from zerocopy_lab.network.outbox import Outbox
from zerocopy_lab.network.reactor import READ, WRITE, Reactor
from zerocopy_lab.protocol.exchange import Client, Handler, Later, Reply
from zerocopy_lab.protocol.framing import Pieces
from zerocopy_lab.transfer import Transfer

log = logging.getLogger(__name__)


class Connection:
    """Belongs to the thread of its reactor. `on_close` is called once, with the connection."""

    def __init__(
        self,
        sock: socket.socket,
        client: Client,
        reactor: Reactor,
        loan: BufferLoan,
        handler: Handler,
        transfer: Transfer,
        limit_bytes: int,
        on_close: Callable[[Connection], None],
    ) -> None:
        self.client = client
        self._sock = sock
        self._reactor = reactor
        self._handler = handler
        self._transfer = transfer
        self._inbox = Inbox(loan, limit_bytes)
        self.outbox = Outbox(sock, transfer)
        self._on_close = on_close
        self._later: Later | None = None
        self._closed = False
        self._events = READ
        reactor.watch(sock, READ, self._on_ready)

    def close(self, reason: str | None = None) -> None:
        """End the connection; with a `reason`, say so in the log. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if reason is not None:
            log.warning("closed the connection of %s: %s", self.client, reason)
        if self._events:
            self._reactor.forget(self._sock)
        self._inbox.close()
        if self._later is not None:
            self._later.abandon()
        self._transfer.close()
        self._sock.close()
        self._on_close(self)

    def _on_ready(self, events: int) -> None:
        self._proceed(self._flush if events & self._events & WRITE else self._receive)

    def _proceed(self, step: Callable[[], None]) -> None:
        """Take a step; whatever goes wrong in it is the end of this connection and of no other."""
        try:
            step()
        except BlockingIOError:
            # Ready, yet nothing to read: reports in the error queue wake us until they are taken.
            self._transfer.settle(self._sock)
        except CloseConnection as reason:
            self.close(str(reason))
        except ConnectionError as hang_up:
            log.debug("%s hung up: %s", self.client, hang_up)
            self.close()
        except OSError as failure:
            self.close(f"{type(failure).__name__}: {failure}")
        except Exception:
            self.close("an error of this broker (see the traceback)")
            raise

    def _receive(self) -> None:
        if self._later is not None and not self._inbox.has_room:
            self._want(0)  # a client that sends on and on while it waits for its answer
        elif self._inbox.receive(self._sock) == 0:
            self.close()
        else:
            self._handle_frames()

    def _handle_frames(self) -> None:
        """Handle what has arrived, until a response must be waited for."""
        while self._later is None and not (self._closed or self.outbox):
            frame = self._inbox.next_frame()
            if frame is None:
                self._want(READ)
                return
            reply = self._handler(frame, self.client)
            del frame
            self._inbox.done()
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        if reply is None:
            return
        if isinstance(reply, (list, tuple)):
            self._send(reply)
            return
        self._later = cast(Later, reply)
        self._later.on_complete(
            lambda pieces: self._reactor.call_soon(lambda: self._resume(pieces))
        )

    def _resume(self, pieces: Pieces | None) -> None:
        """The response that was waited for is there."""
        if not self._closed:
            self._later = None
            self._proceed(lambda: self._answer_and_go_on(pieces))

    def _answer_and_go_on(self, pieces: Pieces | None) -> None:
        self._answer(pieces)
        self._handle_frames()

    def _send(self, pieces: Pieces) -> None:
        self.outbox.put(pieces)
        if not self.outbox.drain():
            self._want(WRITE)

    def _flush(self) -> None:
        if self.outbox.drain():
            self._want(READ)
            self._handle_frames()

    def _want(self, events: int) -> None:
        """Tell the selector what we wait for, if that has changed."""
        if events == self._events:
            return
        if not events:
            self._reactor.forget(self._sock)
        elif not self._events:
            self._reactor.watch(self._sock, events, self._on_ready)
        else:
            self._reactor.change(self._sock, events, self._on_ready)
        self._events = events
