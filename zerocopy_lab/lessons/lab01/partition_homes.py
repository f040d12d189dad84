"""One broker with several log directories, and real keys: where partitions and records are found.

What is where is read from the disk and from what a client gets back, never asked of the broker.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.pictures.replica_map import replica_map
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.placement.partitioners import java_partition, librdkafka_partition
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker, ExistingCluster, broker_for
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.topic_admin import create_topic, delete_topic

__all__ = ["create_topic", "librdkafka_partition"]

DIRECTORIES = 3
TOPIC = "flights"
FULL, EMPTY, NEXT = "full", "empty", "the-next"
_SEGMENT_BYTES = 1 << 20  # a real Kafka takes no less
_SMALL_BATCHES = {"batch.size": 64 << 10}
_PATIENCE_S = 30.0


class Home(NamedTuple):
    """Where one partition was found: the number of its directory, its segments, their bytes."""

    directory: int
    segments: int
    log_bytes: int


class NextHome(NamedTuple):
    """Where the next partition went, and where the full one is: numbers of directories."""

    chosen: int
    full: int


Homes = Mapping[TopicPartition, Sequence[Home]]


def start(which: str, directories: Sequence[Path], parts: Path | None = None) -> AnyBroker:
    """A running broker of the kind that BROKER names, with several log directories. Close it."""
    if which == "zerocopy_lab":
        more = [word for path in directories[1:] for word in ("--data-dir", str(path))]
        return RunningBroker(directories[0], options=more, parts=parts).start()
    settings = {"log.dirs": ",".join(map(str, directories))}
    return broker_for(which, directories[0], settings=settings).__enter__()


def stop(broker: AnyBroker) -> None:
    """Stop it, if it is ours to stop."""
    if isinstance(broker, RunningBroker):
        broker.close()


def to_see(broker: AnyBroker, directories: Sequence[Path]) -> Sequence[Path]:
    """The directories, where they are those of a broker that runs here; else none, and why."""
    if isinstance(broker, ExistingCluster):
        print(f"The directories of {broker.bootstrap} are on another machine.")
        return ()
    return directories


def find_homes(directories: Sequence[Path]) -> dict[TopicPartition, list[Home]]:
    """Every partition that has files, and every directory in which it has some: by looking."""
    homes: dict[TopicPartition, list[Home]] = {}
    for number, directory in enumerate(directories):
        for path in sorted(directory.glob("*-*")):
            topic, _, partition = path.name.rpartition("-")
            if not (path.is_dir() and partition.isdigit()) or topic.startswith("__"):
                continue  # a checkpoint file, a deleted partition on its way out, Kafka's own
            sizes = [log.stat().st_size for log in path.glob("*.log")]
            home = Home(number, len(sizes), sum(sizes))
            homes.setdefault(TopicPartition(topic, int(partition)), []).append(home)
    return homes


def home_of(directories: Sequence[Path], topic: str, partition: int) -> int:
    """The number of the directory in which a partition just created is found."""
    name = f"{topic}-{partition}"
    _wait(lambda: any((path / name).is_dir() for path in directories), f"no {name} was made")
    return next(number for number, path in enumerate(directories) if (path / name).is_dir())


def _wait(holds: Callable[[], bool], otherwise: str) -> None:
    """A Kafka answers before its directories show it. Raises TimeoutError."""
    give_up = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{otherwise} within {_PATIENCE_S:g} s")
        time.sleep(0.05)


def set_the_scene(broker: AnyBroker, directories: Sequence[Path], lab: Lab) -> None:
    """One full partition alone in its directory, and two empty ones in each of the others."""
    if isinstance(broker, ExistingCluster):
        return
    create_topic(broker.bootstrap, FULL, 1)
    full_in = home_of(directories, FULL, 0)
    events = flight_events.repeated(5_000 if lab.fast else 20_000)
    flight_events.produce(broker.bootstrap, FULL, events, _SMALL_BATCHES)
    empty_in = {}
    for number in range(2 * DIRECTORIES - 1):
        create_topic(broker.bootstrap, f"{EMPTY}-{number}")
        empty_in[f"{EMPTY}-{number}"] = home_of(directories, f"{EMPTY}-{number}", 0)
    beside = next(name for name, home in empty_in.items() if home == full_in)
    delete_topic(broker.bootstrap, beside)
    gone = directories[full_in] / f"{beside}-0"
    _wait(lambda: not gone.exists(), f"{beside} was not deleted")


def create_the_next(broker: AnyBroker, directories: Sequence[Path]) -> NextHome | Unmeasured:
    """One more partition, and where it was found."""
    if isinstance(broker, ExistingCluster):
        return Unmeasured(f"the directories of {broker.bootstrap} are on another machine")
    create_topic(broker.bootstrap, NEXT)
    return NextHome(home_of(directories, NEXT, 0), home_of(directories, FULL, 0))


class KeyedTraffic(NamedTuple):
    """Where each key's records were found: key -> partitions, and how many records in all."""

    partitions_of: Mapping[bytes, frozenset[int]]
    records: int
    partition_count: int

    def agreeing(self, where: Callable[[bytes, int], int]) -> int:
        """For how many keys a partitioner names the partition in which the records are."""
        return sum(
            found == {where(key, self.partition_count)} for key, found in self.partitions_of.items()
        )


def send_with_keys(broker: AnyBroker, partition_count: int, lab: Lab) -> KeyedTraffic:
    """Sends flights with their carrier as the key, without naming partitions, and reads them
    back. On a cluster that somebody else uses the topic goes again.
    """
    if isinstance(broker, ExistingCluster):
        topic = f"zerocopy-lab-{secrets.token_hex(4)}"
        try:
            return _send_with_keys(broker.bootstrap, topic, partition_count, lab)
        finally:
            delete_topic(broker.bootstrap, topic)
    return _send_with_keys(broker.bootstrap, TOPIC, partition_count, lab)


def _send_with_keys(bootstrap: str, topic: str, partition_count: int, lab: Lab) -> KeyedTraffic:
    from confluent_kafka import Producer

    create_topic(bootstrap, topic, partition_count, {"segment.bytes": str(_SEGMENT_BYTES)})
    count = 40_000 if lab.fast else 120_000
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, **_SMALL_BATCHES})
    for event in flight_events.repeated(count):
        flight_events.enqueue(producer, topic, event, key=carrier_of(event))
    flight_events.flush(producer)
    return _read_keys(bootstrap, topic, partition_count, count)


def carrier_of(event: bytes) -> bytes:
    """The airline of a flight, which is its key here."""
    carrier: str = json.loads(event)["carrier"]
    return carrier.encode()


def _read_keys(bootstrap: str, topic: str, partition_count: int, count: int) -> KeyedTraffic:
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as Assigned

    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "keys", "enable.auto.commit": False}
    )
    consumer.assign([Assigned(topic, partition, 0) for partition in range(partition_count)])
    found: dict[bytes, set[int]] = {}
    received = 0
    try:
        while received < count:
            messages = consumer.consume(min(count - received, 10_000), 10.0)
            if not messages:
                raise flight_events.NotDelivered(f"only {received} of {count} messages came back")
            for message in messages:
                if message.error():
                    raise flight_events.NotDelivered(f"{topic}: {message.error()}")
                found.setdefault(message.key() or b"", set()).add(message.partition() or 0)
            received += len(messages)
    finally:
        consumer.close()
    return KeyedTraffic(
        {key: frozenset(places) for key, places in found.items()}, received, partition_count
    )


def show_keys(traffic: KeyedTraffic) -> None:
    """A table: key, where its records were found, what either client's hash says."""
    count = traffic.partition_count
    rows = [
        [
            key.decode(),
            ", ".join(map(str, sorted(found))),
            str(librdkafka_partition(key, count)),
            str(java_partition(key, count)),
        ]
        for key, found in sorted(traffic.partitions_of.items())
    ]
    show_table(["carrier", "found in", "CRC-32 (librdkafka)", "murmur2 (Java)"], rows)


def homes_picture(homes: Homes) -> Picture:
    """Which directory holds which partition of the keyed topic."""
    held = {
        key.partition: tuple(home.directory for home in found)
        for key, found in homes.items()
        if key.topic == TOPIC
    }
    whole = all(len(found) == 1 for found in held.values())
    return replica_map(
        held,
        brokers=range(DIRECTORIES),
        store="directory",
        origin=Origin("COUNTED", describe_host().text()),
        title=f"Every partition of {TOPIC!r} lies in one directory" if whole and held else "",
        nothing="the directories are on another machine",
    )


def homes_words(homes: Homes) -> str:
    """The conclusion under that picture."""
    if not homes:
        return "Nothing to see from here: the directories are on another machine."
    found = [places for key, places in homes.items() if key.topic == TOPIC]
    segments = [home.segments for places in found for home in places]
    split = sum(len(places) > 1 for places in found)
    return (
        f"{len(found)} partitions and {sum(segments)} segment files, {min(segments)} to "
        f"{max(segments)} a partition. Partitions with files in more than one directory: {split}."
    )
