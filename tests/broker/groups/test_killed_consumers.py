"""Real consumers share ten partitions; one of them is killed, and in between the broker.

At least once, as Kafka promises: nothing is lost, and what is read twice was read after the last
commit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.broker.groups.group_consumer import HEARTBEAT_MS, JAVA, LIBRARIES, SESSION_MS
from zerocopy_lab.running import apache_kafka
from zerocopy_lab.running.running_broker import RunningBroker

PARTITIONS = 10
MESSAGES = 2_000
TOPIC = "shared"
#: In the new protocol these are the broker's; in the classic one each member says its own.
TIMES = (
    f"--set=group.consumer.session.timeout.ms={SESSION_MS}",
    f"--set=group.consumer.heartbeat.interval.ms={HEARTBEAT_MS}",
)

NO_JAVA = apache_kafka.unavailable()
OF_KAFKA = (pytest.mark.kafka, pytest.mark.skipif(NO_JAVA is not None, reason=str(NO_JAVA)))
ALL = [*LIBRARIES, *(pytest.param(name, marks=OF_KAFKA) for name in JAVA)]


class ConsumerProcess:
    """One member of the group, and everything it has said."""

    def __init__(self, library: str, bootstrap: str) -> None:
        script = Path(__file__).with_name("group_consumer.py")
        self._changed = threading.Condition()
        self.read: list[tuple[int, int, str]] = []
        self.assigned: set[int] = set()
        self.committed: dict[int, int] = {}
        self.process = subprocess.Popen(
            [sys.executable, str(script), library, bootstrap, "group", TOPIC],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._complaints: list[str] = []
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._listen, self._listen_to_complaints)
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break  # killed in the middle of a line
            with self._changed:
                self._take(json.loads(line))
                self._changed.notify_all()

    def _listen_to_complaints(self) -> None:
        assert self.process.stderr is not None
        self._complaints.extend(self.process.stderr)

    def _take(self, event: dict[str, Any]) -> None:
        if "name" in event:
            self._take_from_java(event)
        elif "read" in event:
            partition, offset, value = event["read"]
            self.read.append((partition, offset, value))
        elif "assigned" in event:
            self.assigned = set(event["assigned"])
        elif "committed" in event:
            self.committed.update({int(p): o for p, o in event["committed"].items()})

    def _take_from_java(self, event: dict[str, Any]) -> None:
        partitions = {one["partition"] for one in event.get("partitions", ())}
        match event["name"]:
            case "record_data":
                self.read.append((event["partition"], event["offset"], event["value"]))
            case "partitions_assigned":
                self.assigned |= partitions
            case "partitions_revoked":
                self.assigned -= partitions
            case "offsets_committed" if event["success"]:
                self.committed.update({o["partition"]: o["offset"] for o in event["offsets"]})

    def wait_until(self, condition: Any, what: str) -> None:
        with self._changed:
            met = self._changed.wait_for(lambda: condition(self), 60)
        assert met, f"not in 60 s: {what}; its last words: {''.join(self._complaints[-10:])}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def create_topic(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(30)


def produce(bootstrap: str, numbers: range) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for number in numbers:
        producer.produce(TOPIC, str(number).encode(), partition=number % PARTITIONS)
    assert producer.flush(30) == 0


def share(first: ConsumerProcess, second: ConsumerProcess) -> None:
    """Wait until each of them owns five partitions and has committed something."""
    for one in (first, second):
        one.wait_until(lambda c: len(c.assigned) == PARTITIONS // 2, "a half of the partitions")
    assert first.assigned | second.assigned == set(range(PARTITIONS))


def has_everything(heir: ConsumerProcess) -> bool:
    """Whether it owns all partitions and has read the last message of each."""
    last = {str(number) for number in range(MESSAGES - PARTITIONS, MESSAGES)}
    return len(heir.assigned) == PARTITIONS and last <= {value for _, _, value in heir.read}


def check_at_least_once(dead: ConsumerProcess, alive: ConsumerProcess) -> None:
    read = {value for _, _, value in dead.read} | {value for _, _, value in alive.read}
    assert read == {str(number) for number in range(MESSAGES)}
    for partition in range(PARTITIONS):
        offsets = [o for p, o, _ in alive.read if p == partition]
        by_the_dead = [o for p, o, _ in dead.read if p == partition]
        twice = set(offsets) & set(by_the_dead)
        committed = dead.committed.get(partition, 0)
        assert all(offset >= committed for offset in twice), (partition, committed, twice)


@pytest.mark.slow
@pytest.mark.parametrize("library", ALL)
def test_the_other_member_takes_over(library: str, data_dir: Path) -> None:
    with RunningBroker(data_dir, options=TIMES) as broker:
        create_topic(broker.bootstrap)
        with (
            ConsumerProcess(library, broker.bootstrap) as victim,
            ConsumerProcess(library, broker.bootstrap) as heir,
        ):
            share(victim, heir)
            produce(broker.bootstrap, range(MESSAGES // 2))
            victim.wait_until(lambda c: len(c.committed) == PARTITIONS // 2, "commits")
            victim.kill()
            produce(broker.bootstrap, range(MESSAGES // 2, MESSAGES))
            heir.wait_until(has_everything, "all partitions to the end")
    check_at_least_once(victim, heir)


@pytest.mark.slow
@pytest.mark.parametrize("library", ALL)
def test_the_other_member_takes_over_from_a_broker_that_was_killed_too(
    library: str, data_dir: Path
) -> None:
    with RunningBroker(data_dir, options=TIMES) as broker:
        port = broker.port
        create_topic(broker.bootstrap)
        with (
            ConsumerProcess(library, broker.bootstrap) as victim,
            ConsumerProcess(library, broker.bootstrap) as heir,
        ):
            share(victim, heir)
            produce(broker.bootstrap, range(MESSAGES // 2))
            victim.wait_until(lambda c: len(c.committed) == PARTITIONS // 2, "commits")
            broker.kill()
            victim.kill()
            with RunningBroker(data_dir, options=[*TIMES, "--port", str(port)]) as again:
                produce(again.bootstrap, range(MESSAGES // 2, MESSAGES))
                heir.wait_until(has_everything, "all partitions to the end")
    check_at_least_once(victim, heir)
