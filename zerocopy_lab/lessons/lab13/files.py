"""Lab 13, the files: the same batches to both, what lies on each disk, and each opens the other's.

The batches carry a fixed time, so that they are the same in every run and on every machine: then
the digest of a log here may be held against that of a Kafka that was recorded elsewhere.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.inspect.files import index_entries
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab13 import page
from zerocopy_lab.lessons.lab13.page import Answer, Answers, answer
from zerocopy_lab.lessons.lab13.two_brokers import KAFKA, OURS, TwoBrokers
from zerocopy_lab.records.batch import HEADER_BYTES, assign_offsets
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.flight_events import NotDelivered
from zerocopy_lab.running.passing_topic import served_topic
from zerocopy_lab.running.running_broker import RunningBroker

TOPIC = "zerocopy-lab-13-same"
HEAD, LISTING = "the first 61 bytes of its log", "files of the partition"
_FIXED_MS = 1_700_000_000_000
_RECORDS, _BATCHES = 20, 60
_NO_FILES = Unmeasured("the files of a broker elsewhere are not seen from here")


def same_batches() -> list[bytes]:
    """Flight events in batches, the same bytes always."""
    events = list(flight_events.repeated(_RECORDS * _BATCHES))
    batches = []
    for at in range(0, len(events), _RECORDS):
        together = enumerate(events[at : at + _RECORDS])
        batches.append(build_batch([Record(n, _FIXED_MS + at, None, each) for n, each in together]))
    return batches


def as_sent() -> str:
    """The digest of a log that holds them as they were sent, each stamped with its place only."""
    log = bytearray()
    for number, batch in enumerate(same_batches()):
        stamped = bytearray(batch)
        assign_offsets(memoryview(stamped), number * _RECORDS, 0)
        log += stamped
    return _short(log)


def _short(log: bytes | bytearray) -> str:
    return hashlib.sha256(log).hexdigest()[:16]


def write_the_same(two: TwoBrokers) -> dict[str, Answers]:
    """The same batches to each broker whose files can be seen, then a look at its files.

    Ours is one of its own for this, and has ended: it brings an index to the disk with the end of a
    segment, while Kafka's is a mapped file.
    """
    found: dict[str, Answers] = {}
    for name in two.brokers:
        if name not in two.running:
            found[name] = dict.fromkeys((page.LOG, page.INDEX, page.OPENS, LISTING), _NO_FILES)
            continue
        if name == OURS:
            with RunningBroker(_our_log_dir(two)) as broker:
                _send(broker, name)
        else:
            _send(two.running[name], name)
        found[name] = look_at(partitions(two)[name])
    return found


def partitions(two: TwoBrokers) -> dict[str, Path]:
    """The directory of the partition that holds the same batches, by broker."""
    theirs = {name: broker.data_dir for name, broker in two.running.items()}
    return {name: each / f"{TOPIC}-0" for name, each in {**theirs, OURS: _our_log_dir(two)}.items()}


def _our_log_dir(two: TwoBrokers) -> Path:
    return two.scratch / "ours"


def _send(broker: RunningBroker, name: str) -> None:
    served_topic(broker, TOPIC, {"retention.ms": "-1"})
    with Wire(broker.host, broker.port) as wire:
        for batch in same_batches():
            error, _ = produce(wire, TOPIC, 0, batch)
            if error:
                raise NotDelivered(f"{name} refused a batch: Kafka's error {error}")


def look_at(partition: Path) -> Answers:
    """A partition's directory: the log's digest, its first header, index entries, the files."""
    log = partition / f"{0:020d}.log"
    index = [
        (int(offset.value), int(position.value))
        for offset, position in index_entries(log.with_suffix(".index"))
    ]
    files = sorted((path.name, path.stat().st_size) for path in partition.iterdir())
    return {
        page.LOG: answer(page.LOG, _short(log.read_bytes())),
        page.INDEX: answer(page.INDEX, f"{len(index)}: {_entries(index)}"),
        HEAD: answer(HEAD, log.read_bytes()[:HEADER_BYTES].hex()),
        LISTING: answer(LISTING, ", ".join(f"{name} {size:,} B" for name, size in files)),
    }


def _entries(entries: list[tuple[int, int]]) -> str:
    """The first and the last, in words."""
    if not entries:
        return "none"
    return ", ".join(f"offset {offset} at {position}" for offset, position in entries[:2]) + (
        f" ... offset {entries[-1][0]} at {entries[-1][1]}" if len(entries) > 2 else ""
    )


def heads(two: TwoBrokers, answered: Mapping[str, Answers]) -> dict[str, bytes]:
    """Column of the page -> the first 61 bytes of its log, where they were seen."""
    found = {}
    for column in page.columns(two, answered):
        seen = column.answers.get(HEAD)
        if seen is not None and not isinstance(seen, Unmeasured):
            found[column.heading] = bytes.fromhex(str(seen.value))
    return found


def open_each_others(two: TwoBrokers) -> dict[str, Answer]:
    """Ours on a copy of Kafka's files, and Kafka, started again, on ours: does all come back?"""
    if KAFKA not in two.running:
        why = Unmeasured(two.why_alone)
        return dict.fromkeys(two.brokers, why)
    ours, theirs = (partitions(two)[name] for name in (OURS, KAFKA))
    return {
        OURS: answer(page.OPENS, _ours_opens(theirs, two.scratch / "kafkas")),
        KAFKA: answer(page.OPENS, _kafka_opens(two, ours)),
    }


def _ours_opens(partition: Path, log_dir: Path) -> bool:
    """A broker of ours on a copy of one of Kafka's partitions."""
    shutil.copytree(partition, log_dir / partition.name)
    with RunningBroker(log_dir) as broker:
        return _comes_back(broker)


def _kafka_opens(two: TwoBrokers, partition: Path) -> bool:
    """Kafka takes a partition for a stray, and removes it, unless its own metadata knows the topic
    by the id in partition.metadata: so ours takes the place of its own, and that file stays.
    """

    def exchange(data_dir: Path) -> None:
        place = data_dir / partition.name
        metadata = (place / "partition.metadata").read_bytes()
        shutil.rmtree(place)
        shutil.copytree(partition, place)
        (place / "partition.metadata").write_bytes(metadata)

    two.restart_kafka(exchange)
    return _comes_back(two.running[KAFKA])


def _comes_back(broker: RunningBroker) -> bool:
    """Whether a real client gets every event, in order, byte for byte."""
    count = _RECORDS * _BATCHES
    digest, payload_bytes = hashlib.sha256(), 0
    for event in flight_events.repeated(count):
        digest.update(event + b"\n")
        payload_bytes += len(event)
    wanted = flight_events.Traffic(count, payload_bytes, digest.hexdigest())
    return flight_events.consume(broker.bootstrap, TOPIC, count) == wanted
