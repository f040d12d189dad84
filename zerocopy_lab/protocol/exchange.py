"""What the network and the broker say to each other: who asks, and the three ways to answer.

The network hands every frame to a handler together with the `Client` it came from. The handler
answers with

- pieces: the response, to be sent now;
- a `Later`: the response will come (a fetch that waits for data, a member that waits for its
  group);
- None: there is no response (a Produce with acks=0).

Until the answer of one request is sent, the next request of that connection is not read. Kafka does
the same ("muting" a channel): it keeps answers in order, and a client that does not read its
answers cannot make us store them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol.framing import Pieces


@dataclass(slots=True)
class Client:
    """One connection, as far as the broker may know it; `id` is never used again."""

    id: int
    host: str
    port: int
    principal: str = "User:ANONYMOUS"
    #: The name of the listener it came through; clients are told to come back the same way.
    listener: str = "PLAINTEXT"
    #: False on a listener with SASL, until the client has proved who it is.
    authenticated: bool = True
    refused: bool = False
    #: The authentication under way, which belongs to the broker, and whether its messages come
    #: without Kafka's headers.
    exchange: Any = None
    exchange_is_bare: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


#: What is known in the end: the response, that there is none, or that the connection has to end.
Answer = Pieces | CloseConnection | None


class Later(Protocol):
    """A response that is not there yet."""

    def on_complete(self, callback: Callable[[Answer], object]) -> None:
        """Call `callback` with the response once it is there, at once if it is; from any thread.
        A CloseConnection instead of a response ends the connection.
        """

    def abandon(self) -> None:
        """The client has hung up: nobody will read this response."""


Reply = Pieces | Later | None
Handler = Callable[[memoryview, Client], Reply]
