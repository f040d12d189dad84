"""Large requests are answered in a thread of their own: rightly, in bounded numbers, and without
holding others up.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.broker.caller import Caller
from zerocopy_lab.broker.aside import LARGE_BYTES, MOST_WAITING, Aside
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.dispatch import MOST_BYTES_DECODED
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.exchange import Answer, Reply
from zerocopy_lab.protocol.versions import ApiKey


def frame_of_many_topics(count: int) -> memoryview:
    types = messages.types_of(ApiKey.metadata, 4, "request")
    request = types.MetadataRequest(
        topics=tuple(types.MetadataRequestTopic(name=f"{n:08d}") for n in range(count)),
        allow_auto_topic_creation=False,
    )
    return memoryview(bytearray(messages.encode_request(4, 7, "large", request)))[4:]


def answer_to(reply: Any) -> Answer:
    answers: queue.Queue[Answer] = queue.Queue()
    reply.on_complete(answers.put)
    return answers.get(timeout=60)


def test_a_large_request_is_answered_later_and_completely(tmp_path: Path) -> None:
    count = LARGE_BYTES // 10
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        caller = Caller(broker)
        reply = broker.handle(frame_of_many_topics(count), caller.client)
        assert not isinstance(reply, (list, tuple)), "answered by the thread that asked"
        answer = answer_to(reply)
        assert not isinstance(answer, CloseConnection)
        assert answer is not None
        whole = memoryview(b"".join(bytes(piece) for piece in answer))[4:]  # type: ignore[arg-type]
        correlation_id, response = messages.decode_response(ApiKey.metadata, 4, whole)
    assert correlation_id == 7
    assert [topic.name for topic in response.topics] == [f"{n:08d}" for n in range(count)]
    assert {topic.error_code for topic in response.topics} == {3}


def test_what_is_wrong_with_a_large_request_ends_its_connection(tmp_path: Path) -> None:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        client = Caller(broker).client
        frame = frame_of_many_topics(LARGE_BYTES)
        frame[30:32] = b"\x7f\xff"  # the length of a name
        assert isinstance(answer_to(broker.handle(frame[:LARGE_BYTES], client)), CloseConnection)
        with pytest.raises(CloseConnection, match="only Produce"):
            broker.handle(frame_of_many_topics(MOST_BYTES_DECODED // 10), client)


def test_those_who_wait_are_limited_and_places_become_free() -> None:
    aside, go_on = Aside(), threading.Event()

    def work() -> Reply:
        assert go_on.wait(60)
        return [b"done"]

    waiting = [aside.answer_later(work) for _ in range(MOST_WAITING)]
    with pytest.raises(CloseConnection):
        aside.answer_later(work)
    go_on.set()
    assert [answer_to(later) for later in waiting] == [[b"done"]] * MOST_WAITING
    assert answer_to(aside.answer_later(work)) == [b"done"]
    aside.close()


def test_a_bug_in_a_large_request_ends_its_connection_alone() -> None:
    aside = Aside()

    def fail() -> Reply:
        raise ZeroDivisionError

    assert isinstance(answer_to(aside.answer_later(fail)), CloseConnection)
    assert answer_to(aside.answer_later(lambda: [b"fine"])) == [b"fine"]
    aside.close()
