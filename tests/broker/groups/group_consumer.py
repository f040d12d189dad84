"""A consumer in a process of its own, to be killed: one line of JSON for everything that happens to
it.

    python group_consumer.py LIBRARY BOOTSTRAP GROUP TOPIC

    {"assigned": [0, 3]}   {"read": [partition, offset, "value"]}   {"committed": {"0": 17}}

"committed" is printed after the broker has acknowledged it, "read" before the commit that covers
it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

SESSION_MS = 6_000
HEARTBEAT_MS = 1_000


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def read_all(messages: Iterable[tuple[Any, Any, Any]]) -> dict[int, int]:
    """Say what was read; the offsets to commit, by partition."""
    upto: dict[int, int] = {}
    for partition, offset, value in messages:
        say(read=[partition, offset, value.decode()])
        upto[partition] = offset + 1
    return upto


def confluent(bootstrap: str, group: str, topic: str) -> None:
    times: dict[str, str | int] = {
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": HEARTBEAT_MS,
    }
    _confluent(bootstrap, group, topic, times)


def confluent_of_the_new_protocol(bootstrap: str, group: str, topic: str) -> None:
    """KIP-848, where the broker says how often it wants to hear of a member."""
    _confluent(bootstrap, group, topic, {"group.protocol": "consumer"})


def _confluent(bootstrap: str, group: str, topic: str, of_group: dict[str, str | int]) -> None:
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "reconnect.backoff.max.ms": 500,
            **of_group,
        }
    )
    owned: set[int] = set()

    def gained(_: Any, parts: list[Any]) -> None:
        owned.update(p.partition for p in parts)
        say(assigned=sorted(owned))

    def lost(_: Any, parts: list[Any]) -> None:
        owned.difference_update(p.partition for p in parts)
        say(assigned=sorted(owned))

    consumer.subscribe([topic], on_assign=gained, on_revoke=lost)
    while True:
        batch = [m for m in consumer.consume(50, 0.2) if m.error() is None]
        upto = read_all((m.partition(), m.offset(), m.value()) for m in batch)
        if upto:
            offsets = [TopicPartition(topic, p, o) for p, o in upto.items()]
            try:
                consumer.commit(offsets=offsets, asynchronous=False)
                say(committed=upto)
            except KafkaException as refused:
                say(refused=str(refused))


def kafka_python(bootstrap: str, group: str, topic: str) -> None:
    import kafka
    from kafka.errors import KafkaError

    class Listener(kafka.ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_assigned(self, assigned: Any) -> None:
            say(assigned=[p.partition for p in assigned])

        def on_partitions_revoked(self, revoked: Any) -> None:
            pass

    consumer = kafka.KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        reconnect_backoff_max_ms=500,
    )
    consumer.subscribe([topic], listener=Listener())
    while True:
        # kafka-python 3.0.12 loses a rebalance that is answered after poll() has run out of time,
        # so it gets time enough; it returns as soon as there are records. What goes wrong: a leader
        # whose topic's metadata came after its first JoinGroup must join again. That it must is
        # known from `_assignment_snapshot` alone (need_rejoin, coordinator/consumer.py:606), and
        # `_perform_assignment` brings this up to date (:473) before SyncGroup is answered. If
        # poll() ends in between, the next one sees no need to join (:408), so it never asks the
        # join under way for its outcome (`_join_task`, coordinator/base.py:480): the consumer polls
        # for ever, without partitions and heartbeats. Java's client asks whether there is a need or
        # a join under way (`rejoinNeededOrPending`). A real Kafka that answers the first JoinGroup
        # at once (group.initial.rebalance.delay.ms=0) sees the same: 2 starts in 150.
        try:
            batches = consumer.poll(timeout_ms=60_000, max_records=50)
        except KafkaError as away:  # while the broker is down, poll() may say so (base.py:370)
            say(refused=str(away))
            continue
        upto = read_all((m.partition, m.offset, m.value) for ms in batches.values() for m in ms)
        if upto:
            offsets = {
                kafka.TopicPartition(topic, p): kafka.OffsetAndMetadata(o, "", -1)
                for p, o in upto.items()
            }
            try:
                consumer.commit(offsets)
                say(committed=upto)
            except KafkaError as refused:
                say(refused=str(refused))


async def _aiokafka(bootstrap: str, group: str, topic: str) -> None:
    import aiokafka
    from aiokafka.errors import KafkaError

    class Listener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_assigned(self, assigned: Any) -> None:
            say(assigned=[p.partition for p in assigned])

        async def on_partitions_revoked(self, revoked: Any) -> None:
            pass

    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
    )
    consumer.subscribe([topic], listener=Listener())
    await consumer.start()
    while True:
        batches = await consumer.getmany(timeout_ms=200, max_records=50)
        upto = read_all((m.partition, m.offset, m.value) for ms in batches.values() for m in ms)
        if upto:
            try:
                await consumer.commit(
                    {aiokafka.TopicPartition(topic, p): o for p, o in upto.items()}
                )
                say(committed=upto)
            except KafkaError as refused:
                say(refused=str(refused))


def java(bootstrap: str, group: str, topic: str, *options: str) -> None:
    """Kafka's own verifiable consumer, in this process's place: its words are other ones."""
    from zerocopy_lab.running.apache_kafka import java_command
    from zerocopy_lab.running.kafka_tools import class_of

    where = ["--bootstrap-server", bootstrap, "--group-id", group, "--topic", topic]
    command = java_command(class_of("kafka-verifiable-consumer"), [*where, "--verbose", *options])
    os.execvp(command[0], command)


def java_of_the_new_protocol(bootstrap: str, group: str, topic: str) -> None:
    """KIP-848."""
    java(bootstrap, group, topic, "--group-protocol", "consumer")


JAVA: dict[str, Callable[[str, str, str], None]] = {
    "java": lambda *where: java(*where, "--session-timeout", str(SESSION_MS)),
    "java, KIP-848": java_of_the_new_protocol,
}

LIBRARIES: dict[str, Callable[[str, str, str], None]] = {
    "confluent-kafka": confluent,
    "confluent-kafka, KIP-848": confluent_of_the_new_protocol,
    "kafka-python": kafka_python,
    "aiokafka": lambda *where: asyncio.run(_aiokafka(*where)),
}

if __name__ == "__main__":
    {**LIBRARIES, **JAVA}[sys.argv[1]](*sys.argv[2:])
