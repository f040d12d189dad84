"""A real Apache Kafka, wherever Java and Maven are: fetched once, then started, asked and stopped.

    python3 ci/apache_kafka.py fetch                        the jars, into this user's cache
    python3 ci/apache_kafka.py run DIR [--set NAME=VALUE]   one broker on 127.0.0.1, until Ctrl-C
    python3 ci/apache_kafka.py dump DIR                     DumpLogSegments over all that DIR holds
    python3 ci/apache_kafka.py tool kafka-topics --bootstrap-server 127.0.0.1:9092 --list

`--version 3.9.1` behind the action chooses another Kafka. Maven resolves the jars from wherever it
is set up to, so nothing here names a host. Standard library only.

The broker is KRaft's one-process kind: broker and controller in one JVM, both on loopback with free
ports. `dump` starts one JVM for a whole tree. It tells of every batch that DumpLogSegments cannot
read, and of every index entry that does not point at what it should.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

VERSION = "4.2.0"  # runs on Java 17
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60

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

# The scripts of Kafka's bin directory and the class that each of them starts. Which package a class
# lives in changed between versions, so that is looked up in the jars.
_TOOLS = {
    "kafka-acls": "AclCommand",
    "kafka-broker-api-versions": "BrokerApiVersionsCommand",
    "kafka-configs": "ConfigCommand",
    "kafka-console-consumer": "ConsoleConsumer",
    "kafka-console-producer": "ConsoleProducer",
    "kafka-consumer-groups": "ConsumerGroupCommand",
    "kafka-consumer-perf-test": "ConsumerPerformance",
    "kafka-delete-records": "DeleteRecordsCommand",
    "kafka-dump-log": "DumpLogSegments",
    "kafka-e2e-latency": "EndToEndLatency",
    "kafka-get-offsets": "GetOffsetShell",
    "kafka-leader-election": "LeaderElectionCommand",
    "kafka-log-dirs": "LogDirsCommand",
    "kafka-metadata-quorum": "MetadataQuorumCommand",
    "kafka-producer-perf-test": "ProducerPerformance",
    "kafka-reassign-partitions": "ReassignPartitionsCommand",
    "kafka-storage": "StorageTool",
    "kafka-topics": "TopicCommand",
    "kafka-transactions": "TransactionsCommand",
    "kafka-verifiable-consumer": "VerifiableConsumer",
    "kafka-verifiable-producer": "VerifiableProducer",
}


class KafkaUnavailable(RuntimeError):
    """This machine cannot run Apache Kafka; the message says what is missing."""


def unavailable() -> str | None:
    """Why this machine cannot run Apache Kafka, or None when it can."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    return f"not on PATH: {', '.join(missing)} (Java 17 or newer, and Maven)" if missing else None


def jars(version: str = VERSION) -> Path:
    """The directory with Kafka's jars, fetched by Maven the first time. Raises KafkaUnavailable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "zerocopy_lab" / "apache-kafka" / version
    if not directory.is_dir():
        if reason := unavailable():
            raise KafkaUnavailable(reason)
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


def class_of(tool: str, version: str = VERSION) -> str:
    """The Java class behind a script of Kafka's `bin` directory. Raises KeyError for others."""
    name = _TOOLS[tool.removesuffix(".sh")]
    found = [
        entry.removesuffix(".class").replace("/", ".")
        for jar in sorted(jars(version).glob("kafka*.jar"))
        for entry in zipfile.ZipFile(jar).namelist()
        if re.fullmatch(rf"(org/apache/)?kafka/(tools|admin)/([a-z]+/)*{name}\.class", entry)
    ]
    return max(found, key=lambda entry: entry.startswith("org."))  # in two? then the newer place


def java_command(main_class: str, arguments: Sequence[str], version: str = VERSION) -> list[str]:
    """The command line that runs one of Kafka's classes."""
    log_level = "info" if main_class == "kafka.Kafka" else "error"
    return [
        "java",
        "-Xmx1g",  # as in Kafka's own start script; the default would be a quarter of the memory
        f"-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}",
        "-cp",
        f"{jars(version)}/*",
        main_class,
        *arguments,
    ]


def run_tool(
    tool: str, arguments: Sequence[str], version: str = VERSION, **run_options: object
) -> subprocess.CompletedProcess[str]:
    """Runs a script of Kafka's `bin` directory to its end; options as for `subprocess.run`."""
    command = java_command(class_of(tool, version), arguments, version)
    return subprocess.run(command, check=False, text=True, **run_options)  # type: ignore


class Kafka(NamedTuple):
    """A running broker; its partitions are in `log_dir`, what it says is in `log_file`."""

    host: str
    port: int
    pid: int
    log_dir: Path
    log_file: Path

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"


@contextlib.contextmanager
def running_kafka(
    directory: Path, settings: Mapping[str, str] | None = None, version: str = VERSION
) -> Iterator[Kafka]:
    """A broker with its files below `directory`, stopped cleanly when the block ends.

    `directory/data` keeps its partitions and may be given again. Raises KafkaUnavailable,
    RuntimeError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log_dir, log_file = directory / "data", directory / "server.log"
    port, controller_port = _free_ports(2)
    properties = directory / "server.properties"
    lines = _properties(log_dir, port, controller_port, settings or {}).items()
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines))
    if not (log_dir / "meta.properties").exists():
        _format(properties, version)
    command = java_command("kafka.Kafka", [str(properties)], version)
    with (
        log_file.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait_until_started(process, log_file)
            yield Kafka("127.0.0.1", port, process.pid, log_dir, log_file)
        finally:
            _stop(process)


def _properties(
    log_dir: Path, port: int, controller_port: int, settings: Mapping[str, str]
) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "0",  # as our broker's: so that a log.dir can change hands
        "controller.quorum.voters": f"0@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
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
    made = run_tool("kafka-storage", arguments, version, capture_output=True)
    if made.returncode:
        raise RuntimeError(f"kafka-storage format failed:\n{made.stdout}{made.stderr}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


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
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise RuntimeError(f"Apache Kafka did not stop within {STOP_TIMEOUT_S} s") from None


class Dump(NamedTuple):
    """What DumpLogSegments said about a directory tree."""

    files: int
    faults: list[str]
    text: str


_FAULT = re.compile(
    r"isvalid: false|Mismatches in|timestamp mismatch|out of order|Non-consecutive offsets"
    r"|invalid bytes|Exception|Could not|[Cc]orrupt"
)
_DUMPED_SUFFIXES = (".log", ".index", ".timeindex", ".snapshot")


def dump(directory: Path, version: str = VERSION) -> Dump:
    """DumpLogSegments with deep iteration over every segment, index and producer snapshot below a
    directory.
    """
    files = sorted(path for path in directory.rglob("*") if _is_dumped(path))
    if not files:
        return Dump(0, [], "")
    arguments = ["--deep-iteration", "--files", ",".join(map(str, files))]
    done = run_tool(
        "kafka-dump-log", arguments, version, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    faults = [line for line in done.stdout.splitlines() if _FAULT.search(line)]
    if done.returncode:
        faults.append(f"DumpLogSegments ended with exit code {done.returncode}")
    dumped = done.stdout.count("Dumping ")
    if dumped != len(files):
        faults.append(f"DumpLogSegments dumped {dumped} of {len(files)} files")
    return Dump(dumped, faults, done.stdout)


def _is_dumped(path: Path) -> bool:
    return path.suffix in _DUMPED_SUFFIXES and re.fullmatch(r"\d{20}", path.stem) is not None


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.action(options))
    except KafkaUnavailable as error:
        sys.exit(f"Apache Kafka is not available here: {error}")


def _parser() -> argparse.ArgumentParser:
    version = argparse.ArgumentParser(add_help=False)
    version.add_argument(
        "--version", default=VERSION, help="Kafka's version (default: %(default)s)"
    )
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    actions = parser.add_subparsers(required=True)
    fetch = actions.add_parser("fetch", parents=[version], help="fetch the jars, print their place")
    fetch.set_defaults(action=_fetch_action)
    run = actions.add_parser("run", parents=[version], help="run one broker until Ctrl-C")
    run.add_argument("directory", type=Path)
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    run.set_defaults(action=_run_action)
    dumping = actions.add_parser(
        "dump", parents=[version], help="DumpLogSegments over a tree; exit code 1 for faults"
    )
    dumping.add_argument("directory", type=Path)
    dumping.set_defaults(action=_dump_action)
    tool = actions.add_parser(
        "tool", parents=[version], help="run a script of Kafka's bin directory"
    )
    tool.add_argument("tool", metavar="NAME", choices=[*_TOOLS, *(f"{name}.sh" for name in _TOOLS)])
    tool.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    tool.set_defaults(action=_tool_action)
    return parser


def _fetch_action(options: argparse.Namespace) -> int:
    print(jars(options.version))
    return 0


def _run_action(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    settings = dict(setting.split("=", 1) for setting in options.settings)
    try:
        with running_kafka(options.directory, settings, options.version) as kafka:
            print(f"listening on {kafka.bootstrap}", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _dump_action(options: argparse.Namespace) -> int:
    found = dump(options.directory, options.version)
    print(found.text)
    print(f"{found.files} files, {len(found.faults)} faults", *found.faults, sep="\n  ")
    return 1 if found.faults else 0


def _tool_action(options: argparse.Namespace) -> int:
    return run_tool(options.tool, options.rest, options.version).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
