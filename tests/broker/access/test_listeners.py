"""TLS and SASL with real clients, each through the door that it can open."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from ci.compat.certificates import Certificates, make_certificates
from zerocopy_lab.running.running_broker import RunningBroker

USERS = "# name:password\nalice:alice-secret\n\nbob:b:ob\n"
#: Larger than a TLS record and than a socket's buffer, so that everything is sent in parts.
MESSAGES = [bytes([index % 251]) * 1000 * (index % 40 + 1) for index in range(300)]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    try:
        return make_certificates(tmp_path_factory.mktemp("certificates"))
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


class Doors:
    """A broker with every kind of listener."""

    def __init__(self, broker: RunningBroker, certificates: Certificates) -> None:
        self.broker = broker
        self.certificates = certificates
        self.addresses = {"PLAINTEXT": broker.bootstrap}
        for line in broker.log_path.read_text().splitlines():
            _, found, announced = line.partition("listening on ")
            if found:
                address, _, protocol = announced.partition(" for ")
                self.addresses[protocol] = address

    def librdkafka(self, protocol: str, **more: str) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.addresses[protocol],
            "security.protocol": protocol,
            **({"ssl.ca.location": str(self.certificates.authority)} if "SSL" in protocol else {}),
            **{name.replace("_", "."): value for name, value in more.items()},
        }


def wait_until_all_are_announced(broker: RunningBroker) -> None:
    """The first listener is announced on stdout, the others in the log, a moment later."""
    deadline_s = time.monotonic() + 20
    while " for SASL_SSL" not in broker.log_path.read_text():
        assert time.monotonic() < deadline_s, broker.log_tail()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def doors(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    users = tmp_path_factory.mktemp("users") / "users"
    users.write_text(USERS)
    options = ["--sasl-users", str(users)]
    for protocol in ("SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        options += ["--listen", f"{protocol}://127.0.0.1:0"]
    options += ["--set", f"ssl.keystore.location={certificates.broker}"]
    options += ["--set", f"ssl.truststore.location={certificates.authority}"]
    options += ["--set", "ssl.client.auth=requested"]
    with RunningBroker(options=options) as broker:
        wait_until_all_are_announced(broker)
        yield Doors(broker, certificates)


WAYS = {
    "SSL": ("SSL", {}),
    "PLAIN over TLS": ("SASL_SSL", {"mechanism": "PLAIN"}),
    "SCRAM-SHA-256 over TLS": ("SASL_SSL", {"mechanism": "SCRAM-SHA-256"}),
    "SCRAM-SHA-512": ("SASL_PLAINTEXT", {"mechanism": "SCRAM-SHA-512"}),
    "PLAIN": ("SASL_PLAINTEXT", {"mechanism": "PLAIN"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_confluent_kafka(doors: Doors, way: str) -> None:
    protocol, sasl = WAYS[way]
    config = doors.librdkafka(protocol)
    if sasl:
        config |= {
            "sasl.mechanism": sasl["mechanism"],
            "sasl.username": "alice",
            "sasl.password": "alice-secret",
        }
    topic = f"confluent-{way.replace(' ', '-')}"
    producer = Producer({**config, "message.max.bytes": 2_000_000})
    for message in MESSAGES:
        producer.produce(topic, message)
    assert producer.flush(30) == 0
    consumer = Consumer({**config, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        assert read_all(consumer) == MESSAGES
    finally:
        consumer.close()


def read_all(consumer: Consumer) -> list[bytes]:
    received: list[bytes] = []
    while len(received) < len(MESSAGES):
        batch = consumer.consume(len(MESSAGES), 20)
        assert batch, f"nothing more came after {len(received)} messages"
        for message in batch:
            assert message.error() is None, message.error()
            value = message.value()
            assert value is not None
            received.append(value)
    return received


@pytest.mark.parametrize("way", WAYS)
def test_kafka_python(doors: Doors, way: str) -> None:
    import kafka

    protocol, sasl = WAYS[way]
    config: dict[str, Any] = {
        "bootstrap_servers": doors.addresses[protocol],
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        config["ssl_cafile"] = str(doors.certificates.authority)
    if sasl:
        config |= {
            "sasl_mechanism": sasl["mechanism"],
            "sasl_plain_username": "bob",
            "sasl_plain_password": "b:ob",
        }
    topic = f"kafka-python-{way.replace(' ', '-')}"
    producer = kafka.KafkaProducer(**config)
    for message in MESSAGES:
        producer.send(topic, message)
    producer.close(timeout=30)
    consumer = kafka.KafkaConsumer(
        topic, **config, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    try:
        received = [next(consumer).value for _ in MESSAGES]
    finally:
        consumer.close()
    assert received == MESSAGES


@pytest.mark.parametrize("way", WAYS)
def test_aiokafka(doors: Doors, way: str) -> None:
    import aiokafka

    protocol, sasl = WAYS[way]
    config: dict[str, Any] = {
        "bootstrap_servers": doors.addresses[protocol],
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        authority = str(doors.certificates.authority)
        config["ssl_context"] = ssl.create_default_context(cafile=authority)
    if sasl:
        config |= {
            "sasl_mechanism": sasl["mechanism"],
            "sasl_plain_username": "alice",
            "sasl_plain_password": "alice-secret",
        }
    topic = f"aiokafka-{way.replace(' ', '-')}"

    async def round_trip() -> list[bytes]:
        async with aiokafka.AIOKafkaProducer(**config) as producer:
            for message in MESSAGES:
                await producer.send(topic, message)
        async with aiokafka.AIOKafkaConsumer(
            topic, **config, auto_offset_reset="earliest"
        ) as consumer:
            return [(await consumer.getone()).value for _ in MESSAGES]

    assert asyncio.run(asyncio.wait_for(round_trip(), 60)) == MESSAGES


def refusal(config: dict[str, Any]) -> str:
    """What a client is told that asks for the list of topics."""
    heard: list[str] = []
    producer = Producer({**config, "error_cb": lambda error: heard.append(error.str())})
    try:
        producer.list_topics(timeout=5)
    except KafkaException:
        producer.poll(0)
        return "; ".join(heard)
    return ""


def test_a_wrong_password_is_refused(doors: Doors) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        config = doors.librdkafka(
            "SASL_PLAINTEXT", sasl_mechanism=mechanism, sasl_username="alice", sasl_password="x"
        )
        assert "unknown user or wrong password" in refusal(config)


def test_nobody_comes_in_without_authentication(doors: Doors) -> None:
    config = {"bootstrap.servers": doors.addresses["SASL_PLAINTEXT"]}
    assert refusal(config) != ""
    said = doors.broker.log_path.read_text()
    assert "metadata from a client that is not authenticated" in said


def test_plain_bytes_on_the_tls_listener_end_their_connection(doors: Doors) -> None:
    assert refusal({"bootstrap.servers": doors.addresses["SSL"]}) != ""
    assert refusal(doors.librdkafka("SSL")) == ""


def test_a_certificate_of_a_stranger_is_refused_and_a_known_one_is_welcome(doors: Doors) -> None:
    for owner, is_welcome in (
        (doors.certificates.client, True),
        (doors.certificates.stranger, False),
    ):
        config = doors.librdkafka(
            "SSL", ssl_certificate_location=str(owner), ssl_key_location=str(owner)
        )
        assert (refusal(config) == "") is is_welcome


def test_clients_are_sent_back_to_the_door_they_came_through(doors: Doors) -> None:
    producer = Producer(doors.librdkafka("SSL"))
    brokers = producer.list_topics(timeout=10).brokers.values()
    assert [f"{broker.host}:{broker.port}" for broker in brokers] == [doors.addresses["SSL"]]
