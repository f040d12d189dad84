"""One client: bytes come in, a handler answers, pieces go out.

    state       waits for                                      selector   event --> state

    reading     (the rest of) a request                        read       no memory --> starved
                                                                          later     --> waiting
                                                                          full      --> sending
    starved     memory for a large request                     -          memory    --> reading
    waiting     the answer, and a hang-up                      read       answer    --> reading
                                                                          crowd     --> crowded
    crowded     the answer; the client has sent on and on      -          answer    --> reading
    sending     room in the socket                             write      sent      --> reading

Any of them ends in closed. A request that is answered, and an answer that is sent, within one turn
of the reactor: that is no event. One request at a time, as in Kafka: answers stay in order, and a
client that asks without reading stands still.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.network.inbox import Inbox, ReceiveBuffers
from zerocopy_lab.network.outbox import Outbox
from zerocopy_lab.network.quotas import Limits
from zerocopy_lab.network.reactor import READ, WRITE, Reactor
from zerocopy_lab.protocol.framing import Answer, Client, FrameHandler, HangUp, Now, Reply
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.transfer import Transfer

_LOGGER = logging.getLogger(__name__)

State = Enum("State", "READING STARVED WAITING CROWDED SENDING CLOSED")
Event = Enum("Event", "NO_MEMORY MEMORY LATER CROWD ANSWER FULL SENT")

TRANSITIONS = {
    (State.READING, Event.NO_MEMORY): State.STARVED,
    (State.READING, Event.LATER): State.WAITING,
    (State.READING, Event.FULL): State.SENDING,
    (State.STARVED, Event.MEMORY): State.READING,
    (State.WAITING, Event.ANSWER): State.READING,
    (State.WAITING, Event.CROWD): State.CROWDED,
    (State.CROWDED, Event.ANSWER): State.READING,
    (State.SENDING, Event.SENT): State.READING,
}
INTEREST = {State.READING: READ, State.WAITING: READ, State.SENDING: WRITE}


@dataclass(frozen=True)
class Surroundings:
    """What the connections of one network thread share; `on_close` is told of each once."""

    reactor: Reactor
    buffers: ReceiveBuffers
    handler: FrameHandler
    limits: Limits
    on_close: Callable[[Connection], None]


class Connection:
    """Belongs to the thread of its reactor."""

    def __init__(
        self, sock: socket.socket, client: Client, transfer: Transfer, shared: Surroundings
    ) -> None:
        self.client = client
        self._sock = sock
        self._transfer = transfer
        self._shared = shared
        self._handler = shared.handler
        self.inbox = Inbox(shared.buffers, client, shared.limits, self._on_memory)
        self.outbox = Outbox(sock, transfer)
        self._later: Later | None = None
        self.cut_off: str | None = None  # the setting that ended it
        self.was_active = True  # since somebody looked (patience.py)
        self.state = State.READING
        shared.reactor.watch(sock, READ, self._on_ready)

    # Requests and answers

    def _on_ready(self) -> None:
        self.was_active = True
        if self.state is State.READING:
            self._proceed(self._receive)
        else:
            self._proceed(self._flush if self.state is State.SENDING else self._listen)

    def _proceed(self, step: Callable[[], None]) -> None:
        """Take a step; whatever goes wrong in it is the end of this connection and of no other."""
        try:
            if self.state is not State.CLOSED:  # it may be a call that was left for later
                step()
        except BlockingIOError:
            # Ready, yet nothing to read: reports in the error queue wake us until they are taken.
            self._transfer.settle(self._sock)
        except CloseConnection as reason:
            self.close(str(reason))
        except ConnectionError as hang_up:
            _LOGGER.debug("%s hung up: %s", self.client, hang_up)
            self.close()
        except OSError as failure:
            self.close(f"{type(failure).__name__}: {failure}")
        except Exception:
            self.close("an error of this broker (see the traceback)")
            raise

    def _receive(self) -> None:
        self._serve(self.inbox.receive(self._sock))

    def _serve(self, frame: memoryview | None) -> None:
        """Handle what has arrived, until something must be waited for."""
        while frame is not None:
            reply = self._handler(frame, self.client)
            del frame
            self._answer(reply)
            if self.state is not State.READING or self.outbox:
                self.inbox.done()
                return
            frame = self.inbox.next_frame()
        if self.inbox.lacks_bytes:
            self._go(Event.NO_MEMORY)

    def _answer(self, reply: Reply) -> None:
        match reply:
            case Now():
                self.outbox.put(reply.pieces)
                if self._shared.reactor.is_crowded:  # all answers of a turn leave at its end
                    self._shared.reactor.call_soon(lambda: self._proceed(self._flush))
                elif not self.outbox.drain():
                    self._go(Event.FULL)
            case Later():
                self._later = reply
                self._go(Event.LATER)
                reply.on_complete(self._resume_soon)
            case HangUp(reason):
                self.close(reason)

    def _resume_soon(self, answer: Answer) -> None:
        """The answer is there; from any thread."""
        self._shared.reactor.call_soon(lambda: self._proceed(lambda: self._resume(answer)))

    def _resume(self, answer: Answer) -> None:
        self._later = None
        self._go(Event.ANSWER)
        self._answer(answer)
        if self.state is State.READING and not self.outbox:
            self._serve(self.inbox.next_frame())

    def _flush(self) -> None:
        if self.outbox.drain():
            if self.state is State.SENDING:
                self._go(Event.SENT)
            self._serve(self.inbox.next_frame())
        elif self.state is State.READING:
            self._go(Event.FULL)

    def _listen(self) -> None:
        """A client that waits for its answer hangs up, or sends on."""
        if not self.inbox.has_room:
            self._go(Event.CROWD)
        else:
            self.inbox.fill(self._sock)

    def _on_memory(self) -> None:
        self._shared.reactor.call_soon(lambda: self._proceed(self._go_on))

    def _go_on(self) -> None:
        """There is memory for the large request that has begun."""
        self._go(Event.MEMORY)
        self.inbox.go_on()
        self._serve(self.inbox.next_frame())

    def _go(self, event: Event) -> None:
        before, self.state = self.state, TRANSITIONS[self.state, event]
        self.inbox.done()  # whatever waits must not keep a large buffer
        was, wanted = INTEREST.get(before), INTEREST.get(self.state)
        if wanted is None:
            self._shared.reactor.forget(self._sock)
        elif was is None:
            self._shared.reactor.watch(self._sock, wanted, self._on_ready)
        elif was != wanted:
            self._shared.reactor.change(self._sock, wanted)

    # Limits and the end

    @property
    def is_amid_a_request(self) -> bool:
        """Whether the client owes us the rest of something."""
        return self.state is State.READING and self.inbox.has_part_of_a_frame

    def close(self, reason: str | None = None) -> None:
        """End the connection; with a `reason`, say so in the log. Safe to call twice."""
        if self.state is State.CLOSED:
            return
        if reason is not None:
            _LOGGER.warning("closed the connection of %s: %s", self.client, reason)
        if self.state in INTEREST:
            self._shared.reactor.forget(self._sock)
        self.state = State.CLOSED
        # What is not let go of here would stay open until the collector comes by.
        later, self._later = self._later, None
        if later is not None:
            later.abandon()
        self.inbox.close()
        self.outbox.clear()
        self._transfer.close()
        self._sock.close()
        self._shared.on_close(self)
