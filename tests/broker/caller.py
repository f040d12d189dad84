"""Requests to a broker without a socket: entity -> frame -> broker -> frame -> entity, as a network
thread does it.
"""

from __future__ import annotations

import time
from typing import Any

from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Answer, Client, HangUp, Later, Now
from zerocopy_lab.protocol.versions import ApiKey

ANSWER_WITHIN_S = 10


class Caller:
    """One client of `broker`."""

    def __init__(self, broker: Broker, client_id: str = "caller") -> None:
        self.broker = broker
        self.client_id = client_id
        self.client = Client(1, "127.0.0.1", 4711)
        self._correlation_id = 0

    def types(self, key: ApiKey, version: int) -> Any:
        """The classes that a request of this version is made of."""
        return messages.types_of(key, version, "request")

    def call(self, key: ApiKey, version: int, /, **values: object) -> Any:
        """The response, which must not wait for anything but other threads of the broker."""
        answers = self.start(key, version, **values)
        deadline_s = time.monotonic() + ANSWER_WITHIN_S
        while not answers:
            assert time.monotonic() < deadline_s, f"{key.name} waits for something"
            time.sleep(0.0005)
        return answers[0]

    def start(self, key: ApiKey, version: int, /, **values: object) -> list[Any]:
        """A list that the response is put in, now or later."""
        self._correlation_id += 1
        entity = messages.make(messages.request_type(key, version), **values)
        frame = messages.encode_request(version, self._correlation_id, self.client_id, entity)
        reply = self.broker.handle(memoryview(bytearray(frame))[4:], self.client)
        answers: list[Any] = []

        def take(answer: Answer) -> None:
            if isinstance(answer, HangUp):
                raise CloseConnection(answer.reason)
            assert isinstance(answer, Now), answer
            pieces = [p for p in answer.pieces if isinstance(p, bytes)]
            assert len(pieces) == len(answer.pieces), "records in files: read them yourself"
            whole = b"".join(pieces)
            assert int.from_bytes(whole[:4], "big") == len(whole) - 4
            number, response = messages.decode_response(key, version, memoryview(whole)[4:])
            assert number == self._correlation_id
            answers.append(response)

        if isinstance(reply, Later):
            reply.on_complete(take)
        else:
            take(reply)
        return answers
