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
from dataclasses import dataclass
from struct import Struct, error
from threading import Lock
from typing import Any, NamedTuple

from zerocopy_lab.errors import FrameError
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.protocol.versions import API_KEYS, ApiKey, VersionRange
from zerocopy_lab.records.varint import unsigned_varint

#: A response is a row of pieces: bytes that were made, and slices of files that nobody read.
Piece = bytes | FileSlice
Pieces = Sequence[Piece]

LENGTH = Struct(">i")
_HEADER = Struct(">hhih")


# Who asks, and what ------------------------------------------------------------------------------


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


class Request(NamedTuple):
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
        return self._replace(frame=memoryview(bytearray(self.frame)))

    def without_frame(self) -> Request:
        """The same, for whoever has read the body and answers later."""
        return self._replace(frame=memoryview(b""))


class Unserved(FrameError):
    """A request that is not among those served, or not in this version; `key`, `version` and
    `correlation_id` are all that is certain about it.
    """

    def __init__(self, key: int, version: int, correlation_id: int) -> None:
        name = API_KEYS[key].name if key in API_KEYS else f"request {key}"
        super().__init__(f"{name} version {version} is not served here")
        self.key, self.version, self.correlation_id = key, version, correlation_id


def read_request(frame: memoryview, client: Client, served: Mapping[int, VersionRange]) -> Request:
    """The request in `frame` (without the length in front), if it is among the `served`.

    Raises Unserved when it is not, FrameError for a header that is cut or broken.
    """
    try:
        key, version, correlation_id, id_length = _HEADER.unpack_from(frame)
    except error:
        raise FrameError(f"a request of {len(frame)} bytes, too short for a header") from None
    versions = served.get(key)
    if versions is None or not versions.lowest <= version <= versions.highest:
        raise Unserved(key, version, correlation_id)
    body_at = _HEADER.size
    client_id = None
    if id_length >= 0:
        body_at += id_length
        raw_id = frame[_HEADER.size : body_at]
        if len(raw_id) != id_length:
            raise FrameError(f"a client id of {id_length} bytes in a request of {len(frame)}")
        try:
            client_id = str(raw_id, "utf-8")
        except UnicodeDecodeError:
            raise FrameError("a client id that is not UTF-8") from None
    if version >= versions.api_key.flexible_from:
        body_at = skip_tagged_fields(frame, body_at)
    return Request(versions.api_key, version, correlation_id, client_id, client, frame, body_at)


def request_header(
    api_key: ApiKey, version: int, correlation_id: int, client_id: str | None
) -> bytes:
    """The same header, written: for the small client of the labs and for tests."""
    raw_id = b"" if client_id is None else client_id.encode()
    id_length = -1 if client_id is None else len(raw_id)
    tags = b"\x00" if version >= api_key.flexible_from else b""
    return _HEADER.pack(api_key, version, correlation_id, id_length) + raw_id + tags


# The four answers --------------------------------------------------------------------------------


class Now(NamedTuple):
    """The response, to be sent now."""

    pieces: Pieces


class Nothing(NamedTuple):
    """There is no response (a Produce with acks=0)."""


class HangUp(NamedTuple):
    """No response can say what is wrong: the connection has to end."""

    reason: str


#: What is known in the end.
Answer = Now | Nothing | HangUp


class Later:
    """An answer that is not known yet: of a fetch that waits for data, of a member that waits for
    its group.

    Whoever comes to know the answer completes it, in whatever thread that is, and the network,
    which listens, sends it. An answer may hold files open, so only one side ever holds it: it stays
    here no longer than until the listener has it.

    Kafka's counterpart is the purgatory (`DelayedOperation`), which also polls and expires. Here
    those who wait bring their own timer.
    """

    __slots__ = ("__weakref__", "_answer", "_listener", "_lock", "_on_abandon", "done")

    def __init__(self, on_abandon: Callable[[], object] | None = None) -> None:
        """`on_abandon` is called when the client hangs up before there is an answer."""
        self._lock = Lock()
        self._on_abandon = on_abandon
        self._listener: Callable[[Answer], object] | None = None
        self._answer: Answer | None = None
        self.done = False

    def complete(self, answer: Answer) -> bool:
        """Answer, once. Whoever comes second (bytes against timeout) gets False and changes
        nothing.

        The listener runs in the calling thread: call this without holding a lock that it might
        want.
        """
        with self._lock:
            if self.done:
                return False
            self.done, self._on_abandon = True, None
            listener, self._listener = self._listener, None
            if listener is None:
                self._answer = answer
        if listener is not None:
            listener(answer)
        return True

    def on_complete(self, listener: Callable[[Answer], object]) -> None:
        """Have `listener(answer)` called when there is one: now, if there is. Only one can listen,
        from any thread.
        """
        with self._lock:
            assert self._listener is None, "a second listener would take the first one's answer"
            answer, self._answer = self._answer, None
            if not self.done:
                self._listener = listener
        if answer is not None:
            listener(answer)

    def follow(self, other: Later) -> None:
        """Be answered as `other` is, and abandon it when this is abandoned."""
        with self._lock:
            abandoned = self.done
            if not abandoned:
                self._on_abandon = other.abandon
        if abandoned:
            other.abandon()
        else:
            other.on_complete(self.complete)

    def abandon(self) -> None:
        """The client has hung up, nobody will read the answer: let the one who prepares it stop."""
        with self._lock:
            on_abandon, self._on_abandon = self._on_abandon, None
            self.done, self._listener, self._answer = True, None, None
        if on_abandon is not None:
            on_abandon()


Reply = Answer | Later
#: What the network calls with every frame (without its length) and with whom it came from. Raises
#: CloseConnection.
FrameHandler = Callable[[memoryview, Client], Reply]


# Lengths -----------------------------------------------------------------------------------------


def frame_length(view: bytes | memoryview, limit_bytes: int, at: int = 0) -> int:
    """The length that the four bytes at position `at` announce.

    Raises FrameError when it is negative or above `limit_bytes` (Kafka's
    `socket.request.max.bytes`): a stranger's four bytes must not make us reserve two gigabytes.
    """
    length: int = LENGTH.unpack_from(view, at)[0]
    if length < 0:
        raise FrameError(f"a frame of negative length {length}")
    if length > limit_bytes:
        raise FrameError(f"a frame of {length} bytes, over socket.request.max.bytes={limit_bytes}")
    return length


def framed(payload: bytes) -> bytes:
    """`payload` with its length in front."""
    return LENGTH.pack(len(payload)) + payload


def total_bytes(pieces: Pieces) -> int:
    """How many bytes the pieces put on the wire, file slices included."""
    return sum(p.length if isinstance(p, FileSlice) else len(p) for p in pieces)


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
