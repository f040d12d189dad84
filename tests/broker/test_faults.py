"""Faults on demand, without a socket and then with a real client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError as ClientError
from confluent_kafka import Message, Producer

from tests.broker.caller import Caller
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.faults import Fault, parse_fault
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import (
    CloseConnection,
    CoordinatorNotAvailable,
    NotLeaderOrFollower,
    UnknownTopicOrPartition,
)
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.logs.create_topic("t", 1)
        yield broker


def produce(broker: Broker, acks: int = 1) -> list[Any]:
    """The answers so far to one Produce of one record."""
    caller = Caller(broker)
    types = caller.types(ApiKey.produce, 9)
    batch = build_batch([Record(0, 0, b"k", b"v")])
    part = types.PartitionProduceData(index=0, records=batch)
    topic = types.TopicProduceData(name="t", partition_data=(part,))
    return caller.start(
        ApiKey.produce,
        9,
        transactional_id=None,
        acks=acks,
        timeout=timedelta(seconds=1),
        topic_data=(topic,),
    )


def produced_code(broker: Broker) -> int:
    return int(produce(broker)[0].responses[0].partition_responses[0].error_code)


def log_end(broker: Broker) -> int:
    return broker.logs.find("t", 0).log_end_offset


def test_an_error_on_demand_comes_as_often_as_ordered(broker: Broker) -> None:
    broker.faults.add(Fault(ApiKey.produce, error=NotLeaderOrFollower, times=2))
    assert [produced_code(broker) for _ in range(3)] == [6, 6, 0]
    assert log_end(broker) == 1


def test_a_request_is_dropped_before_or_after_it_was_carried_out(broker: Broker) -> None:
    broker.faults.add(Fault(ApiKey.produce, drop=True, times=1))
    broker.faults.add(Fault(ApiKey.produce, drop=True, carried_out=True, times=1))
    with pytest.raises(CloseConnection):
        produce(broker)
    assert log_end(broker) == 0
    with pytest.raises(CloseConnection):
        produce(broker)
    assert log_end(broker) == 1


def test_a_delayed_answer_comes_later_and_is_the_same(broker: Broker) -> None:
    broker.faults.add(Fault(ApiKey.produce, delay_s=0.01))
    answers = produce(broker)
    assert log_end(broker) == 1
    rung = threading.Event()
    broker.timers.call_later(0.02, rung.set)  # in the same thread, after the answer
    assert rung.wait(30)
    assert answers[0].responses[0].partition_responses[0].error_code == 0


def test_only_the_named_client_is_hit(broker: Broker) -> None:
    fault = Fault(ApiKey.list_groups, error=CoordinatorNotAvailable, client_id="victim")
    broker.faults.add(fault)
    codes = [
        Caller(broker, name).call(ApiKey.list_groups, 4, states_filter=()).error_code
        for name in ("victim", "other")
    ]
    assert codes == [15, 0]
    broker.faults.clear()
    assert Caller(broker, "victim").call(ApiKey.list_groups, 0).error_code == 0


def test_every_item_of_an_answer_fails_where_each_has_an_error(broker: Broker) -> None:
    broker.faults.add(Fault(ApiKey.metadata, error=UnknownTopicOrPartition, times=1))
    caller = Caller(broker)
    for code in (3, 0):
        answer = caller.call(ApiKey.metadata, 1, topics=None)
        assert [topic.error_code for topic in answer.topics] == [code]
        assert [part.error_code for part in answer.topics[0].partitions] == [code]


@pytest.mark.parametrize("version", [4, 7, 11])
def test_a_fetch_fails_for_each_partition(broker: Broker, version: int) -> None:
    broker.faults.add(Fault(ApiKey.fetch, error=NotLeaderOrFollower))
    caller = Caller(broker)
    types = caller.types(ApiKey.fetch, version)
    fields = types.FetchPartition.__dataclass_fields__
    values = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1, "log_start_offset": -1}
    part = types.FetchPartition(**{k: v for k, v in values.items() if k in fields})
    answer = caller.call(
        ApiKey.fetch,
        version,
        replica_id=-1,
        max_wait=timedelta(0),
        min_bytes=0,
        max_bytes=1,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=(types.FetchTopic(topic="t", partitions=(part,)),),
        forgotten_topics_data=(),
        rack_id="",
    )
    assert answer.responses[0].partitions[0].error_code == 6


def test_faults_in_words() -> None:
    assert parse_fault("produce:error=NotLeaderOrFollower:times=3") == Fault(
        ApiKey.produce, error=NotLeaderOrFollower, times=3
    )
    assert parse_fault("fetch:delay=0.5:client=c") == Fault(
        ApiKey.fetch, delay_s=0.5, client_id="c"
    )
    assert parse_fault("produce:drop:carried_out") == Fault(
        ApiKey.produce, drop=True, carried_out=True
    )


@pytest.mark.parametrize(
    "words",
    ["nothing:drop", "fetch:explode", "fetch:error=OSError", "fetch:error=No", "fetch:times=x"],
)
def test_words_without_a_meaning_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=words.split(":")[1].split("=")[-1] + "|request"):
        parse_fault(words)


def test_an_idempotent_producer_survives_lost_answers_without_duplicates() -> None:
    options = ["--fault", "produce:drop:carried_out:times=3"]
    with RunningBroker(options=options) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True})
        failures: list[ClientError] = []

        def delivered(error: ClientError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error)

        for number in range(1000):
            producer.produce("once", str(number).encode(), on_delivery=delivered)
        assert producer.flush(60) == 0
        assert failures == []
        said = broker.log_path.read_text()
        assert said.count("fault on demand") >= 3
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g"})
        _, high = consumer.get_watermark_offsets(TopicPartition("once", 0), timeout=30)
        consumer.close()
    assert high == 1000
