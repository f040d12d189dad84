"""What the network and the broker say to each other: a request in, one of four answers back.

On the wire each is a frame, a length and that many bytes; in front of a request's body stands its
header:

    | at | field                                                     |
    |----|-----------------------------------------------------------|
    | 0  | length i32, without itself                                |
    | 4  | api_key i16                                               |
    | 6  | api_version i16                                           |
    | 8  | correlation_id i32, sent back in front of the response    |
    | 12 | client_id: length i16 (-1 = null), UTF-8                  |
    | .. | tagged fields: a count (varint), nothing in practice      |

The tagged fields are there from the version on that made the request flexible (KIP-482). The client
id keeps its old form even then: Kafka's `RequestHeader.json` says why.

A handler gets one `Request` and gives one `Reply`: `Now`, `Later`, `Nothing`, or `HangUp`. Until
the answer of one request is sent, the next request of that connection is not handled. Kafka does
the same ("muting" a channel): it keeps answers in order, and a client that does not read its
answers cannot make us store them.

Source: Kafka protocol guide, "Common Request and Response Structure"; Kafka's `NetworkReceive`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from struct import Struct, error
from typing import Any, NamedTuple

from zerocopy_lab.errors import FrameError
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey, Unserved, VersionRange
from zerocopy_lab.records.varint import unsigned_varint

#: A response is a row of pieces: bytes that were made, and slices of files that nobody read.
Piece = bytes | FileSlice
Pieces = Sequence[Piece]

LENGTH = Struct(">i")
HEADER = Struct(">hhih")


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
    #: How far its batches are believed unseen, which belongs to the broker as well.
    trust: Any = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(slots=True)  # made for every request: a NamedTuple takes three times as long
class Request:
    """One request: its header, and in `frame` from byte `body_at` on its body."""

    api_key: ApiKey
    api_version: int
    correlation_id: int
    client_id: str | None
    client: Client
    #: A view of the network's receive buffer, which is used again once the handler returns.
    frame: memoryview
    body_at: int

    def kept(self) -> Request:
        """The same, with a copy of the frame: for whoever answers when the buffer is gone."""
        return replace(self, frame=memoryview(bytearray(self.frame)))

    def without_frame(self) -> Request:
        """The same, for whoever has read the body and answers later."""
        return replace(self, frame=memoryview(b""))


@dataclass(slots=True)
class Now:
    """The response, to be sent now."""

    pieces: Pieces


class Nothing(NamedTuple):
    """There is no response (a Produce with acks=0)."""


class HangUp(NamedTuple):
    """No response can say what is wrong: the connection has to end."""

    reason: str


#: What is known in the end.
Answer = Now | Nothing | HangUp
Reply = Answer | Later
#: What the network calls with every frame (without its length) and with whom it came from. Raises
#: CloseConnection.
FrameHandler = Callable[[memoryview, Client], Reply]


def read_request(frame: memoryview, client: Client, served: Mapping[int, VersionRange]) -> Request:
    """The request in `frame` (without the length in front), if it is among the `served`.

    Raises Unserved when it is not, FrameError for a header that is cut or broken.
    """
    try:
        key, version, correlation_id, id_length = HEADER.unpack_from(frame)
    except error:
        raise FrameError(f"a request of {len(frame)} bytes, too short for a header") from None
    versions = served.get(key)
    if versions is None or not versions.lowest <= version <= versions.highest:
        raise Unserved(key, version, correlation_id)
    body_at = HEADER.size
    client_id = None
    if id_length >= 0:
        body_at += id_length
        raw_id = frame[HEADER.size : body_at]
        if len(raw_id) != id_length:
            raise FrameError(f"a client id of {id_length} bytes in a request of {len(frame)}")
        try:
            client_id = str(raw_id, "utf-8")
        except UnicodeDecodeError:
            raise FrameError("a client id that is not UTF-8") from None
    if version >= versions.api_key.flexible_from:
        body_at = skip_tagged_fields(frame, body_at)
    return Request(versions.api_key, version, correlation_id, client_id, client, frame, body_at)


def framed(payload: bytes) -> bytes:
    """`payload` with its length in front."""
    return LENGTH.pack(len(payload)) + payload


def skip_tagged_fields(view: memoryview, at: int) -> int:
    """The position behind the tagged fields (KIP-482) that begin at `at`; unknown tags are legal
    and ignored. Raises FrameError.
    """
    try:
        count = view[at]
        if count == 0:  # nearly always
            return at + 1
        count, at = unsigned_varint(view, at)
        if count > len(view) - at:
            raise FrameError(f"{count} tagged fields in {len(view) - at} bytes")
        for _ in range(count):
            _, at = unsigned_varint(view, at)
            length, at = unsigned_varint(view, at)
            at += length
    except (IndexError, OverflowError):
        at = len(view) + 1
    if at > len(view):
        raise FrameError(f"tagged fields that do not end within {len(view)} bytes")
    return at


@lru_cache(maxsize=4096)
def unsigned(value: int) -> bytes:
    """A varint: seven bits a byte, lowest first; the top bit says "more follows"."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
