"""A real Apache Kafka, wherever Java is: fetched once, then started and stopped.

    python -m zerocopy_lab kafka            (commands/kafka.py; `RunningBroker(kind="kafka")`)

The jars are those of an installation at KAFKA_HOME, or else Maven fetches them from wherever it is
set up to, once, into this user's cache; nothing here names a host. The broker is KRaft's
one-process kind: broker and controller in one JVM, both on loopback with free ports. It ends with
the process that started it (prctl(2), PR_SET_PDEATHSIG; Linux).
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

VERSION = "4.2.0"  # runs on Java 17
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
_LEAST_PORT, _MOST_TRIES = 10_000, 100
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>zerocopy_lab</groupId><artifactId>apache-kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{version}</version>
      <exclusions><exclusion>
        <groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId>
      </exclusion></exclusions>
    </dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId>
      <version>{version}</version>
      <exclusions><exclusion>
        <groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId>
      </exclusion></exclusions>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaUnavailable(RuntimeError):
    """This machine cannot run Apache Kafka; the message says what is missing."""


def unavailable(version: str | None = None) -> str | None:
    """Why this machine cannot run Apache Kafka, or None when it can."""
    wanted = ("java",) if _fetched(version or default_version()) else ("java", "mvn")
    missing = [name for name in wanted if shutil.which(name) is None]
    return (
        f"not on PATH: {', '.join(missing)} (Java 17 or newer, and Maven or KAFKA_HOME)"
        if missing
        else None
    )


def installed_version() -> str | None:
    """The version of the Kafka at KAFKA_HOME, by its jars; None when there is none."""
    names = [jar.name for jar in (_home() or Path()).glob("libs/kafka_2.*.jar")]
    found = [re.fullmatch(r"kafka_2\.\d+-(\d+\.\d+\.\d+)\.jar", name) for name in names]
    return next((match.group(1) for match in found if match), None)


def _home() -> Path | None:
    home = os.environ.get("KAFKA_HOME")
    return Path(home) if home else None


def _fetched(version: str) -> Path | None:
    """Where the jars of this version are, if they are there."""
    home = _home()
    if home and installed_version() == version:
        return home / "libs"
    directory = _cache() / version
    return directory if directory.is_dir() else None


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "zerocopy_lab" / "apache-kafka"


def default_version() -> str:
    """The one at KAFKA_HOME, or else the one that is fetched."""
    return installed_version() or VERSION


def jars(version: str = VERSION) -> Path:
    """The directory with Kafka's jars, fetched by Maven the first time. Raises KafkaUnavailable."""
    if there := _fetched(version):
        return there
    if reason := unavailable(version):
        raise KafkaUnavailable(reason)
    directory = _cache() / version
    _fetch(version, directory)
    return directory


def _fetch(version: str, directory: Path) -> None:
    print(f"Fetching Apache Kafka {version} with Maven, once, into {directory}", file=sys.stderr)
    unfinished = directory.with_name(f"{directory.name}.{os.getpid()}.unfinished")
    unfinished.mkdir(parents=True)
    pom = unfinished / "pom.xml"
    pom.write_text(_POM.format(version=version))
    maven = ["mvn", "--batch-mode", "--quiet", "--file", str(pom), "dependency:copy-dependencies"]
    made = subprocess.run(
        [*maven, f"-DoutputDirectory={unfinished}"], check=False, capture_output=True, text=True
    )
    if made.returncode:
        shutil.rmtree(unfinished)
        raise KafkaUnavailable(
            f"Maven could not fetch Apache Kafka {version}:\n{made.stdout[-2000:]}"
        )
    try:
        unfinished.rename(directory)
    except OSError:  # somebody else was quicker
        shutil.rmtree(unfinished)


def java_command(main_class: str, arguments: Sequence[str], version: str = VERSION) -> list[str]:
    """The command line that runs one of Kafka's classes."""
    log_level = "info" if main_class == "kafka.Kafka" else "error"
    heap = os.environ.get("KAFKA_HEAP_OPTS", "-Xmx1g")  # name and default of Kafka's own script
    return [
        "java",
        *heap.split(),
        f"-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}",
        "-cp",
        f"{jars(version)}/*",
        main_class,
        *arguments,
    ]


class Kafka(NamedTuple):
    """A running broker; its partitions are in `log_dir`, what it says is in `log_file`."""

    host: str
    port: int
    pid: int
    log_dir: Path
    log_file: Path
    process: subprocess.Popen[bytes]

    @property
    def bootstrap(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"


@contextlib.contextmanager
def running_kafka(
    directory: Path,
    settings: Mapping[str, str] | None = None,
    version: str = VERSION,
    *,
    log_dir: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    listeners: Sequence[str] = (),
) -> Iterator[Kafka]:
    """A broker with its files below `directory`, stopped cleanly when the block ends.

    `log_dir` (None: `directory/data`) keeps its partitions and may be given again; `port` 0 takes a
    free one; `listeners` are further ones, PROTOCOL://HOST:PORT. Raises KafkaUnavailable,
    RuntimeError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log_dir, log_file = log_dir or directory / "data", directory / "server.log"
    free_port, controller_port = free_ports(2)
    port = port or free_port
    properties = directory / "server.properties"
    doors = [f"PLAINTEXT://{host}:{port}", *listeners]
    lines = _properties(log_dir, doors, controller_port, settings or {}).items()
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines))
    if not (log_dir / "meta.properties").exists():
        _format(properties, version)
    command = java_command("kafka.Kafka", [str(properties)], version)
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_end_with_parent
        ) as process,
    ):
        try:
            _wait_until_started(process, log_file)
            yield Kafka(host, port, process.pid, log_dir, log_file, process)
        finally:
            _stop(process)


def _end_with_parent() -> None:
    """In the child: SIGTERM when the process that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _properties(
    log_dir: Path, doors: Sequence[str], controller_port: int, settings: Mapping[str, str]
) -> dict[str, str]:
    protocols = [door.partition("://")[0] for door in doors]
    return {
        "process.roles": "broker,controller",
        "node.id": "0",  # as our broker's: so that a log.dir can change hands
        "controller.quorum.voters": f"0@127.0.0.1:{controller_port}",
        "listeners": ",".join([*doors, f"CONTROLLER://127.0.0.1:{controller_port}"]),
        "advertised.listeners": ",".join(doors),
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": ",".join(
            ["CONTROLLER:PLAINTEXT", *(f"{each}:{each}" for each in protocols)]
        ),
        "ssl.keystore.type": "PEM",  # as our broker's: read only where a listener speaks TLS
        "log.dirs": str(log_dir),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        **settings,
    }


def _format(properties: Path, version: str) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(properties)]
    made = subprocess.run(
        java_command("kafka.tools.StorageTool", arguments, version),
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise RuntimeError(f"kafka-storage format failed:\n{made.stdout}{made.stderr}")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on just now, below those that the system lends to
    clients: until a Kafka has come so far as to listen, somebody's connection might have taken one.
    """
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in random.sample(range(_LEAST_PORT, _first_lent_port()), k=_MOST_TRIES):
            listener = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError(f"of {_MOST_TRIES} ports of 127.0.0.1 only {len(found)} are free")


def _first_lent_port() -> int:
    """Where the range of ports begins from which clients get theirs (ip(7))."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        first = 32_768
    return max(first, _LEAST_PORT + _MOST_TRIES)


def _wait_until_started(process: subprocess.Popen[bytes], log_file: Path) -> None:
    """Returns when Kafka says that it serves. Raises RuntimeError with the end of its log."""
    give_up = time.monotonic() + START_TIMEOUT_S
    while b"Kafka Server started" not in log_file.read_bytes():
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(
                f"Apache Kafka did not start (exit code {process.poll()}); the end of {log_file}:"
                f"\n{log_file.read_text()[-3000:]}"
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise RuntimeError(f"Apache Kafka did not stop within {STOP_TIMEOUT_S} s") from None
