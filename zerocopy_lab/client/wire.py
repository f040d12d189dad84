"""One blocking connection to a broker.

    request entity --encode--> frame --send--> broker --recv--> frame --decode--> response entity

Every step can be taken alone: `send_frame` and `receive_frame` know bytes only.
"""

from __future__ import annotations

import socket
from itertools import count
from typing import Any, Self

from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import LENGTH
from zerocopy_lab.protocol.versions import ApiKey

LIMIT_BYTES = 1 << 30


class Frames:
    """Requests as bytes, numbered one after the other: what a client says, without a connection."""

    def __init__(self, client_id: str = "zerocopy-lab") -> None:
        self._client_id = client_id
        self._correlation_ids = count(1)

    def encode(self, api_key: ApiKey, version: int, **values: object) -> bytes:
        """The frame of one request; fields that `version` lacks are left out."""
        entity = messages.make(messages.request_type(api_key, version), **values)
        return messages.encode_request(
            version, next(self._correlation_ids), self._client_id, entity
        )


class Wire(Frames):
    """A connection that asks one thing at a time. Raises OSError as the socket does."""

    def __init__(
        self, host: str, port: int, client_id: str = "zerocopy-lab", timeout_s: float = 30
    ) -> None:
        super().__init__(client_id)
        self.sock = socket.create_connection((host, port), timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_frame(self, frame: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(frame)

    def receive_frame(self) -> memoryview:
        """The next response without its length. Raises ConnectionError when the broker hangs up
        before its end.
        """
        (length,) = LENGTH.unpack(self._receive_exactly(LENGTH.size))
        if not 0 <= length <= LIMIT_BYTES:
            raise ConnectionError(f"a response of {length} bytes")
        return self._receive_exactly(length)

    def ask(self, api_key: ApiKey, version: int, **values: object) -> Any:
        """Send a request and wait for its response entity."""
        self.send_frame(self.encode(api_key, version, **values))
        _, entity = messages.decode_response(api_key, version, self.receive_frame())
        return entity

    def ask_for_topic(self, topic: str) -> int:
        """Ask for the metadata of `topic`, which may create it: Kafka's error code."""
        types = messages.types_of(ApiKey.metadata, 1, "request")
        response = self.ask(ApiKey.metadata, 1, topics=(types.MetadataRequestTopic(name=topic),))
        return int(response.topics[0].error_code)

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def _receive_exactly(self, length: int) -> memoryview:
        view = memoryview(bytearray(length))
        received = 0
        while received < length:
            came = self.sock.recv_into(view[received:])
            if came == 0:
                raise ConnectionError(f"the broker hung up after {received} of {length} bytes")
            received += came
        return view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
