"""The Python libraries of `compat.py`: what each calls the verbs."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import uuid
from collections.abc import Awaitable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ci.compat.verbs import (
    PASSWORD,
    ROOT,
    TIMEOUT_S,
    USER,
    Admin,
    Client,
    Door,
    Failed,
    NotOffered,
    Shipment,
)

T = TypeVar("T")


class Library(Client):
    """A group's member is a script that knows all three libraries by their names."""

    speaks_kip848 = False

    def member(self, door: Door, group: str, topic: str, protocol: str = "classic") -> list[str]:
        if protocol == "consumer" and not self.speaks_kip848:
            raise NotOffered
        script = ROOT / "tests" / "broker" / "groups" / "group_consumer.py"
        name = self.name if protocol == "classic" else f"{self.name}, KIP-848"
        return [sys.executable, str(script), name, door.address, group, topic]

    def assigned(self, line: str, owned: int) -> int | None:
        event = json.loads(line) if line.startswith("{") else {}
        return len(event["assigned"]) if "assigned" in event else None


# confluent-kafka ----------------------------------------------------------------------------------


class Confluent(Library):
    name = "confluent-kafka"
    speaks_kip848 = True

    def _config(self, door: Door) -> dict[str, Any]:
        config = {"bootstrap.servers": door.address, "security.protocol": door.protocol}
        if door.is_encrypted:
            config["ssl.ca.location"] = str(door.authority)
        if door.mechanism:
            config |= {"sasl.mechanism": door.mechanism}
            config |= {"sasl.username": USER, "sasl.password": PASSWORD}
        return config

    def produce(self, door: Door, shipment: Shipment) -> None:
        from confluent_kafka import Producer

        how = {"compression.type": shipment.codec, "enable.idempotence": shipment.idempotent}
        producer = Producer({**self._config(door), **how})
        for message in shipment.messages:
            producer.produce(shipment.topic, message)
        if producer.flush(TIMEOUT_S):
            raise Failed("not everything was acknowledged")

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        from confluent_kafka import Consumer

        how = {
            "group.id": group or f"alone-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        consumer = Consumer({**self._config(door), **how})
        consumer.subscribe([topic])
        received: list[bytes] = []
        while len(received) < count:
            batch = consumer.consume(1, 30)
            if not batch:
                raise Failed(f"{len(received)} of {count} messages came")
            if batch[0].error() is not None:
                raise Failed(str(batch[0].error()))
            received.append(batch[0].value() or b"")
        if group:
            consumer.commit(message=batch[0], asynchronous=False)
        consumer.close()
        return received

    @contextmanager
    def admin(self, door: Door) -> Iterator[Admin]:
        yield ConfluentAdmin(self._config(door))


class ConfluentAdmin:
    def __init__(self, config: dict[str, Any]) -> None:
        from confluent_kafka import admin

        self._words: Any = admin
        self._client = self._words.AdminClient(config)

    def _resource(self, topic: str, **what: Any) -> Any:
        return self._words.ConfigResource(self._words.ResourceType.TOPIC, topic, **what)

    def create(self, topic: str, partitions: int, settings: Mapping[str, str]) -> None:
        wanted = self._words.NewTopic(topic, partitions, 1, config=dict(settings))
        self._client.create_topics([wanted])[topic].result(30)

    def setting(self, topic: str, name: str) -> str | None:
        resource = self._resource(topic)
        told = self._client.describe_configs([resource])[resource].result(30)
        return str(told[name].value)

    def change(self, topic: str, name: str, value: str) -> None:
        to_set = self._words.AlterConfigOpType.SET
        entry = self._words.ConfigEntry(name, value, incremental_operation=to_set)
        resource = self._resource(topic, incremental_configs=[entry])
        self._client.incremental_alter_configs([resource])[resource].result(30)

    def extend(self, topic: str, partitions: int) -> None:
        wanted = self._words.NewPartitions(topic, partitions)
        self._client.create_partitions([wanted])[topic].result(30)

    def partitions(self, topic: str) -> int:
        return len(self._client.list_topics(topic, 30).topics[topic].partitions)

    def delete(self, topic: str) -> None:
        self._client.delete_topics([topic])[topic].result(30)

    def topics(self) -> Collection[str]:
        return set(self._client.list_topics(timeout=30).topics)


# kafka-python and its descendant aiokafka, which has kept the names of the settings ---------------


def _keywords(door: Door) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "bootstrap_servers": door.address,
        "security_protocol": door.protocol,
    }
    if door.mechanism:
        keywords |= {"sasl_mechanism": door.mechanism}
        keywords |= {"sasl_plain_username": USER, "sasl_plain_password": PASSWORD}
    return keywords


def _producing(shipment: Shipment) -> dict[str, Any]:
    return {
        "compression_type": None if shipment.codec == "none" else shipment.codec,
        "enable_idempotence": shipment.idempotent,
    }


def _consuming(group: str | None) -> dict[str, Any]:
    return {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}


class KafkaPython(Library):
    name = "kafka-python"

    def _config(self, door: Door) -> dict[str, Any]:
        tls = {"ssl_cafile": str(door.authority)} if door.is_encrypted else {}
        return {**_keywords(door), **tls}

    def produce(self, door: Door, shipment: Shipment) -> None:
        import kafka

        producer = kafka.KafkaProducer(**self._config(door), **_producing(shipment), linger_ms=5)
        pending = [producer.send(shipment.topic, message) for message in shipment.messages]
        for future in pending:
            future.get(TIMEOUT_S)
        producer.close()

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        import kafka

        consumer = kafka.KafkaConsumer(
            topic, **self._config(door), **_consuming(group), consumer_timeout_ms=30_000
        )
        received = []
        for message in consumer:
            received.append(message.value)
            if len(received) == count:
                break
        if group:
            consumer.commit()
        consumer.close()
        return received

    @contextmanager
    def admin(self, door: Door) -> Iterator[Admin]:
        import kafka

        client = kafka.KafkaAdminClient(**self._config(door))
        try:
            yield KafkaPythonAdmin(client)
        finally:
            client.close()


class KafkaPythonAdmin:
    def __init__(self, client: Any) -> None:
        from kafka import admin

        self._words: Any = admin
        self._client = client

    def _resource(self, topic: str, **what: Any) -> Any:
        return self._words.ConfigResource(self._words.ConfigResourceType.TOPIC, topic, **what)

    def create(self, topic: str, partitions: int, settings: Mapping[str, str]) -> None:
        wanted = self._words.NewTopic(topic, partitions, 1, topic_configs=dict(settings))
        self._client.create_topics([wanted])

    def setting(self, topic: str, name: str) -> str | None:
        told = self._client.describe_configs([self._resource(topic)])
        return str(told["topic"][topic][name]["value"])

    def change(self, topic: str, name: str, value: str) -> None:
        self._client.alter_configs([self._resource(topic, configs={name: value})])

    def extend(self, topic: str, partitions: int) -> None:
        self._client.create_partitions({topic: self._words.NewPartitions(partitions)})

    def partitions(self, topic: str) -> int:
        return len(self._client.describe_topics([topic])[0]["partitions"])

    def delete(self, topic: str) -> None:
        self._client.delete_topics([topic])

    def topics(self) -> Collection[str]:
        return set(self._client.list_topics())


class Aiokafka(Library):
    name = "aiokafka"

    def _config(self, door: Door) -> dict[str, Any]:
        if not door.is_encrypted:
            return _keywords(door)
        context = ssl.create_default_context(cafile=str(door.authority))
        return {**_keywords(door), "ssl_context": context}

    def produce(self, door: Door, shipment: Shipment) -> None:
        async def produce() -> None:
            import aiokafka

            async with aiokafka.AIOKafkaProducer(
                **self._config(door), **_producing(shipment)
            ) as producer:
                topic = shipment.topic
                pending = [await producer.send(topic, message) for message in shipment.messages]
                await asyncio.gather(*pending)

        asyncio.run(asyncio.wait_for(produce(), TIMEOUT_S))

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        async def consume() -> list[bytes]:
            import aiokafka

            async with aiokafka.AIOKafkaConsumer(
                topic, **self._config(door), **_consuming(group)
            ) as consumer:
                received = [(await consumer.getone()).value for _ in range(count)]
                if group:
                    await consumer.commit()
                return received

        return asyncio.run(asyncio.wait_for(consume(), TIMEOUT_S))

    @contextmanager
    def admin(self, door: Door) -> Iterator[Admin]:
        from aiokafka.admin import AIOKafkaAdminClient

        with asyncio.Runner() as runner:
            # Made inside the loop, because it asks which one it is in.
            async def make() -> AIOKafkaAdminClient:
                return AIOKafkaAdminClient(**self._config(door))

            client = runner.run(make())
            runner.run(client.start())
            try:
                yield AiokafkaAdmin(client, runner)
            finally:
                runner.run(client.close())


class AiokafkaAdmin:
    """Its answers are those of the protocol, so their error codes are checked here."""

    def __init__(self, client: Any, runner: asyncio.Runner) -> None:
        from aiokafka import admin

        self._words: Any = admin
        self._client = client
        self._runner = runner

    def _wait(self, asked: Awaitable[T]) -> T:
        return self._runner.run(_awaited(asked))

    def _resource(self, topic: str, **what: Any) -> Any:
        from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

        return ConfigResource(ConfigResourceType.TOPIC, topic, **what)

    def create(self, topic: str, partitions: int, settings: Mapping[str, str]) -> None:
        wanted = self._words.NewTopic(topic, partitions, 1, topic_configs=dict(settings))
        self._wait(self._client.create_topics([wanted]))

    def setting(self, topic: str, name: str) -> str | None:
        (told,) = self._wait(self._client.describe_configs([self._resource(topic)]))
        ((_code, _message, _type, _topic, entries),) = told.resources
        return next(str(value) for found, value, *_ in entries if found == name)

    def change(self, topic: str, name: str, value: str) -> None:
        asked = self._client.alter_configs([self._resource(topic, configs={name: value})])
        (told,) = self._wait(asked)
        if any(code for code, *_ in told.resources):
            raise Failed(str(told))

    def extend(self, topic: str, partitions: int) -> None:
        wanted = {topic: self._words.NewPartitions(partitions)}
        self._wait(self._client.create_partitions(wanted))

    def partitions(self, topic: str) -> int:
        told = self._wait(self._client.describe_topics([topic]))
        return len(told[0]["partitions"])

    def delete(self, topic: str) -> None:
        self._wait(self._client.delete_topics([topic]))

    def topics(self) -> Collection[str]:
        return set(self._wait(self._client.list_topics()))


async def _awaited(asked: Awaitable[T]) -> T:
    return await asyncio.wait_for(asked, TIMEOUT_S)
