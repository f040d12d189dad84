"""Produce and the questions about offsets, without a socket: every version, and who is to blame."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from struct import pack
from typing import Any
from uuid import UUID

import pytest
from crc32c import crc32c

from tests.broker.caller import Caller
from tests.served import every_version
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.produce import MOST_PARTITIONS, MOST_PARTITIONS_ASIDE
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.errors import CloseConnection
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.batch import CRC_START
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch

T_MS = 1_700_000_000_000
BATCH = build_batch([Record(0, T_MS, b"k", b"v")])
OK, UNKNOWN_TOPIC, INVALID_TOPIC, REFUSED_TRANSACTION = 0, 3, 17, 53
UNSUPPORTED_CODEC, INVALID_RECORD, UNKNOWN_TOPIC_ID = 76, 87, 100
UNSUPPORTED_VERSION, INVALID_REQUEST, FENCED_EPOCH, UNKNOWN_EPOCH = 35, 42, 74, 75
NO_TIME = timedelta(0)
SERVED = [(key, version) for key, version in every_version(ApiKey.produce) if version >= 3]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(BrokerSettings(log_dirs=(tmp_path,))) as broker:
        broker.logs.create_topic("t", 2, {"retention.ms": "-1"})  # the records are old
        yield broker


@pytest.fixture
def caller(broker: Broker) -> Caller:
    return Caller(broker)


def produce(
    caller: Caller,
    version: int,
    *batches: bytes | None,
    topic: str = "t",
    topic_id: UUID | None = None,
    transactional_id: str | None = None,
) -> list[Any]:
    """What the partitions 0, 1, ... of a topic are told."""
    types = messages.types_of(ApiKey.produce, version, "request")
    if topic_id is None and topic in caller.broker.logs.topics():
        topic_id = caller.broker.logs.topics()[topic].topic_id
    parts = tuple(
        types.PartitionProduceData(index=index, records=batch)
        for index, batch in enumerate(batches)
    )
    data = messages.make(
        types.TopicProduceData, name=topic, topic_id=topic_id, partition_data=parts
    )
    response = caller.call(
        ApiKey.produce,
        version,
        transactional_id=transactional_id,
        acks=-1,
        timeout=timedelta(seconds=30),
        topic_data=(data,),
    )
    return list(response.responses[0].partition_responses)


@pytest.mark.parametrize(("_key", "version"), SERVED)
def test_every_version(broker: Broker, caller: Caller, _key: ApiKey, version: int) -> None:
    told = produce(caller, version, BATCH, None, BATCH)
    assert [part.error_code for part in told] == [OK, INVALID_RECORD, UNKNOWN_TOPIC]
    assert [part.base_offset for part in told] == [0, -1, -1]
    (refused,) = produce(caller, version, BATCH, transactional_id="tx")
    assert refused.error_code == REFUSED_TRANSACTION
    packed = build_batch([Record(0, T_MS, b"k", b"v")], codec=Codec.ZSTD)
    (told_zstd,) = produce(caller, version, packed)
    assert told_zstd.error_code == (UNSUPPORTED_CODEC if version < 7 else OK)


def test_topics_by_id(broker: Broker, caller: Caller) -> None:
    (unknown,) = produce(caller, 13, BATCH, topic_id=UUID(int=4711))
    assert unknown.error_code == UNKNOWN_TOPIC_ID
    broker.logs.create_topic("__consumer_offsets", 1)
    for version in (12, 13):
        (internal,) = produce(caller, version, BATCH, topic="__consumer_offsets")
        assert internal.error_code == INVALID_TOPIC


def test_a_partition_is_sent_one_batch(broker: Broker, caller: Caller) -> None:
    (two,) = produce(caller, 9, BATCH + BATCH)
    assert two.error_code == INVALID_RECORD
    assert broker.logs.find("t", 0).log_end_offset == 0


@pytest.mark.parametrize("version", [7, 8, 9, 13])
def test_the_records_to_blame_are_named(broker: Broker, caller: Caller, version: int) -> None:
    broker.logs.create_topic("compacted", 1, {"cleanup.policy": "compact"})
    records = [Record(i, T_MS, None if i % 10 == 3 else b"k", b"v") for i in range(100)]
    (told,) = produce(caller, version, build_batch(records), topic="compacted")
    assert told.error_code == INVALID_RECORD
    if version >= 8:
        blamed = [bad.batch_index for bad in told.record_errors]
        assert blamed == list(range(3, 100, 10))
        assert "no key" in told.record_errors[0].batch_index_error_message


def test_very_many_partitions_cost_one_line(
    broker: Broker, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """They are read aside; see test_own_thread for what that means."""
    many = [None] * (MOST_PARTITIONS * 4)
    with caplog.at_level(logging.WARNING):
        told = produce(caller, 9, BATCH, *many)
    assert [part.error_code for part in told] == [OK] + [INVALID_RECORD] * len(many)
    assert len(caplog.messages) == 1
    assert f"and {len(many) - 1} more" in caplog.messages[0]


@pytest.mark.parametrize(
    ("topics", "partitions"), [(1, (90 << 20) // 8), ((90 << 20) // 6, 0), (1, 0)]
)
def test_more_partitions_than_anybody_has_do_not_become_objects(
    broker: Broker, topics: int, partitions: int
) -> None:
    """90 MiB of nulls, of topics without partitions, and the smallest request that is refused."""
    partitions = partitions or (MOST_PARTITIONS_ASIDE if topics == 1 else 0)
    header = pack(">hhihhhii", 0, 7, 1, -1, -1, 1, 30_000, topics)
    topic = pack(">hi", 0, partitions) + pack(">ii", 0, -1) * partitions
    frame = memoryview(bytearray(header + topic * topics))
    caller = Caller(broker)
    tracemalloc.start()
    try:
        with pytest.raises(CloseConnection, match=f"more than {MOST_PARTITIONS_ASIDE} part"):
            caller.wait_for(caller.sent(frame, ApiKey.produce, 7))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 3 * len(frame)


@pytest.mark.parametrize("validation", ["sample", "always", "never"])
def test_which_batches_are_opened_is_a_setting(tmp_path: Path, validation: str) -> None:
    lying = bytearray(build_batch([Record(0, T_MS, b"k", b"v")]))
    lying[61 + 1 + 3] = 0x7E  # the length of the key; the CRC is made anew
    lying[17:21] = crc32c(bytes(lying[CRC_START:])).to_bytes(4, "big")
    settings = BrokerSettings(log_dirs=(tmp_path,), batch_validation=validation)
    with Broker(settings) as broker:
        broker.logs.create_topic("t", 1)
        caller = Caller(broker)
        codes = [
            produce(caller, 9, batch)[0].error_code for batch in (BATCH, BATCH, BATCH, bytes(lying))
        ]
    assert codes[:3] == [OK] * 3
    assert codes[3] == (OK if validation == "never" else INVALID_RECORD)


# Where a log begins, ends, and who wrote what -----------------------------------------------------


def list_offsets(caller: Caller, version: int, *timestamps: int, epoch: int = -1) -> list[Any]:
    """The answers about partition 0, once for each timestamp, in one request."""
    types = messages.types_of(ApiKey.list_offsets, version, "request")
    parts = tuple(
        messages.make(
            types.ListOffsetsPartition,
            partition_index=0,
            current_leader_epoch=epoch,
            timestamp=timestamp,
        )
        for timestamp in timestamps
    )
    topic = types.ListOffsetsTopic(name="t", partitions=parts)
    values = {"replica_id": -1, "isolation_level": 0, "topics": (topic,), "timeout": NO_TIME}
    return list(caller.call(ApiKey.list_offsets, version, **values).topics[0].partitions)


@pytest.mark.parametrize(("_key", "version"), every_version(ApiKey.list_offsets))
def test_offsets_and_questions(caller: Caller, _key: ApiKey, version: int) -> None:
    for stamp in (100, 50, 200):
        produce(caller, 9, build_batch([Record(0, T_MS + stamp, b"k", b"v")]))
    expected = {
        T_MS + 60: (1, OK, 0, T_MS + 100),
        T_MS + 101: (1, OK, 2, T_MS + 200),
        T_MS + 201: (1, OK, -1, -1),
        -1: (1, OK, 3, -1),
        -2: (1, OK, 0, -1),
        -3: (7, OK, 2, T_MS + 200),
        -4: (8, OK, 0, -1),
        -5: (9, OK, -1, -1),
        -6: (11, OK, -1, -1),
        -99: (99, OK, -1, -1),
    }
    for timestamp, (from_version, *wanted) in expected.items():
        (told,) = list_offsets(caller, version, timestamp)
        seen = [told.error_code, told.offset, told.timestamp]
        assert seen == (wanted if version >= from_version else [UNSUPPORTED_VERSION, -1, -1])
        if version >= 4:
            assert told.leader_epoch == (0 if told.offset >= 0 else -1)


def test_offsets_are_asked_once_and_by_who_knows_the_leader(caller: Caller) -> None:
    assert {t.error_code for t in list_offsets(caller, 7, -1, -2)} == {INVALID_REQUEST}
    assert [t.error_code for t in list_offsets(caller, 7, -1, epoch=0)] == [OK]
    assert [t.error_code for t in list_offsets(caller, 7, -1, epoch=4)] == [UNKNOWN_EPOCH]


@pytest.mark.parametrize(("key", "version"), every_version(ApiKey.offset_for_leader_epoch))
def test_where_an_epoch_ended(caller: Caller, key: ApiKey, version: int) -> None:
    types = messages.types_of(key, version, "request")

    def end_of(epoch: int) -> tuple[int, int, int]:
        part = messages.make(
            types.OffsetForLeaderPartition,
            partition=0,
            current_leader_epoch=-1,
            leader_epoch=epoch,
        )
        topic = types.OffsetForLeaderTopic(topic="t", partitions=(part,))
        told = caller.call(key, version, replica_id=-1, topics=(topic,)).topics[0].partitions[0]
        return told.error_code, told.leader_epoch, told.end_offset

    assert [end_of(epoch) for epoch in (-1, 0, 7)] == [(0, -1, -1), (0, 0, 0), (0, -1, -1)]
    produce(caller, 9, BATCH)
    assert [end_of(epoch) for epoch in (0, 7)] == [(0, 0, 1), (0, -1, -1)]
