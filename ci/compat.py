"""Which clients work with this broker, and at what: found out by running them, printed as a
Markdown table.

    python ci/compat.py                                   all clients
    python ci/compat.py --only confluent-kafka --only kcat --aspect TLS
    python ci/compat.py --out compat.md                   into a file as well

Every cell is a round trip whose result is compared: the messages that come back with those that
were sent, the codec and the producer's id with what the broker's segment files hold, the owner of
the partitions with who is left. "yes": it worked; "–": the client does not offer it; "no": it
failed, and why is said below the table. The exit code is 1 if anything failed.

Java's tools come from Maven (`apache_kafka.py`); where they cannot run, their rows say why.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ci import apache_kafka  # noqa: E402
from ci.certificates import Certificates, make_certificates  # noqa: E402
from zerocopy_lab.records.batch import BatchHeader, iterate_headers  # noqa: E402
from zerocopy_lab.workbench.running_broker import RunningBroker  # noqa: E402

ASPECTS = (
    "produce",
    "consume",
    "group",
    "rebalance",
    "admin",
    "compression",
    "idempotence",
    "TLS",
    "SASL",
)
CODECS = ("gzip", "snappy", "lz4", "zstd")
USER, PASSWORD = "alice", "alice-secret"
PARTITIONS = 10
MESSAGES = [b"message %d %s" % (number, b"x" * (number % 90)) for number in range(2_000)]
TIMEOUT_S = 90


class NotOffered(Exception):
    """The client has no such thing."""


class Failed(Exception):
    """It did something else than it should."""


class Door(NamedTuple):
    """One listener, and what a client needs to get in."""

    address: str
    protocol: str
    authority: Path
    mechanism: str | None = None


class Doors:
    """A running broker with every kind of listener."""

    def __init__(self, broker: RunningBroker, certificates: Certificates) -> None:
        self.data_dir = broker.data_dir
        addresses = {"PLAINTEXT": broker.bootstrap}
        deadline_s = time.monotonic() + 20
        while len(addresses) < 4:
            for line in broker.log_path.read_text().splitlines():
                address, found, protocol = line.partition("listening on ")[2].partition(" for ")
                if found:
                    addresses[protocol] = address
            if time.monotonic() > deadline_s:
                raise Failed(f"not all listeners came up: {addresses}")
            time.sleep(0.01)
        authority = certificates.authority
        self.plain = Door(addresses["PLAINTEXT"], "PLAINTEXT", authority)
        self.tls = Door(addresses["SSL"], "SSL", authority)
        self.sasl = [
            Door(addresses["SASL_SSL"], "SASL_SSL", authority, "PLAIN"),
            Door(addresses["SASL_SSL"], "SASL_SSL", authority, "SCRAM-SHA-512"),
            Door(addresses["SASL_PLAINTEXT"], "SASL_PLAINTEXT", authority, "SCRAM-SHA-256"),
        ]

    def batches_of(self, topic: str) -> list[BatchHeader]:
        """The headers of all batches that the broker has stored for a topic."""
        return [
            header
            for path in sorted(self.data_dir.glob(f"{topic}-*/*.log"))
            for _, header in iterate_headers(memoryview(path.read_bytes()))
        ]


@contextmanager
def open_doors() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="zerocopy-lab-compat-") as name:
        directory = Path(name)
        certificates = make_certificates(directory)
        (directory / "users").write_text(f"{USER}:{PASSWORD}\n")
        options = ["--sasl-users", str(directory / "users")]
        options += ["--set", f"ssl.keystore.location={certificates.broker}"]
        for protocol in ("SSL", "SASL_PLAINTEXT", "SASL_SSL"):
            options += ["--listen", f"{protocol}://127.0.0.1:0"]
        with RunningBroker(options=options) as broker:
            yield Doors(broker, certificates)


# Clients ------------------------------------------------------------------------------------------


class ClientUnderTest:
    """What a client has to be able to do; each row of the table is one of these."""

    name = ""

    def produce(
        self,
        door: Door,
        topic: str,
        messages: Sequence[bytes],
        codec: str = "none",
        idempotent: bool = False,
    ) -> None:
        raise NotOffered

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        """`count` messages in order; with a group from where it has got to, and committed."""
        raise NotOffered

    def member(self, door: Door, group: str, topic: str) -> list[str]:
        """The command line of a process that is a member of a group, and says what it owns."""
        raise NotOffered

    def administer(self, door: Door, topic: str) -> None:
        """Create with three partitions and a setting, read it, change it, extend, delete."""
        raise NotOffered

    @staticmethod
    def assigned(line: str) -> int | None:
        """How many partitions the member owns from this line of its output on; None if it says
        something else.
        """
        event = json.loads(line) if line.startswith("{") else {}
        return len(event["assigned"]) if "assigned" in event else None


class Confluent(ClientUnderTest):
    name = "confluent-kafka"

    def _config(self, door: Door) -> dict[str, Any]:
        config: dict[str, Any] = {
            "bootstrap.servers": door.address,
            "security.protocol": door.protocol,
        }
        if door.protocol.endswith("SSL"):
            config["ssl.ca.location"] = str(door.authority)
        if door.mechanism:
            config |= {
                "sasl.mechanism": door.mechanism,
                "sasl.username": USER,
                "sasl.password": PASSWORD,
            }
        return config

    def produce(
        self,
        door: Door,
        topic: str,
        messages: Sequence[bytes],
        codec: str = "none",
        idempotent: bool = False,
    ) -> None:
        from confluent_kafka import Producer

        config = {"compression.type": codec, "enable.idempotence": idempotent}
        producer = Producer({**self._config(door), **config})
        for message in messages:
            producer.produce(topic, message)
        if producer.flush(TIMEOUT_S):
            raise Failed("not everything was acknowledged")

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        from confluent_kafka import Consumer

        config = {
            "group.id": group or f"alone-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        consumer = Consumer({**self._config(door), **config})
        consumer.subscribe([topic])
        received: list[bytes] = []
        last = None
        while len(received) < count:
            batch = consumer.consume(1, 30)
            if not batch:
                raise Failed(f"{len(received)} of {count} messages came")
            last = batch[0]
            if last.error() is not None:
                raise Failed(str(last.error()))
            received.append(last.value() or b"")
        if group and last is not None:
            consumer.commit(message=last, asynchronous=False)
        consumer.close()
        return received

    def member(self, door: Door, group: str, topic: str) -> list[str]:
        script = ROOT / "tests" / "broker" / "group_consumer.py"
        return [sys.executable, str(script), self.name, door.address, group, topic]

    def administer(self, door: Door, topic: str) -> None:
        from confluent_kafka.admin import (  # type: ignore[attr-defined]
            AdminClient,
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
            NewPartitions,
            NewTopic,
            ResourceType,
        )

        admin = AdminClient(self._config(door))
        settings = {"retention.ms": "86400000"}
        admin.create_topics([NewTopic(topic, 3, 1, config=settings)])[topic].result(30)
        resource = ConfigResource(ResourceType.TOPIC, topic)
        told = admin.describe_configs([resource])[resource].result(30)
        expect(told["retention.ms"].value, "86400000")
        change = ConfigEntry("flush.ms", "1000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        admin.incremental_alter_configs([resource])[resource].result(30)
        resource = ConfigResource(ResourceType.TOPIC, topic)
        told = admin.describe_configs([resource])[resource].result(30)
        expect(told["flush.ms"].value, "1000")
        admin.create_partitions([NewPartitions(topic, 5)])[topic].result(30)
        expect(len(admin.list_topics(topic, 30).topics[topic].partitions), 5)
        admin.delete_topics([topic])[topic].result(30)
        expect(topic in admin.list_topics(timeout=30).topics, False)


class KafkaPython(ClientUnderTest):
    name = "kafka-python"

    def _config(self, door: Door) -> dict[str, Any]:
        config: dict[str, Any] = {
            "bootstrap_servers": door.address,
            "security_protocol": door.protocol,
        }
        if door.protocol.endswith("SSL"):
            config["ssl_cafile"] = str(door.authority)
        if door.mechanism:
            config |= {
                "sasl_mechanism": door.mechanism,
                "sasl_plain_username": USER,
                "sasl_plain_password": PASSWORD,
            }
        return config

    def produce(
        self,
        door: Door,
        topic: str,
        messages: Sequence[bytes],
        codec: str = "none",
        idempotent: bool = False,
    ) -> None:
        import kafka

        producer = kafka.KafkaProducer(
            **self._config(door),
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            linger_ms=5,
        )
        pending = [producer.send(topic, message) for message in messages]
        for future in pending:
            future.get(TIMEOUT_S)
        producer.close()

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        import kafka

        consumer = kafka.KafkaConsumer(
            topic,
            **self._config(door),
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=30_000,
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

    def member(self, door: Door, group: str, topic: str) -> list[str]:
        script = ROOT / "tests" / "broker" / "group_consumer.py"
        return [sys.executable, str(script), self.name, door.address, group, topic]

    def administer(self, door: Door, topic: str) -> None:
        import kafka
        from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

        admin = kafka.KafkaAdminClient(**self._config(door))
        try:
            settings = {"retention.ms": "86400000"}
            admin.create_topics([NewTopic(topic, 3, 1, topic_configs=settings)])
            admin.create_partitions({topic: NewPartitions(5)})
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            if "86400000" not in str(admin.describe_configs([resource])):
                raise Failed("describe_configs does not tell what was set")
            changed = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"flush.ms": "1000"})
            admin.alter_configs([changed])
            if "1000" not in str(admin.describe_configs([resource])):
                raise Failed("describe_configs does not tell what was changed")
            told = admin.describe_topics([topic])
            expect(len(told[0]["partitions"]), 5)
            admin.delete_topics([topic])
            expect(topic in admin.list_topics(), False)
        finally:
            admin.close()


class Aiokafka(ClientUnderTest):
    name = "aiokafka"

    def _config(self, door: Door) -> dict[str, Any]:
        config: dict[str, Any] = {
            "bootstrap_servers": door.address,
            "security_protocol": door.protocol,
        }
        if door.protocol.endswith("SSL"):
            config["ssl_context"] = ssl.create_default_context(cafile=str(door.authority))
        if door.mechanism:
            config |= {
                "sasl_mechanism": door.mechanism,
                "sasl_plain_username": USER,
                "sasl_plain_password": PASSWORD,
            }
        return config

    def produce(
        self,
        door: Door,
        topic: str,
        messages: Sequence[bytes],
        codec: str = "none",
        idempotent: bool = False,
    ) -> None:
        async def run() -> None:
            import aiokafka

            async with aiokafka.AIOKafkaProducer(
                **self._config(door),
                compression_type=None if codec == "none" else codec,
                enable_idempotence=idempotent,
            ) as producer:
                pending = [await producer.send(topic, message) for message in messages]
                await asyncio.gather(*pending)

        asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        async def run() -> list[bytes]:
            import aiokafka

            async with aiokafka.AIOKafkaConsumer(
                topic,
                **self._config(door),
                group_id=group,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
            ) as consumer:
                received = [(await consumer.getone()).value for _ in range(count)]
                if group:
                    await consumer.commit()
                return received

        return asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))

    def member(self, door: Door, group: str, topic: str) -> list[str]:
        script = ROOT / "tests" / "broker" / "group_consumer.py"
        return [sys.executable, str(script), self.name, door.address, group, topic]

    def administer(self, door: Door, topic: str) -> None:
        async def run() -> None:
            from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
            from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

            admin = AIOKafkaAdminClient(**self._config(door))
            await admin.start()
            try:
                settings = {"retention.ms": "86400000"}
                await admin.create_topics([NewTopic(topic, 3, 1, topic_configs=settings)])
                await admin.create_partitions({topic: NewPartitions(5)})
                resource = ConfigResource(ConfigResourceType.TOPIC, topic)
                if "86400000" not in str(await admin.describe_configs([resource])):
                    raise Failed("describe_configs does not tell what was set")
                told = await admin.describe_topics([topic])
                expect(len(told[0]["partitions"]), 5)
                await admin.delete_topics([topic])
                expect(topic in await admin.list_topics(), False)
            finally:
                await admin.close()

        asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))


class Kcat(ClientUnderTest):
    name = "kcat"

    def _command(self, door: Door) -> list[str]:
        if shutil.which("kcat") is None:
            raise NotOffered
        if door.mechanism and door.mechanism.startswith("SCRAM") and self._never_connects():
            raise NotOffered
        options = [f"security.protocol={door.protocol}"]
        if door.protocol.endswith("SSL"):
            options.append(f"ssl.ca.location={door.authority}")
        if door.mechanism:
            options += [f"sasl.mechanism={door.mechanism}", f"sasl.username={USER}"]
            options.append(f"sasl.password={PASSWORD}")
        flags = [word for option in options for word in ("-X", option)]
        return ["kcat", "-q", "-b", door.address, *flags]

    @staticmethod
    def _never_connects() -> bool:
        """Debian's librdkafka 2.0.2 opens no connection at all when it is told to use SCRAM."""
        said = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=False).stdout
        return "librdkafka 2.0.2 " in said

    def produce(
        self,
        door: Door,
        topic: str,
        messages: Sequence[bytes],
        codec: str = "none",
        idempotent: bool = False,
    ) -> None:
        flags = ["-P", "-t", topic, "-z", codec, "-X", f"enable.idempotence={idempotent}".lower()]
        run([*self._command(door), *flags], b"".join(message + b"\n" for message in messages))

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        if group is None:
            flags = ["-C", "-t", topic, "-o", "beginning", "-c", str(count)]
        else:
            flags = ["-X", "auto.offset.reset=earliest", "-c", str(count), "-G", group, topic]
        return run([*self._command(door), *flags]).splitlines()

    def member(self, door: Door, group: str, topic: str) -> list[str]:
        options = ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"]
        command = [word for word in self._command(door) if word != "-q"]
        return ["sh", "-c", 'exec "$@" 2>&1', "kcat", *command, *options, "-G", group, topic]

    @staticmethod
    def assigned(line: str) -> int | None:
        _, found, partitions = line.partition("): assigned: ")
        return partitions.count("[") if found else None


class JavaTools(ClientUnderTest):
    """The scripts of Apache Kafka's `bin` directory."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.name = f"Java tools {version}"
        self._used: set[str] = set()
        self._directory = Path(tempfile.mkdtemp(prefix="zerocopy-lab-java-"))

    def close(self) -> None:
        shutil.rmtree(self._directory)

    def _tool(self, tool: str, *arguments: str, sent: bytes = b"") -> str:
        main_class = apache_kafka.class_of(tool, self.version)
        command = apache_kafka.java_command(main_class, arguments, self.version)
        said = run(command, sent).decode(errors="replace")
        self._used.add(tool)
        return said

    def _properties(self, door: Door, **more: str) -> str:
        lines = [f"security.protocol={door.protocol}"]
        lines += [f"{name.replace('_', '.')}={value}" for name, value in more.items()]
        if door.protocol.endswith("SSL"):
            lines += ["ssl.truststore.type=PEM", f"ssl.truststore.location={door.authority}"]
        if door.mechanism:
            module = "plain.Plain" if door.mechanism == "PLAIN" else "scram.Scram"
            lines.append(f"sasl.mechanism={door.mechanism}")
            lines.append(
                f"sasl.jaas.config=org.apache.kafka.common.security.{module}LoginModule required "
                f'username="{USER}" password="{PASSWORD}";'
            )
        path = self._directory / f"{uuid.uuid4()}.properties"
        path.write_text("\n".join(lines))
        return str(path)

    def produce(
        self,
        door: Door,
        topic: str,
        messages: Sequence[bytes],
        codec: str = "none",
        idempotent: bool = False,
    ) -> None:
        config = self._properties(
            door, compression_type=codec, enable_idempotence=str(idempotent).lower()
        )
        self._tool(
            "kafka-console-producer",
            *("--bootstrap-server", door.address, "--topic", topic),
            *self._config_flag("producer", config),
            *([] if codec == "none" else ["--compression-codec", codec]),
            sent=b"".join(message + b"\n" for message in messages),
        )

    def _config_flag(self, kind: str, path: str) -> list[str]:
        # Kafka 4.2 renamed the options of the console tools (KIP-1147).
        new = tuple(map(int, self.version.split(".")[:2])) >= (4, 2)
        return ["--command-config" if new else f"--{kind}.config", path]

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        config = self._properties(door, auto_offset_reset="earliest")
        position = ["--group", group] if group else ["--from-beginning"]
        said = self._tool(
            "kafka-console-consumer",
            *("--bootstrap-server", door.address, "--topic", topic),
            *("--max-messages", str(count), "--timeout-ms", "30000"),
            *position,
            *self._config_flag("consumer", config),
        )
        lines = said.encode().splitlines()
        return [line for line in lines if not line.startswith(b"Processed a total of")]

    def member(self, door: Door, group: str, topic: str) -> list[str]:
        arguments = [
            *("--bootstrap-server", door.address, "--topic", topic, "--group-id", group),
            *("--session-timeout", "6000"),
        ]
        main_class = apache_kafka.class_of("kafka-verifiable-consumer", self.version)
        self._used.add("kafka-verifiable-consumer")
        return apache_kafka.java_command(main_class, arguments, self.version)

    @staticmethod
    def assigned(line: str) -> int | None:
        event = json.loads(line) if line.startswith("{") else {}
        return len(event["partitions"]) if event.get("name") == "partitions_assigned" else None

    def administer(self, door: Door, topic: str) -> None:
        server = ("--bootstrap-server", door.address)
        setting = ("--config", "retention.ms=86400000")
        self._tool(
            "kafka-topics", *server, "--create", "--topic", topic, "--partitions", "3", *setting
        )
        self._tool("kafka-topics", *server, "--alter", "--topic", topic, "--partitions", "5")
        told = self._tool("kafka-topics", *server, "--describe", "--topic", topic)
        if "PartitionCount: 5" not in told or "retention.ms=86400000" not in told:
            raise Failed(told)
        where = (*server, "--entity-type", "topics", "--entity-name", topic)
        self._tool("kafka-configs", *where, "--alter", "--add-config", "flush.ms=1000")
        if "flush.ms=1000" not in self._tool("kafka-configs", *where, "--describe"):
            raise Failed("kafka-configs does not tell what was changed")
        self._records(door, topic)
        self._groups(door, topic)
        self._tool("kafka-topics", *server, "--delete", "--topic", topic)
        if topic in self._tool("kafka-topics", *server, "--list").split():
            raise Failed(f"{topic} is still there")

    def _records(self, door: Door, topic: str) -> None:
        """What the tools that measure and look say of a thousand records in partition 0 to 4."""
        server = ("--bootstrap-server", door.address)
        said = self._tool(
            "kafka-verifiable-producer", *server, "--topic", topic, "--max-messages", "1000"
        )
        if '"sent":1000' not in said or '"acked":1000' not in said:
            raise Failed(said[-500:])
        offsets = self._tool("kafka-get-offsets", *server, "--topic", topic).split()
        expect(sum(int(line.split(":")[2]) for line in offsets), 1000)
        dirs = self._tool("kafka-log-dirs", *server, "--describe", "--topic-list", topic)
        (line,) = [line for line in dirs.splitlines() if line.startswith("{")]
        sizes = [
            p["size"] for d in json.loads(line)["brokers"][0]["logDirs"] for p in d["partitions"]
        ]
        expect((len(sizes), sum(sizes) > 1000), (5, True))
        plan = {"partitions": [{"topic": topic, "partition": 0, "offset": -1}], "version": 1}
        (path := self._directory / "delete.json").write_text(json.dumps(plan))
        told = self._tool("kafka-delete-records", *server, "--offset-json-file", str(path))
        if "low_watermark" not in told:
            raise Failed(told)
        self._perf(door, topic)

    def _perf(self, door: Door, topic: str) -> None:
        said = self._tool(
            "kafka-producer-perf-test",
            *("--topic", topic, "--num-records", "5000", "--record-size", "100"),
            *("--throughput", "-1", "--producer-props", f"bootstrap.servers={door.address}"),
        )
        if "5000 records sent" not in said:
            raise Failed(said[-500:])
        count = "--num-records" if self.version.startswith("4.2") else "--messages"
        said = self._tool(
            "kafka-consumer-perf-test",
            *("--bootstrap-server", door.address, "--topic", topic, count, "5000"),
        )
        (figures,) = [line for line in said.splitlines() if line.startswith("20")]
        if int(figures.split(",")[4]) < 5000:
            raise Failed(figures)

    def _groups(self, door: Door, topic: str) -> None:
        server, group = ("--bootstrap-server", door.address), f"group-of-{topic}"
        self.consume(door, topic, 100, group)
        if group not in self._tool("kafka-consumer-groups", *server, "--list").split():
            raise Failed(f"{group} is not in the list")
        told = self._tool("kafka-consumer-groups", *server, "--describe", "--group", group)
        if topic not in told:
            raise Failed(told)
        chosen = (*server, "--group", group)
        reset = ("--reset-offsets", "--to-latest", "--topic", topic, "--execute")
        self._tool("kafka-consumer-groups", *chosen, *reset)
        told = self._tool("kafka-consumer-groups", *chosen, "--describe")
        lags = [line.split()[5] for line in told.splitlines() if line.startswith(group)]
        expect(lags, ["0"] * 5)
        self._tool("kafka-consumer-groups", *chosen, "--delete")
        if group in self._tool("kafka-consumer-groups", *server, "--list").split():
            raise Failed(f"{group} is still there")

    @property
    def used(self) -> list[str]:
        """The tools that have ended well at least once."""
        return sorted(self._used)


# Checks -------------------------------------------------------------------------------------------


def check_produce(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    """What it writes, confluent-kafka reads."""
    client.produce(doors.plain, topic, MESSAGES)
    expect(Confluent().consume(doors.plain, topic, len(MESSAGES)), MESSAGES)


def check_consume(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    """What confluent-kafka writes, it reads."""
    Confluent().produce(doors.plain, topic, MESSAGES)
    expect(client.consume(doors.plain, topic, len(MESSAGES)), MESSAGES)


def check_group(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    """A second member of the group goes on where the first has committed."""
    Confluent().produce(doors.plain, topic, MESSAGES)
    for begin in (0, 700):
        expect(
            client.consume(doors.plain, topic, 700, f"group-{topic}"), MESSAGES[begin : begin + 700]
        )


def check_rebalance(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    """Two members share ten partitions; one is killed; the other gets all of them."""
    Confluent().produce(doors.plain, topic, [])  # learn early whether the broker is there
    _create_topic(doors.plain, topic)
    command = client.member(doors.plain, f"group-{topic}", topic)
    with Member(command, client.assigned) as victim, Member(command, client.assigned) as heir:
        victim.wait_for(PARTITIONS // 2)
        heir.wait_for(PARTITIONS // 2)
        victim.kill()
        heir.wait_for(PARTITIONS)


def check_admin(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    client.administer(doors.plain, topic)


def check_compression(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    """Each codec, as it lies in the segment file and as it is read back."""
    for codec in CODECS:
        client.produce(doors.plain, f"{topic}-{codec}", MESSAGES, codec)
        stored = {header.codec.name.lower() for header in doors.batches_of(f"{topic}-{codec}")}
        # librdkafka leaves a batch as it is that compression would make larger.
        expect(stored | {"none"}, {codec, "none"})
        expect(client.consume(doors.plain, f"{topic}-{codec}", len(MESSAGES)), MESSAGES)


def check_idempotence(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    """Every batch carries a producer id and a sequence number, without a gap."""
    client.produce(doors.plain, topic, MESSAGES, idempotent=True)
    batches = doors.batches_of(topic)
    expect({header.producer_id >= 0 for header in batches}, {True})
    sequence = 0
    for header in batches:
        expect(header.base_sequence, sequence)
        sequence += header.records_count
    expect(sequence, len(MESSAGES))


def check_tls(client: ClientUnderTest, doors: Doors, topic: str) -> None:
    client.produce(doors.tls, topic, MESSAGES)
    expect(client.consume(doors.tls, topic, len(MESSAGES)), MESSAGES)


def check_sasl(client: ClientUnderTest, doors: Doors, topic: str) -> str:
    """PLAIN and SCRAM; the cell names the mechanisms if not all are offered."""
    offered = []
    for number, door in enumerate(doors.sasl):
        try:
            client.produce(door, f"{topic}-{number}", MESSAGES)
        except NotOffered:
            continue
        expect(client.consume(door, f"{topic}-{number}", len(MESSAGES)), MESSAGES)
        offered.append(str(door.mechanism))
    return "yes" if len(offered) == len(doors.sasl) else ", ".join(offered)


#: A check returns what the cell says; None: "yes".
CHECKS: dict[str, Callable[[ClientUnderTest, Doors, str], str | None]] = {
    "produce": check_produce,
    "consume": check_consume,
    "group": check_group,
    "rebalance": check_rebalance,
    "admin": check_admin,
    "compression": check_compression,
    "idempotence": check_idempotence,
    "TLS": check_tls,
    "SASL": check_sasl,
}


def expect(found: Any, expected: Any) -> None:
    if found != expected:
        raise Failed(f"{str(expected)[:200]} was expected, not {str(found)[:200]}")


def _create_topic(door: Door, topic: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    admin = AdminClient({"bootstrap.servers": door.address})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)


class Member:
    """A process in a group, and how many partitions it owns."""

    def __init__(self, command: list[str], assigned: Callable[[str], int | None]) -> None:
        self._changed = threading.Condition()
        self._assigned = assigned
        self._owns = -1
        self._lines: list[str] = []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                owns = self._assigned(line)
                if owns is not None:
                    self._owns = owns
                    self._changed.notify_all()

    def wait_for(self, partitions: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._owns == partitions, TIMEOUT_S):
                tail = "".join(self._lines[-5:])
                raise Failed(f"a member owns {self._owns} partitions, not {partitions}: {tail}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def __enter__(self) -> Member:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()


def run(command: list[str], sent: bytes = b"") -> bytes:
    """What the command prints. Raises Failed."""
    done = subprocess.run(
        command, input=sent, capture_output=True, timeout=TIMEOUT_S, check=False, env=os.environ
    )
    if done.returncode:
        said = (done.stdout[-300:] + done.stderr[-700:]).decode(errors="replace")
        raise Failed(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


# The table ----------------------------------------------------------------------------------------


def row(
    client: ClientUnderTest, doors: Doors, aspects: Sequence[str], complaints: list[str]
) -> list[str]:
    cells = []
    for aspect in aspects:
        topic = f"{client.name}-{aspect}".replace(" ", "-").lower()
        try:
            cells.append(CHECKS[aspect](client, doors, topic) or "yes")
        except NotOffered:
            cells.append("–")
        except Exception as error:
            cells.append("no")
            last_line = traceback.format_exc().strip().splitlines()[-1]
            complaints.append(f"{client.name}, {aspect}: {last_line or error}")
        print(f"{client.name}: {aspect}: {cells[-1]}", file=sys.stderr, flush=True)
    return cells


def clients(only: Sequence[str]) -> Iterator[ClientUnderTest]:
    everybody: list[ClientUnderTest] = [Confluent(), KafkaPython(), Aiokafka(), Kcat()]
    for version in ("3.9.1", apache_kafka.VERSION):
        everybody.append(JavaTools(version))
    for client in everybody:
        if not only or any(client.name.startswith(name) for name in only):
            yield client


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="CLIENT")
    parser.add_argument("--aspect", action="append", choices=ASPECTS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    aspects = given.aspect or ASPECTS
    complaints: list[str] = []
    lines = [f"| client | {' | '.join(aspects)} |", "|---" * (len(aspects) + 1) + "|"]
    notes = []
    with open_doors() as doors:
        for client in clients(given.only):
            if isinstance(client, JavaTools):
                if reason := apache_kafka.unavailable():
                    notes.append(f"{client.name}: not testable here: {reason}")
                    continue
                apache_kafka.jars(client.version)
            cells = row(client, doors, aspects, complaints)
            lines.append(f"| {client.name} | {' | '.join(cells)} |")
            if isinstance(client, JavaTools):
                notes.append(f"{client.name}: {', '.join(client.used)}")
                client.close()
    table = "\n".join([*lines, "", *notes, *complaints])
    print(table)
    if given.out:
        given.out.write_text(table + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
