"""Requests to a broker without a socket: entity -> frame -> broker -> frame -> entity, as a network
thread does it.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Answer, Client, HangUp, Now, Piece
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey

ANSWER_WITHIN_S = 10


class Caller:
    """One client of `broker`."""

    def __init__(self, broker: Broker, client_id: str = "caller") -> None:
        self.broker = broker
        self.client_id = client_id
        self.client = Client(1, "127.0.0.1", 4711)
        self._correlation_id = 0
        self._arrived = threading.Condition()

    def types(self, key: ApiKey, version: int) -> Any:
        """The classes that a request of this version is made of."""
        return messages.types_of(key, version, "request")

    def call(self, key: ApiKey, version: int, /, **values: object) -> Any:
        """The response, which must not wait for anything but other threads of the broker."""
        return self.wait_for(self.start(key, version, **values))

    def wait_for(self, answers: list[Any]) -> Any:
        """The response that `start` promised. Raises CloseConnection when there is none."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: answers, ANSWER_WITHIN_S), "nothing was answered"
        if isinstance(answers[0], HangUp):
            raise CloseConnection(answers[0].reason)
        return answers[0]

    def start(self, key: ApiKey, version: int, /, **values: object) -> list[Any]:
        """A list that the response is put in, now or later."""
        self._correlation_id += 1
        expected = self._correlation_id
        entity = messages.make(messages.request_type(key, version), **values)
        frame = messages.encode_request(version, expected, self.client_id, entity)
        return self.sent(memoryview(bytearray(frame))[4:], key, version, expected)

    def sent(self, frame: memoryview, key: ApiKey, version: int, expected: int = 1) -> list[Any]:
        """The same for a frame that was made by hand, of correlation id `expected`."""
        reply = self.broker.handle(frame, self.client)
        answers: list[Any] = []

        def take(answer: Answer) -> None:
            found: Any = answer
            if isinstance(answer, Now):
                whole = b"".join(map(_bytes_of, answer.pieces))
                assert int.from_bytes(whole[:4], "big") == len(whole) - 4
                number, found = messages.decode_response(key, version, memoryview(whole)[4:])
                assert number == expected
            with self._arrived:
                answers.append(found)
                self._arrived.notify_all()

        if isinstance(reply, HangUp):
            raise CloseConnection(reply.reason)
        if isinstance(reply, Later):
            reply.on_complete(take)
        else:
            take(reply)
        return answers


def _bytes_of(piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return piece
    return os.pread(piece.file.fd, piece.length, piece.position)
