"""Fetch without a socket: every version, topics by name and by id, requests of no session."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.broker.caller import Caller
from tests.served import every_version
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.fetch import MOST_BYTES
from zerocopy_lab.broker.own_thread import THREADS
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.broker.waiting import MANY_WAITERS
from zerocopy_lab.broker.waiting_fetch import MANY_PARTITIONS
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.fetch import TOPIC_IDS_FROM
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch

UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID, NO_SUCH_SESSION = 100, 103, 70
BATCH = build_batch([Record(0, 0, b"k", b"v")])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.logs.create_topic("t", 2, {"retention.ms": "-1"})  # the records are old
        broker.logs.find("t", 0).append(memoryview(bytearray(BATCH)))
        yield broker


def wanted(
    broker: Broker, version: int, partitions: list[int], topic_id: uuid.UUID | None = None
) -> dict[str, Any]:
    """The topics of a Fetch of `t`, by its name or its id."""
    types = messages.types_of(ApiKey.fetch, version, "request")
    topic = messages.make(
        types.FetchTopic,
        topic="t",
        topic_id=topic_id or broker.logs.topics()["t"].topic_id,
        partitions=tuple(
            messages.make(
                types.FetchPartition, partition=p, fetch_offset=0, partition_max_bytes=1 << 20
            )
            for p in partitions
        ),
    )
    return {
        "replica_id": -1,
        "max_wait": timedelta(0),
        "min_bytes": 1,
        "max_bytes": 1 << 20,
        "isolation_level": 0,
        "session_id": 0,
        "session_epoch": -1,
        "forgotten_topics_data": (),
        "rack_id": "",
        "topics": (topic,),
    }


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.fetch))
def test_every_version_finds_the_records_and_names_the_topic_as_it_was_named(
    broker: Broker, key: ApiKey, version: int
) -> None:
    answer = Caller(broker).call(key, version, **wanted(broker, version, [0, 1, 9]))
    (topic,) = answer.responses
    assert [p.error_code for p in topic.partitions] == [0, 0, 3]
    assert [p.high_watermark for p in topic.partitions] == [1, 0, -1]
    assert bytes(topic.partitions[0].records)[16:] == BATCH[16:]
    if version < TOPIC_IDS_FROM:
        assert topic.topic == "t"
    else:
        assert topic.topic_id == broker.logs.topics()["t"].topic_id


@pytest.mark.parametrize(
    ("session_id", "epoch", "code"),
    [(0, -1, 0), (-1, -1, 0), (0, 0, 0), (77, 0, 0), (77, -1, 0), (77, 1, 70), (0, 5, 70)],
)
@pytest.mark.parametrize("version", [7, 11, 12, 18])
def test_what_belongs_to_no_session_is_a_full_request(
    broker: Broker, version: int, session_id: int, epoch: int, code: int
) -> None:
    """Some clients send -1 and -1; Kafka's answer depends on the epoch alone."""
    values = wanted(broker, version, [0]) | {"session_id": session_id, "session_epoch": epoch}
    answer = Caller(broker).call(ApiKey.fetch, version, **values)
    assert (int(answer.error_code), answer.session_id) == (code, 0)
    assert len(answer.responses) == (0 if code else 1)


@pytest.mark.parametrize("version", range(TOPIC_IDS_FROM, 19))
def test_an_id_that_nobody_has_or_has_no_more(broker: Broker, version: int) -> None:
    caller, before = Caller(broker), broker.logs.topics()["t"].topic_id
    for unknown in (uuid.uuid4(), uuid.UUID(int=0)):
        answer = caller.call(ApiKey.fetch, version, **wanted(broker, version, [0, 1], unknown))
        codes = [p.error_code for p in answer.responses[0].partitions]
        assert codes == [UNKNOWN_TOPIC_ID] * 2
        assert (answer.responses[0].topic_id or uuid.UUID(int=0)) == unknown
    broker.logs.delete_topic("t")
    broker.logs.create_topic("t", 2, {"retention.ms": "-1"})  # the records are old
    answer = caller.call(ApiKey.fetch, version, **wanted(broker, version, [0], before))
    assert [p.error_code for p in answer.responses[0].partitions] == [UNKNOWN_TOPIC_ID]


def test_a_topic_made_anew_between_its_name_and_its_log(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = uuid.uuid4()
    monkeypatch.setattr(broker.logs, "name_of", {older: "t"}.__getitem__)
    answer = Caller(broker).call(ApiKey.fetch, 17, **wanted(broker, 17, [0], older))
    assert [p.error_code for p in answer.responses[0].partitions] == [INCONSISTENT_TOPIC_ID]


def test_a_fetch_of_many_partitions_is_answered_elsewhere_and_one_without_end_not_at_all(
    broker: Broker,
) -> None:
    many = [0] * (MANY_PARTITIONS * 2)
    answer = Caller(broker).call(ApiKey.fetch, 12, **wanted(broker, 12, many))
    assert len(answer.responses[0].partitions) == len(many)
    with pytest.raises(CloseConnection, match="are allowed"):
        Caller(broker).call(ApiKey.fetch, 12, **wanted(broker, 12, [0] * (MOST_BYTES // 33)))


@pytest.mark.parametrize("version", [11, 13])
@pytest.mark.parametrize("count", [1, MANY_PARTITIONS * 2])
def test_an_append_answers_those_who_wait(broker: Broker, version: int, count: int) -> None:
    """However many partitions they ask for, by name or by id."""
    caller = Caller(broker)
    values = wanted(broker, version, [1] * count) | {"max_wait": timedelta(minutes=5)}
    answers = caller.start(ApiKey.fetch, version, **values)
    settled(broker)
    assert (answers, len(broker.waiting)) == ([], 1)
    broker.logs.find("t", 1).append(memoryview(bytearray(BATCH)))
    broker.waiting.appended(("t", 1))
    answer = caller.wait_for(answers)
    assert bytes(answer.responses[0].partitions[0].records)[16:] == BATCH[16:]
    settled(broker)
    assert len(broker.waiting) == 0


@pytest.mark.parametrize("count", [1, MANY_PARTITIONS * 2])
def test_who_waited_long_enough_gets_what_there_is(broker: Broker, count: int) -> None:
    values = wanted(broker, 12, [1] * count) | {"max_wait": timedelta(milliseconds=20)}
    answer = Caller(broker).call(ApiKey.fetch, 12, **values)
    assert [p.error_code for p in answer.responses[0].partitions] == [0] * count


def test_who_may_get_no_more_does_not_wait_for_more(broker: Broker) -> None:
    """Kafka: the smaller one of `min_bytes` and `max_bytes` counts."""
    values = wanted(broker, 12, [0]) | {"max_wait": timedelta(minutes=5), "min_bytes": 1 << 20}
    answer = Caller(broker).call(ApiKey.fetch, 12, **(values | {"max_bytes": len(BATCH)}))
    assert bytes(answer.responses[0].partitions[0].records)[16:] == BATCH[16:]


@pytest.mark.parametrize("min_bytes", [1, 1 << 30])
def test_very_many_who_wait_for_one_partition_are_told_elsewhere(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, min_bytes: int
) -> None:
    """Whoever appends is not kept, and one look serves for all appends until then."""
    looks: list[Callable[[], None]] = []
    monkeypatch.setattr(broker.waiting, "_elsewhere", looks.append)
    caller = Caller(broker)
    values = wanted(broker, 12, [1])
    values |= {"max_wait": timedelta(minutes=5), "min_bytes": min_bytes}
    answers = [caller.start(ApiKey.fetch, 12, **values) for _ in range(MANY_WAITERS + 1)]
    for _ in range(3):
        broker.logs.find("t", 1).append(memoryview(bytearray(BATCH)))
        broker.waiting.appended(("t", 1))
    assert (len(looks), sum(map(len, answers))) == (1, 0)
    looks.pop()()
    assert sum(map(len, answers)) == (len(answers) if min_bytes == 1 else 0)
    broker.waiting.appended(("t", 1))
    assert len(looks) == (0 if min_bytes == 1 else 1)


def settled(broker: Broker) -> None:
    """Wait until the threads of costly requests have done what they were given so far."""
    all_here = threading.Barrier(THREADS + 1)
    for _ in range(THREADS):
        broker.aside.call_soon(partial(all_here.wait, 30))
    all_here.wait(30)
