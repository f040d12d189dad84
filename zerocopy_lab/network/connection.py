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
import ssl
from collections.abc import Callable

from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.network.inbox import BufferLoan, Inbox
from zerocopy_lab.network.outbox import Outbox
from zerocopy_lab.network.quotas import Limits, RequestMemory
from zerocopy_lab.network.reactor import READ, WRITE, Reactor
from zerocopy_lab.network.tls import principal_of
from zerocopy_lab.protocol.framing import (
    Answer,
    Client,
    FrameHandler,
    HangUp,
    Later,
    Now,
    Pieces,
    Reply,
)
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
        handler: FrameHandler,
        transfer: Transfer,
        limits: Limits,
        memory: RequestMemory,
        on_close: Callable[[Connection], None],
    ) -> None:
        self.client = client
        self._sock = sock
        self._reactor = reactor
        self._handler = handler
        self._transfer = transfer
        self._limits = limits
        self.inbox = Inbox(loan, memory, limits.socket_request_max_bytes, self._on_memory)
        self.outbox = Outbox(sock, transfer)
        self._on_close = on_close
        self._later: Later | None = None
        self._closed = False
        self.cut_off: str | None = None  # the setting that ended it
        self._was_active = True
        self._active_at_s = self._part_since_s = 0.0
        self._part_of_frame = -1
        # What TLS has decrypted already is not in the socket, so the selector does not know of it.
        tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._unseen_bytes = tls.pending if tls else None
        self._events = READ
        self._has_name = tls is None
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
        self.inbox.close()
        self.outbox.clear()  # whoever still refers to this connection holds no file through it
        if self._later is not None:
            self._later.abandon()
            self._later = None
        self._transfer.close()
        self._sock.close()
        self._on_close(self)

    def look_after(self, now_s: float) -> None:
        """End the connection if it has been idle, or in the middle of a request, for too long."""
        if self._was_active or self._later is not None:
            self._was_active, self._active_at_s = False, now_s
        elif _is_over(now_s - self._active_at_s, self._limits.connections_max_idle_ms):
            self.cut_off = "connections.max.idle.ms"
            self.close(f"idle for {now_s - self._active_at_s:.0f} s ({self.cut_off})")
            return
        is_waiting = self._later is not None or self.outbox or self.inbox.is_waiting_for_memory
        if is_waiting or not self.inbox.has_part_of_a_frame:
            self._part_of_frame = -1
        elif self._part_of_frame != self.inbox.frames:
            self._part_of_frame, self._part_since_s = self.inbox.frames, now_s
        elif _is_over(now_s - self._part_since_s, self._limits.request_arrival_max_ms):
            self.cut_off = "request.arrival.max.ms"
            self.close(f"a request did not arrive in time ({self.cut_off})")

    def _on_memory(self) -> None:
        self._reactor.call_soon(self._go_on)

    def _go_on(self) -> None:
        """There is memory for the large request that has begun."""
        if not self._closed:
            self.inbox.go_on()
            self._proceed(self._handle_frames)

    def _on_ready(self, events: int) -> None:
        self._was_active = True
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
        if self._later is not None and not self.inbox.has_room:
            self._want(0)  # a client that sends on and on while it waits for its answer
        elif self.inbox.receive(self._sock) == 0:
            self.close()
        else:
            if not self._has_name:
                self._take_name()
            self._handle_frames()

    def _take_name(self) -> None:
        """The TLS handshake is over: the client may have shown a certificate."""
        self._has_name = True
        self.client.principal = principal_of(self._sock) or self.client.principal

    def _handle_frames(self) -> None:
        """Handle what has arrived, until a response must be waited for."""
        while self._later is None and not (self._closed or self.outbox):
            frame = self.inbox.next_frame()
            if frame is None:
                if self.inbox.is_waiting_for_memory:
                    self._want(0)
                elif self._unseen_bytes is not None and self._unseen_bytes():
                    self.inbox.receive(self._sock)
                    continue
                else:
                    self._want(READ)
                return
            reply = self._handler(frame, self.client)
            del frame
            self.inbox.done()
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        match reply:
            case Now(pieces):
                self._send(pieces)
            case Later():
                self._later = reply
                reply.on_complete(self._resume_soon)
            case HangUp(reason):
                self.close(reason)

    def _resume_soon(self, answer: Answer) -> None:
        """The answer is there; from any thread."""
        self._reactor.call_soon(lambda: self._resume(answer))

    def _resume(self, answer: Answer) -> None:
        if not self._closed:
            self._later = None
            self._proceed(lambda: self._answer_and_go_on(answer))

    def _answer_and_go_on(self, answer: Answer) -> None:
        self._answer(answer)
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


def _is_over(passed_s: float, limit_ms: int) -> bool:
    return limit_ms >= 0 and passed_s * 1000 > limit_ms
