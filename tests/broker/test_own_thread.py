"""Costly requests are answered in a thread of their own: rightly, in bounded numbers, and without
holding others up.
"""

from __future__ import annotations

import queue
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.broker.caller import Caller
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.own_thread import MOST_WAITING_BYTES, Aside
from zerocopy_lab.broker.serving import LARGE_BYTES, MOST_BYTES_DECODED
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import CloseConnection, RequestTimedOut
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Answer, HangUp, Nothing, Now, Reply
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch


def frame_of_many_topics(count: int) -> memoryview:
    types = messages.types_of(ApiKey.metadata, 4, "request")
    request = types.MetadataRequest(
        topics=tuple(types.MetadataRequestTopic(name=f"{n:08d}") for n in range(count)),
        allow_auto_topic_creation=False,
    )
    return memoryview(bytearray(messages.encode_request(4, 7, "large", request)))[4:]


def frame_of_produce(topic: str, batch: bytes, acks: int) -> memoryview:
    types = messages.types_of(ApiKey.produce, 7, "request")
    part = types.PartitionProduceData(index=0, records=batch)
    request = types.ProduceRequest(
        transactional_id=None,
        acks=acks,
        timeout=timedelta(seconds=30),
        topic_data=(types.TopicProduceData(name=topic, partition_data=(part,)),),
    )
    return memoryview(bytearray(messages.encode_request(7, 7, "costly", request)))[4:]


def answer_to(reply: Reply | None) -> Answer:
    assert isinstance(reply, Later), "answered by the thread that asked"
    answers: queue.Queue[Answer] = queue.Queue()
    reply.on_complete(answers.put)
    return answers.get(timeout=60)


def only_piece(answer: Reply) -> memoryview:
    """A response without its length."""
    assert isinstance(answer, Now), answer
    (piece,) = answer.pieces
    assert isinstance(piece, bytes)
    return memoryview(piece)[4:]


def test_a_large_request_is_answered_later_and_completely(tmp_path: Path) -> None:
    count = LARGE_BYTES // 10
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        caller = Caller(broker)
        reply = broker.handle(frame_of_many_topics(count), caller.client)
        correlation_id, response = messages.decode_response(
            ApiKey.metadata, 4, only_piece(answer_to(reply))
        )
    assert correlation_id == 7
    assert [topic.name for topic in response.topics] == [f"{n:08d}" for n in range(count)]
    assert {topic.error_code for topic in response.topics} == {3}


def test_what_is_wrong_with_a_large_request_ends_its_connection(tmp_path: Path) -> None:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        client = Caller(broker).client
        frame = frame_of_many_topics(LARGE_BYTES)
        frame[30:32] = b"\x7f\xff"  # the length of a name
        assert isinstance(answer_to(broker.handle(frame[:LARGE_BYTES], client)), HangUp)
        with pytest.raises(CloseConnection, match="are allowed"):
            broker.handle(frame_of_many_topics(MOST_BYTES_DECODED // 10), client)


def test_all_clients_may_come_back_at_once() -> None:
    aside, go_on = Aside(), threading.Event()

    def work(answer: Answer) -> Reply:
        assert go_on.wait(60)
        return answer

    answers = [Now([b"%d" % number]) for number in range(1000)]  # all clients come back at once
    waiting = [aside.answer_later(1, partial(work, answer)) for answer in answers]
    go_on.set()
    assert [answer_to(later) for later in waiting] == answers
    assert answer_to(aside.answer_later(1, partial(work, Nothing()))) == Nothing()
    aside.close()


def test_the_bytes_that_wait_are_limited() -> None:
    aside, go_on = Aside(), threading.Event()

    def work() -> Reply:
        assert go_on.wait(60)
        return Nothing()

    half = MOST_WAITING_BYTES // 2
    waiting = [aside.answer_later(half, work) for _ in range(2)]
    assert aside.answer_later(1, work) is None
    go_on.set()
    assert [answer_to(later) for later in waiting] == [Nothing()] * 2
    assert answer_to(aside.answer_later(half, work)) == Nothing()
    aside.close()


def test_a_bug_in_a_costly_request_ends_its_connection_alone() -> None:
    aside = Aside()

    def fail() -> Reply:
        raise ZeroDivisionError

    assert isinstance(answer_to(aside.answer_later(0, fail)), HangUp)
    assert answer_to(aside.answer_later(0, Nothing)) == Nothing()
    aside.close()


@pytest.mark.parametrize("setting", [("compression.type", "gzip"), ("cleanup.policy", "compact")])
@pytest.mark.parametrize("acks", [1, 0])
def test_a_batch_that_must_be_opened_is_appended_aside(
    tmp_path: Path, setting: tuple[str, str], acks: int
) -> None:
    """The frame's buffer is used again at once, as the network does."""
    records = [Record(n, 1, b"key", b"value", ()) for n in range(3)]
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.logs.create_topic("opened", 1, dict([setting]))
        broker.logs.create_topic("shut", 1)
        client = Caller(broker).client
        frame = frame_of_produce("shut", build_batch(records), acks)
        assert not isinstance(broker.handle(frame, client), Later), (
            "it stays shut and waits for none"
        )
        frame = frame_of_produce("opened", build_batch(records, codec=Codec.ZSTD), acks)
        reply = broker.handle(frame, client)
        frame[:] = bytes(len(frame))
        assert (answer_to(reply) == Nothing()) == (acks == 0)
        assert broker.logs.find("opened", 0).log_end_offset == len(records)


def test_when_too_much_waits_the_producer_is_told_to_try_again(tmp_path: Path) -> None:
    go_on = threading.Event()

    def work() -> Reply:
        assert go_on.wait(60)
        return Nothing()

    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.logs.create_topic("opened", 1, {"compression.type": "gzip"})
        waiting = broker.aside.answer_later(MOST_WAITING_BYTES, work)
        batch = build_batch([Record(0, 1, b"key", b"value", ())], codec=Codec.LZ4)
        answer = broker.handle(frame_of_produce("opened", batch, 1), Caller(broker).client)
        go_on.set()
        answer_to(waiting)
        assert broker.logs.find("opened", 0).log_end_offset == 0
    _, response = messages.decode_response(ApiKey.produce, 7, only_piece(answer))
    assert response.responses[0].partition_responses[0].error_code == RequestTimedOut.code


#: What costs by what the broker has, not by the length of the request.
ASIDE = """metadata create_topics create_partitions delete_topics describe_configs alter_configs
incremental_alter_configs describe_log_dirs delete_records elect_leaders list_groups
describe_groups delete_groups offset_fetch offset_delete consumer_group_describe list_offsets
init_producer_id"""


def test_what_costs_by_what_the_broker_has_is_always_put_aside(tmp_path: Path) -> None:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        served = broker.dispatch._served
        aside = {one.versions.api_key.name for one in served.values() if one.large_bytes == 0}
        assert aside == set(ASIDE.split())
        bounded = {one.versions.api_key for one in served.values() if one.most_bytes <= 1 << 20}
        assert set(served) - bounded == {ApiKey.produce}


def test_who_names_a_topic_a_thousand_times_is_told_of_it_once(tmp_path: Path) -> None:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        caller = Caller(broker)
        types = caller.types(ApiKey.metadata, 4)
        topics = (types.MetadataRequestTopic(name="t"),) * 1000
        answer = caller.call(ApiKey.metadata, 4, topics=topics, allow_auto_topic_creation=True)
        assert [topic.name for topic in answer.topics] == ["t"]
        types = caller.types(ApiKey.describe_configs, 1)
        one = types.DescribeConfigsResource(
            resource_type=2, resource_name="t", configuration_keys=None
        )
        answer = caller.call(
            ApiKey.describe_configs, 1, resources=(one,) * 1000, include_synonyms=True
        )
        assert [result.resource_name for result in answer.results] == ["t"]
        answer = caller.call(ApiKey.describe_groups, 0, groups=("g",) * 1000)
        assert [group.group_id for group in answer.groups] == ["g"]
