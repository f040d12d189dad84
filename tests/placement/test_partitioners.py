"""The partitioners against Kafka's own vectors, and against two real clients."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as murmur2_of_kafka_python

from zerocopy_lab.placement.partitioners import (
    StickyPartitioner,
    java_partition,
    librdkafka_partition,
    murmur2,
)

KEYS = [b"UA", b"EWR", b"\x00", b"a-little-bit-longer-string", "Flughafen München".encode()]
MOCK_PARTITIONS = 4  # what librdkafka's built-in mock cluster gives a topic created on first use


@pytest.mark.parametrize(
    ("key", "signed"),  # the vectors of Kafka's UtilsTest.testMurmur2
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_has_javas_values(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % (1 << 32)


@given(st.binary(max_size=40))
def test_murmur2_agrees_with_kafka_python(key: bytes) -> None:
    assert murmur2(key) == murmur2_of_kafka_python(key)


def partitions_of_librdkafka(keys: list[bytes], partitioner: str) -> list[int | None]:
    """Where the real client delivers each key, against the mock cluster that lives inside it."""
    delivered: dict[bytes | None, int | None] = {}
    producer = Producer(
        {"test.mock.num.brokers": 1, "partitioner": partitioner, "linger.ms": 0, "log_level": 0}
    )
    for key in keys:
        producer.produce(
            "keys",
            key=key,
            value=b"",
            on_delivery=lambda error, message: delivered.update(
                {message.key(): message.partition()}
            ),
        )
    assert producer.flush(20) == 0, "the mock cluster did not answer"
    return [delivered[key] for key in keys]


def test_librdkafka_really_takes_the_crc() -> None:
    expected = [librdkafka_partition(key, MOCK_PARTITIONS) for key in KEYS]
    assert partitions_of_librdkafka(KEYS, "consistent_random") == expected
    assert len(set(expected)) > 1


def test_librdkafka_can_be_told_to_agree_with_java() -> None:
    expected = [java_partition(key, MOCK_PARTITIONS) for key in KEYS]
    assert partitions_of_librdkafka(KEYS, "murmur2_random") == expected
    assert expected != [librdkafka_partition(key, MOCK_PARTITIONS) for key in KEYS]


@given(st.binary(min_size=1, max_size=20), st.integers(1, 1000))
def test_a_partition_is_one_of_those_there_are(key: bytes, partition_count: int) -> None:
    for partition in (java_partition, librdkafka_partition):
        assert 0 <= partition(key, partition_count) < partition_count


def test_sticky_fills_a_batch_before_it_moves() -> None:
    sticky = StickyPartitioner(10, batch_bytes=1000, source=random.Random(1))
    chosen = [sticky.partition(100) for _ in range(10_000)]
    runs = [chosen[at : at + 10] for at in range(0, len(chosen), 10)]
    assert all(len(set(run)) == 1 for run in runs)
    assert len({run[0] for run in runs}) == 10


def test_sticky_spreads_evenly_in_the_long_run() -> None:
    sticky = StickyPartitioner(4, batch_bytes=16_384, source=random.Random(7))
    counts = Counter(sticky.partition(200) for _ in range(400_000))
    assert max(counts.values()) < 1.15 * min(counts.values())
