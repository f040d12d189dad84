"""Kafka's own programs: the scripts of its `bin` directory, and DumpLogSegments over a tree.

`dump` starts one JVM for a whole tree. It tells of every batch that DumpLogSegments cannot read,
and of every index entry that does not point at what it should.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.running.apache_kafka import VERSION, jars, java_command

# The scripts of Kafka's bin directory and the class that each of them starts. Which package a class
# lives in changed between versions, so that is looked up in the jars.
TOOLS = {
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


def class_of(tool: str, version: str = VERSION) -> str:
    """The Java class behind a script of Kafka's `bin` directory. Raises KeyError for others."""
    name = TOOLS[tool.removesuffix(".sh")]
    found = [
        entry.removesuffix(".class").replace("/", ".")
        for jar in sorted(jars(version).glob("kafka*.jar"))
        for entry in zipfile.ZipFile(jar).namelist()
        if re.fullmatch(rf"(org/apache/)?kafka/(tools|admin)/([a-z]+/)*{name}\.class", entry)
    ]
    return max(found, key=lambda entry: entry.startswith("org."))  # in two? then the newer place


def run_tool(
    tool: str, arguments: Sequence[str], version: str = VERSION, **run_options: object
) -> subprocess.CompletedProcess[str]:
    """Runs a script of Kafka's `bin` directory to its end; options as for `subprocess.run`."""
    command = java_command(class_of(tool, version), arguments, version)
    return subprocess.run(command, check=False, text=True, **run_options)  # type: ignore


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


def names() -> list[str]:
    """The scripts that `run_tool` takes, with `.sh` and without."""
    return [*TOOLS, *(f"{name}.sh" for name in TOOLS)]
