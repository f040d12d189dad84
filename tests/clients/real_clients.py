"""Four unmodified clients, each behind the same two functions: write these lines, read them back.

A line is a message; keys and headers are left to other tests. Every reader reads a topic of one
partition from its beginning until it has as many messages as it was told to expect.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import aiokafka
import confluent_kafka
import kafka

TIMEOUT_S = 60

Write = Callable[[str, str, Sequence[bytes], str], None]  # bootstrap, topic, lines, codec
Read = Callable[[str, str, int], list[bytes]]  # bootstrap, topic, how many


class RealClient(NamedTuple):
    """A client by its name."""

    write: Write
    read: Read


def kcat_write(bootstrap: str, topic: str, lines: Sequence[bytes], codec: str = "none") -> None:
    command = ["kcat", "-b", bootstrap, "-P", "-t", topic, "-z", codec]
    subprocess.run(
        command, input=b"\n".join(lines) + b"\n", check=True, timeout=TIMEOUT_S, capture_output=True
    )


def kcat_read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    command = ["kcat", "-b", bootstrap, "-C", "-t", topic, "-c", str(count), "-q", "-e"]
    done = subprocess.run(command, check=True, timeout=TIMEOUT_S, capture_output=True)
    return done.stdout.splitlines()


def confluent_write(
    bootstrap: str, topic: str, lines: Sequence[bytes], codec: str = "none"
) -> None:
    failures: list[Any] = []

    def on_delivery(error: Any, _message: Any) -> None:
        if error is not None:
            failures.append(error)

    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": codec,
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for line in lines:
        producer.produce(topic, line, on_delivery=on_delivery)
        producer.poll(0)
    assert producer.flush(TIMEOUT_S) == 0
    assert not failures, failures[0]


def confluent_read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    values: list[bytes] = []
    try:
        while len(values) < count:
            messages = consumer.consume(min(10_000, count - len(values)), timeout=TIMEOUT_S)
            assert messages, f"only {len(values)} of {count} came within {TIMEOUT_S} s"
            for message in messages:
                assert message.error() is None, message.error()
                values.append(message.value() or b"")
    finally:
        consumer.close()
    return values


def kafka_python_write(
    bootstrap: str, topic: str, lines: Sequence[bytes], codec: str = "none"
) -> None:
    producer = kafka.KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        linger_ms=20,
        batch_size=100_000,
    )
    try:
        sent = [producer.send(topic, line) for line in lines]
        producer.flush(TIMEOUT_S)
        assert all(future.succeeded() for future in sent)
    finally:
        producer.close()


def kafka_python_read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    patience_ms = TIMEOUT_S * 1000
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=patience_ms)
    try:
        partition = kafka.TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        values = [message.value for message in islice(consumer, count)]
    finally:
        consumer.close()
    return values


def aiokafka_write(bootstrap: str, topic: str, lines: Sequence[bytes], codec: str = "none") -> None:
    async def write() -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            compression_type=None if codec == "none" else codec,
            linger_ms=20,
            max_batch_size=100_000,
        )
        await producer.start()
        try:
            sent = [await producer.send(topic, line) for line in lines]
            await asyncio.wait_for(asyncio.gather(*sent), TIMEOUT_S)
        finally:
            await producer.stop()

    asyncio.run(write())


def aiokafka_read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    async def read() -> list[bytes]:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            partition = aiokafka.TopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            values: list[bytes] = []
            while len(values) < count:
                found = await asyncio.wait_for(consumer.getmany(timeout_ms=5000), TIMEOUT_S)
                values += [message.value for messages in found.values() for message in messages]
            return values
        finally:
            await consumer.stop()

    return asyncio.run(read())


CLIENTS = {
    "kcat": RealClient(kcat_write, kcat_read),
    "confluent-kafka": RealClient(confluent_write, confluent_read),
    "kafka-python": RealClient(kafka_python_write, kafka_python_read),
    "aiokafka": RealClient(aiokafka_write, aiokafka_read),
}
