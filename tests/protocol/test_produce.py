"""Produce requests as views: equal to what kio reads, never copied, and safe from strangers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.served import request_in
from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.produce import (
    ManyPartitions,
    ProducedPartition,
    Topic,
    produce_response,
    read_produce_request,
)
from zerocopy_lab.protocol.versions import ApiKey

VERSIONS = range(3, 14)
IDS = {"flights": UUID(int=7), "other": UUID(int=8), "größe": UUID(int=9), "x" * 249: UUID(int=3)}


def request_frame(
    version: int, topics: dict[str, list[tuple[int, bytes | None]]], **top: Any
) -> bytes:
    types = messages.types_of(ApiKey.produce, version, "request")
    entity = messages.make(
        types.ProduceRequest,
        **{"transactional_id": None, "acks": -1, "timeout": timedelta(seconds=30), **top},
        topic_data=tuple(
            messages.make(
                types.TopicProduceData,
                name=name,
                topic_id=IDS.get(name),
                partition_data=tuple(
                    types.PartitionProduceData(index=index, records=records)
                    for index, records in partitions
                ),
            )
            for name, partitions in topics.items()
        ),
    )
    return messages.encode_request(version, 1, "test", entity)[4:]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_says_the_same(version: int) -> None:
    frame = request_frame(
        version,
        {"flights": [(0, b"batch zero"), (7, b"batch seven")], "other": [(1, None)]},
        acks=1,
        timeout=timedelta(milliseconds=1234),
        transactional_id="tx",
    )
    header = request_in(frame)
    request = read_produce_request(memoryview(frame), header.body_at, version)
    assert (request.transactional_id, request.acks, request.timeout_ms) == ("tx", 1, 1234)
    flights, other = request.topics
    assert [
        (one.topic, one.partition, None if one.records is None else bytes(one.records))
        for one in request.partitions
    ] == [
        (flights, 0, b"batch zero"),
        (flights, 7, b"batch seven"),
        (other, 1, None),
    ]
    if version < 13:
        assert (flights.name, other.name, flights.topic_id) == ("flights", "other", b"")
    else:
        assert (flights.topic_id, flights.name) == (IDS["flights"].bytes, "")


def test_very_many_partitions_are_not_read_in_one_turn() -> None:
    frame = memoryview(request_frame(9, {"flights": [(0, b"")] * 9, "other": [(0, b"")] * 9}))
    body_at = request_in(frame).body_at
    assert len(read_produce_request(frame, body_at, 9, 20).topics) == 2
    with pytest.raises(ManyPartitions):
        read_produce_request(frame, body_at, 9, 19)


def test_what_is_kept_outlives_the_buffer() -> None:
    buffer = bytearray(request_frame(9, {"flights": [(0, b"0123456789"), (1, None)]}))
    kept = read_produce_request(memoryview(buffer), request_in(buffer).body_at, 9).kept()
    buffer[:] = bytes(len(buffer))
    assert [one.records and bytes(one.records) for one in kept.partitions] == [b"0123456789", None]


def test_records_are_views_into_the_frame_and_writable() -> None:
    buffer = bytearray(request_frame(9, {"t": [(0, b"0123456789")]}))
    header = request_in(buffer)
    (batches,) = read_produce_request(memoryview(buffer), header.body_at, 9).partitions
    assert batches.records is not None
    batches.records[0:2] = b"XY"
    assert b"XY23456789" in buffer


@pytest.mark.parametrize("version", VERSIONS)
def test_cut_anywhere_it_is_a_frame_error(version: int) -> None:
    frame = request_frame(version, {"flights": [(0, b"batch zero"), (1, b"one")]})
    body_at = request_in(frame).body_at
    for end in range(body_at, len(frame)):
        with pytest.raises(FrameError):
            read_produce_request(memoryview(frame)[:end], body_at, version)


@given(st.binary(max_size=100), st.sampled_from(list(VERSIONS)))
def test_strangers(body: bytes, version: int) -> None:
    try:
        request = read_produce_request(memoryview(body), 0, version)
    except FrameError:
        return
    assert sum(len(p.records or b"") for p in request.partitions) <= len(body)


answers = st.builds(
    ProducedPartition,
    partition=st.integers(0, 1 << 30),
    error_code=st.sampled_from([0, 2, 3, 45, 87]),
    base_offset=st.integers(-1, 1 << 62),
    append_time_ms=st.sampled_from([-1, 0, 1_700_000_000_123]),
    log_start_offset=st.integers(-1, 1 << 62),
    error_message=st.none() | st.text(max_size=300),
    record_errors=st.lists(st.tuples(st.integers(0, 1 << 30), st.text(max_size=9))).map(tuple),
)
told_by_topic = st.dictionaries(st.sampled_from(list(IDS)), st.lists(answers, max_size=4))


def response(version: int, given: dict[str, list[ProducedPartition]]) -> bytes:
    topics = [Topic(name, IDS[name].bytes, len(told)) for name, told in given.items()]
    return produce_response(42, version, topics, chain.from_iterable(given.values()))


def response_by_kio(version: int, given: dict[str, list[ProducedPartition]]) -> bytes:
    types = messages.response_types(ApiKey.produce, version)
    epoch = datetime.fromtimestamp(0, UTC)

    def entity_of(answer: ProducedPartition) -> Any:
        time_ms = answer.append_time_ms
        return messages.make(
            types.PartitionProduceResponse,
            index=answer.partition,
            error_code=messages.error_code(answer.error_code),
            base_offset=answer.base_offset,
            log_append_time=None if time_ms < 0 else epoch + timedelta(milliseconds=time_ms),
            log_start_offset=answer.log_start_offset,
            record_errors=tuple(
                types.BatchIndexAndErrorMessage(batch_index=i, batch_index_error_message=why)
                for i, why in (answer.record_errors if version >= 8 else ())
            ),
            error_message=answer.error_message,
        )

    responses = tuple(
        messages.make(
            types.TopicProduceResponse,
            name=topic,
            topic_id=IDS[topic],
            partition_responses=tuple(map(entity_of, told)),
        )
        for topic, told in given.items()
    )
    entity = messages.make(types.ProduceResponse, responses=responses)
    return messages.encode_response(ApiKey.produce, version, 42, entity)


@given(version=st.sampled_from(list(VERSIONS)), told=told_by_topic)
def test_a_response_is_what_kio_writes(
    version: int, told: dict[str, list[ProducedPartition]]
) -> None:
    assert response(version, told) == response_by_kio(version, told)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_message_without_end_is_shortened(version: int) -> None:
    answer = ProducedPartition(0, 3, error_message="a" * 40_000)
    shortened = replace(answer, error_message="a" * 1000)
    assert response(version, {"flights": [answer]}) == response_by_kio(
        version, {"flights": [shortened]}
    )
