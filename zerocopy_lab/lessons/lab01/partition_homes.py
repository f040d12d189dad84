"""One broker with several log directories, and real keys: where partitions and records are found.

What is where is read from the disk and from what a client gets back, never asked of the broker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.pictures.replica_map import replica_map
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.placement.partitioners import java_partition, librdkafka_partition
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.scratch import scratch_directory
from zerocopy_lab.running.topic_admin import create_topic, delete_topic

DIRECTORIES = 3
TOPIC = "flights"
_SEGMENT_BYTES = 256 << 10
_SMALL_BATCHES = {"batch.size": 64 << 10}  # a batch has to fit into a segment


class Home(NamedTuple):
    """Where one partition was found: the number of its directory, its segments, their bytes."""

    directory: int
    segments: int
    log_bytes: int


def new_directories() -> list[Path]:
    """Log directories for this run; the broker makes them."""
    root = scratch_directory("01")
    return [root / f"disk-{number}" for number in range(DIRECTORIES)]


def broker_options(directories: Sequence[Path]) -> list[str]:
    """The words that name all directories but the first, and keep segments small."""
    more = [word for path in directories[1:] for word in ("--data-dir", str(path))]
    return [*more, "--set", f"segment.bytes={_SEGMENT_BYTES}"]


def find_homes(directories: Sequence[Path]) -> dict[TopicPartition, list[Home]]:
    """Every partition that has files, and every directory in which it has some: by looking."""
    homes: dict[TopicPartition, list[Home]] = {}
    for number, directory in enumerate(directories):
        for path in sorted(directory.glob("*-*")):
            topic, _, partition = path.name.rpartition("-")
            if not (path.is_dir() and partition.isdigit()):
                continue  # a checkpoint file, or a deleted partition on its way out
            sizes = [log.stat().st_size for log in path.glob("*.log")]
            home = Home(number, len(sizes), sum(sizes))
            homes.setdefault(TopicPartition(topic, int(partition)), []).append(home)
    return homes


def where_the_next_one_goes(bootstrap: str, directories: Sequence[Path], lab: Lab) -> int:
    """Sets the scene of the first question and returns the directory that the next partition got.

    Everything is created through a client; what is where is read from the disk.
    """
    events = flight_events.repeated(5_000 if lab.fast else 20_000)
    flight_events.produce(bootstrap, "full", events, _SMALL_BATCHES)
    for number in range(5):
        create_topic(bootstrap, f"empty-{number}")
    in_first = [key for key, home in find_homes(directories).items() if home[0].directory == 0]
    delete_topic(bootstrap, next(key.topic for key in in_first if key.topic != "full"))
    _show_directories(find_homes(directories))
    create_topic(bootstrap, "the-next")
    return find_homes(directories)[TopicPartition("the-next", 0)][0].directory


def _show_directories(homes: Mapping[TopicPartition, Sequence[Home]]) -> None:
    rows = []
    for number in range(DIRECTORIES):
        here = {
            f"{key.topic}-{key.partition}": home.log_bytes
            for key, found in homes.items()
            for home in found
            if home.directory == number
        }
        size = byte_count(sum(here.values()))
        rows.append([f"directory {number}", str(len(here)), size, ", ".join(sorted(here))])
    show_table(["", "partitions", "bytes", "which"], rows)


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


def send_with_keys(bootstrap: str, partition_count: int, lab: Lab) -> KeyedTraffic:
    """Sends flights with their carrier as the key, without naming partitions, and reads them
    back.
    """
    from confluent_kafka import Producer

    create_topic(bootstrap, TOPIC, partition_count)
    count = 15_000 if lab.fast else 60_000
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, **_SMALL_BATCHES})
    for event in flight_events.repeated(count):
        while True:
            try:
                producer.produce(TOPIC, event, key=carrier_of(event))
                break
            except BufferError:
                producer.poll(1)
    if left := producer.flush(60):
        raise flight_events.NotDelivered(f"{left} of {count} events were not stored within 60 s")
    return _read_keys(bootstrap, partition_count, count)


def carrier_of(event: bytes) -> bytes:
    """The airline of a flight, which is its key here."""
    carrier: str = json.loads(event)["carrier"]
    return carrier.encode()


def _read_keys(bootstrap: str, partition_count: int, count: int) -> KeyedTraffic:
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as Assigned

    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "keys", "enable.auto.commit": False}
    )
    consumer.assign([Assigned(TOPIC, partition, 0) for partition in range(partition_count)])
    found: dict[bytes, set[int]] = {}
    received = 0
    try:
        while received < count:
            messages = consumer.consume(min(count - received, 10_000), 10.0)
            if not messages:
                raise flight_events.NotDelivered(f"only {received} of {count} messages came back")
            for message in messages:
                if message.error():
                    raise flight_events.NotDelivered(f"{TOPIC}: {message.error()}")
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


def homes_picture(homes: Mapping[TopicPartition, Sequence[Home]]) -> Picture:
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
        title=f"Every partition of {TOPIC!r} lies in one directory" if whole else "",
    )


def homes_words(homes: Mapping[TopicPartition, Sequence[Home]]) -> str:
    """The conclusion under that picture."""
    found = [places for key, places in homes.items() if key.topic == TOPIC]
    segments = [home.segments for places in found for home in places]
    split = sum(len(places) > 1 for places in found)
    return (
        f"{len(found)} partitions and {sum(segments)} segment files, {min(segments)} to "
        f"{max(segments)} a partition. Partitions with files in more than one directory: {split}."
    )
