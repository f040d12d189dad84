"""The programs of `compat.py`, kcat and the tools of Apache Kafka: which command is which verb."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from ci.compat.verbs import (
    PASSWORD,
    TIMEOUT_S,
    USER,
    Admin,
    Client,
    Door,
    Failed,
    NotOffered,
    Shipment,
    expect,
)
from zerocopy_lab.running import apache_kafka, kafka_tools


def run(command: list[str], sent: bytes = b"") -> bytes:
    """What the command prints. Raises Failed."""
    done = subprocess.run(
        command, input=sent, capture_output=True, timeout=TIMEOUT_S, check=False, env=os.environ
    )
    if done.returncode:
        said = (done.stdout[-300:] + done.stderr[-700:]).decode(errors="replace")
        raise Failed(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


def lines_of(shipment: Shipment) -> bytes:
    """As a program wants the messages on its standard input."""
    return b"".join(message + b"\n" for message in shipment.messages)


# kcat ---------------------------------------------------------------------------------------------


class Kcat(Client):
    name = "kcat"
    programs = ("kcat",)

    def _command(self, door: Door) -> list[str]:
        if door.mechanism and door.mechanism.startswith("SCRAM") and self._never_connects():
            raise NotOffered
        options = [f"security.protocol={door.protocol}"]
        if door.is_encrypted:
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

    def produce(self, door: Door, shipment: Shipment) -> None:
        idempotence = f"enable.idempotence={shipment.idempotent}".lower()
        flags = ["-P", "-t", shipment.topic, "-z", shipment.codec, "-X", idempotence]
        run([*self._command(door), *flags], lines_of(shipment))

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        if group is None:
            flags = ["-C", "-t", topic, "-o", "beginning", "-c", str(count)]
        else:
            flags = ["-X", "auto.offset.reset=earliest", "-c", str(count), "-G", group, topic]
        return run([*self._command(door), *flags]).splitlines()

    def member(self, door: Door, group: str, topic: str, protocol: str = "classic") -> list[str]:
        if protocol == "consumer":
            raise NotOffered  # Debian's librdkafka is older than KIP-848
        options = ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"]
        command = [word for word in self._command(door) if word != "-q"]
        return ["sh", "-c", 'exec "$@" 2>&1', "kcat", *command, *options, "-G", group, topic]

    def assigned(self, line: str, owned: int) -> int | None:
        _, found, partitions = line.partition("): assigned: ")
        return partitions.count("[") if found else None


# The tools of Apache Kafka ------------------------------------------------------------------------


class JavaTools(Client):
    """The scripts of Apache Kafka's `bin` directory."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.name = f"Java tools {version}"
        # Kafka 4.2 renamed some options (KIP-1147).
        self._renamed = tuple(map(int, version.split(".")[:2])) >= (4, 2)
        self._used: set[str] = set()

    @cached_property
    def _directory(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="zerocopy-lab-java-"))

    def close(self) -> None:
        """Remove the files that the tools were given."""
        shutil.rmtree(self._directory)

    def unavailable(self) -> str | None:
        """As it is said of a Kafka of this version."""
        return apache_kafka.unavailable(self.version)

    @property
    def used(self) -> list[str]:
        """The tools that have ended well at least once."""
        return sorted(self._used)

    def tool(self, door: Door, tool: str, *arguments: str, sent: bytes = b"") -> str:
        """What a tool says when it is sent to a door with further arguments. Raises Failed."""
        server = ("--bootstrap-server", door.address)
        if tool == "kafka-producer-perf-test":  # the only one that wants it in its own way
            server = ("--producer-props", f"bootstrap.servers={door.address}")
        main_class = kafka_tools.class_of(tool, self.version)
        command = apache_kafka.java_command(main_class, (*server, *arguments), self.version)
        said = run(command, sent).decode(errors="replace")
        self._used.add(tool)
        return said

    def _config(self, door: Door, kind: str, **more: str) -> list[str]:
        """The option that names a file with these settings, for the console producer or consumer
        (`kind`).
        """
        lines = [f"security.protocol={door.protocol}"]
        lines += [f"{name.replace('_', '.')}={value}" for name, value in more.items()]
        if door.is_encrypted:
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
        return ["--command-config" if self._renamed else f"--{kind}.config", str(path)]

    def produce(self, door: Door, shipment: Shipment) -> None:
        idempotence = str(shipment.idempotent).lower()
        config = {"compression_type": shipment.codec, "enable_idempotence": idempotence}
        self.tool(
            door,
            "kafka-console-producer",
            *("--topic", shipment.topic, *self._config(door, "producer", **config)),
            *([] if shipment.codec == "none" else ["--compression-codec", shipment.codec]),
            sent=lines_of(shipment),
        )

    def consume(self, door: Door, topic: str, count: int, group: str | None = None) -> list[bytes]:
        said = self.tool(
            door,
            "kafka-console-consumer",
            *("--topic", topic, "--max-messages", str(count), "--timeout-ms", "30000"),
            *(["--group", group] if group else ["--from-beginning"]),
            *self._config(door, "consumer", auto_offset_reset="earliest"),
        )
        lines = said.encode().splitlines()
        return [line for line in lines if not line.startswith(b"Processed a total of")]

    def member(self, door: Door, group: str, topic: str, protocol: str = "classic") -> list[str]:
        arguments = [
            *("--bootstrap-server", door.address, "--topic", topic, "--group-id", group),
        ]
        if protocol == "classic":
            arguments += ["--session-timeout", "6000"]
        elif self.version.startswith("3."):
            raise NotOffered  # its verifiable consumer cannot be told to
        else:
            arguments += ["--group-protocol", protocol]
        main_class = kafka_tools.class_of("kafka-verifiable-consumer", self.version)
        self._used.add("kafka-verifiable-consumer")
        return apache_kafka.java_command(main_class, arguments, self.version)

    def assigned(self, line: str, owned: int) -> int | None:
        event = json.loads(line) if line.startswith("{") else {}
        signs = {"partitions_assigned": 1, "partitions_revoked": -1}
        sign = signs.get(event.get("name", ""))
        return None if sign is None else owned + sign * len(event["partitions"])

    @contextmanager
    def admin(self, door: Door) -> Iterator[Admin]:
        yield JavaAdmin(self, door)

    def show_more(self, door: Door, topic: str) -> None:
        self._count(door, topic)
        self._delete_records(door, topic)
        self._measure(door, topic)
        self._look_after_a_group(door, topic)

    def _count(self, door: Door, topic: str) -> None:
        """A thousand records: acknowledged, in the offsets and on the disk."""
        count = ("--max-messages", "1000")
        said = self.tool(door, "kafka-verifiable-producer", "--topic", topic, *count)
        if '"sent":1000' not in said or '"acked":1000' not in said:
            raise Failed(said[-500:])
        offsets = self.tool(door, "kafka-get-offsets", "--topic", topic).split()
        expect(sum(int(line.split(":")[2]) for line in offsets), 1000)
        dirs = self.tool(door, "kafka-log-dirs", "--describe", "--topic-list", topic)
        (line,) = [line for line in dirs.splitlines() if line.startswith("{")]
        sizes = [
            p["size"] for d in json.loads(line)["brokers"][0]["logDirs"] for p in d["partitions"]
        ]
        expect((len(sizes), sum(sizes) > 1000), (5, True))

    def _delete_records(self, door: Door, topic: str) -> None:
        plan = {"partitions": [{"topic": topic, "partition": 0, "offset": -1}], "version": 1}
        (path := self._directory / "delete.json").write_text(json.dumps(plan))
        told = self.tool(door, "kafka-delete-records", "--offset-json-file", str(path))
        if "low_watermark" not in told:
            raise Failed(told)

    def _measure(self, door: Door, topic: str) -> None:
        said = self.tool(
            door,
            "kafka-producer-perf-test",
            *("--topic", topic, "--num-records", "5000", "--record-size", "100"),
            *("--throughput", "-1"),
        )
        if "5000 records sent" not in said:
            raise Failed(said[-500:])
        count = "--num-records" if self._renamed else "--messages"
        said = self.tool(door, "kafka-consumer-perf-test", "--topic", topic, count, "5000")
        (figures,) = [line for line in said.splitlines() if line.startswith("20")]
        if int(figures.split(",")[4]) < 5000:
            raise Failed(figures)

    def _look_after_a_group(self, door: Door, topic: str) -> None:
        tool, group = "kafka-consumer-groups", f"group-of-{topic}"
        self.consume(door, topic, 100, group)
        if group not in self.tool(door, tool, "--list").split():
            raise Failed(f"{group} is not in the list")
        told = self.tool(door, tool, "--describe", "--group", group)
        if topic not in told:
            raise Failed(told)
        reset = ("--reset-offsets", "--to-latest", "--topic", topic, "--execute")
        self.tool(door, tool, "--group", group, *reset)
        told = self.tool(door, tool, "--group", group, "--describe")
        lags = [line.split()[5] for line in told.splitlines() if line.startswith(group)]
        expect(lags, ["0"] * 5)
        self.tool(door, tool, "--group", group, "--delete")
        if group in self.tool(door, tool, "--list").split():
            raise Failed(f"{group} is still there")


class JavaAdmin:
    """`kafka-topics` and `kafka-configs`."""

    def __init__(self, tools: JavaTools, door: Door) -> None:
        self._tools = tools
        self._door = door

    def _topics(self, *arguments: str) -> str:
        return self._tools.tool(self._door, "kafka-topics", *arguments)

    def _configs(self, topic: str, *arguments: str) -> str:
        where = ("--entity-type", "topics", "--entity-name", topic)
        return self._tools.tool(self._door, "kafka-configs", *where, *arguments)

    def create(self, topic: str, partitions: int, settings: Mapping[str, str]) -> None:
        flags = [word for name in settings for word in ("--config", f"{name}={settings[name]}")]
        self._topics("--create", "--topic", topic, "--partitions", str(partitions), *flags)

    def setting(self, topic: str, name: str) -> str | None:
        for word in self._configs(topic, "--describe").split():
            found, _, value = word.partition("=")
            if found == name:
                return value
        return None

    def change(self, topic: str, name: str, value: str) -> None:
        self._configs(topic, "--alter", "--add-config", f"{name}={value}")

    def extend(self, topic: str, partitions: int) -> None:
        self._topics("--alter", "--topic", topic, "--partitions", str(partitions))

    def partitions(self, topic: str) -> int:
        told = self._topics("--describe", "--topic", topic)
        return int(told.partition("PartitionCount: ")[2].split()[0])

    def delete(self, topic: str) -> None:
        self._topics("--delete", "--topic", topic)

    def topics(self) -> Collection[str]:
        return self._topics("--list").split()
