"""Lab 11, counted: acknowledged messages that a kill, a torn write and a power cut take away.

Three topics of one broker, of ours or a real Kafka, differ in `flush.messages` alone. A producer
waits for each acknowledgement, and after each the kernel is asked whether any page of the log is
not on the disk yet: if none, the log as it is now is what a power cut leaves at worst. Nobody has
to trust what the broker says of its own flushes.

| end | how |
|---|---|
| kill -9 | for real; what is in the file then is counted |
| torn write | half a batch behind the log, as a kill in the middle of a write leaves it; then the |
| | broker is started again, and a real client reads what it serves |
| power cut | modelled: of the log only what was on the disk for certain, cut by `recovery` |

At worst: the kernel may have written more, the disk's own memory may have lost some. Only the
`.log` is looked at; indexes are made anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.conformance.recovering import recovery
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.log.settings import MAX_INT64
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.broker_config import otherwise_set
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.passing_topic import a_topic, batches_of
from zerocopy_lab.running.running_broker import RunningBroker

Broker = AnyBroker

RECORDED_AS = "11 flush policies"
BATCH, EVERY = 25, 1000
SYSTEM, SOME, EACH = "the system decides", f"every {EVERY:,} messages", "every batch"
POLICIES: Mapping[str, Mapping[str, str]] = {
    SYSTEM: {},
    SOME: {"flush.messages": str(EVERY)},
    EACH: {"flush.messages": "1"},
}
_AS_IT_COMES = {"flush.messages": str(MAX_INT64), "flush.ms": str(MAX_INT64)}


class BatchRefused(RuntimeError):
    """The broker did not take a batch; `code` is Kafka's error code, -1 where it hung up."""

    def __init__(self, number: int, code: int) -> None:
        super().__init__(f"batch {number} was refused: Kafka's error {code}")
        self.code = code


class Survivors(NamedTuple):
    """One policy: how many messages were acknowledged, and how many are left after each end."""

    policy: str
    acknowledged: int
    kill: int
    torn: int
    power: int
    log_bytes: int
    flushed_bytes: int
    """So much of the log was on the disk for certain when the last message was acknowledged."""
    otherwise: str = ""
    """What the broker says of its settings, where that is not what this policy means."""

    def lost(self, end: str) -> int:
        """Acknowledged messages that `kill`, `torn` or `power` took away."""
        left: int = getattr(self, end)
        return max(self.acknowledged - left, 0)


def flights(count: int) -> list[bytes]:
    """So many events, `BATCH` in each batch."""
    return batches_of(list(flight_events.repeated(count)), BATCH)


@or_unmeasured()
def survivors(broker: Broker, lab: Lab) -> list[Survivors] | Unmeasured:
    """Writes to a topic of each policy, ends the broker by kill -9, starts it again, and counts; or
    why that cannot be seen here. The broker is not running afterwards.
    """
    # Not a whole number of thousands, so that some are not flushed yet.
    batches = flights(EVERY * (3 if lab.fast else 12) + EVERY // 4)
    topics: dict[str, str] = {}
    ends: dict[str, tuple[int, int]] = {}
    otherwise: dict[str, str] = {}
    with ExitStack() as stack:
        for policy, settings in POLICIES.items():
            topic = topics[policy] = stack.enter_context(a_topic(broker, settings))
            ends[policy] = _write(broker, topic, batches)
            believed = {**_AS_IT_COMES, **settings}
            otherwise[policy] = "; ".join(otherwise_set(broker.bootstrap, believed, topic))
    assert isinstance(broker, RunningBroker)
    broker.kill()
    logs = {policy: log_path(broker, topic) for policy, topic in topics.items()}
    killed = {policy: path.read_bytes() for policy, path in logs.items()}
    for policy, path in logs.items():
        path.write_bytes(torn(killed[policy]))
    with RunningBroker(broker.data_dir, kind=broker.kind) as again:
        served = {policy: _served(again, topic) for policy, topic in topics.items()}
    return [
        Survivors(
            policy,
            acknowledged=end,
            kill=messages_in(killed[policy]),
            torn=served[policy],
            power=messages_in(killed[policy][:flushed]),
            log_bytes=len(killed[policy]),
            flushed_bytes=flushed,
            otherwise=otherwise[policy],
        )
        for policy, (end, flushed) in ends.items()
    ]


def log_path(broker: Broker, topic: str) -> Path:
    """The `.log` of a topic's partition 0. Raises NotSeenFromAfar for a cluster."""
    return broker.data_dir / f"{topic}-0" / f"{0:020d}.log"


def _write(broker: Broker, topic: str, batches: Sequence[bytes]) -> tuple[int, int]:
    """Batch by batch; the end of what was acknowledged, and how many bytes of the log were on the
    disk at the last acknowledgement.
    """
    path = log_path(broker, topic)
    looks = [(end, flushed_bytes(path)) for end in acknowledged(broker, topic, batches)]
    return looks[-1][0], max(on_disk_bytes for _, on_disk_bytes in looks)


def acknowledged(broker: Broker, topic: str, batches: Sequence[bytes]) -> Iterator[int]:
    """Sends batch after batch, each when the one before is acknowledged, and yields the offset
    behind it. Raises BatchRefused.
    """
    with Wire(broker.host, broker.port) as wire:
        for number, batch in enumerate(batches):
            try:
                error, base_offset = produce(wire, topic, 0, batch)
            except ConnectionError:
                raise BatchRefused(number, -1) from None
            if error:
                raise BatchRefused(number, error)
            yield base_offset + int.from_bytes(batch[57:61], "big")


def flushed_bytes(path: Path) -> int:
    """The size of a file of which no page waits for the disk; 0 when one does. Raises Unavailable
    where the kernel does not tell.
    """
    size_bytes = path.stat().st_size
    counts = page_counts(path)
    if counts.dirty is None or counts.writeback is None:
        raise Unavailable(
            "What a power cut takes",
            "this kernel or file system does not tell which pages wait for the disk",
            "It takes Linux 6.5 and a file system of its own, such as a mounted volume",
        )
    return 0 if counts.dirty or counts.writeback else size_bytes


def torn(log: bytes) -> bytes:
    """The log with half a batch behind it: the last one again, begun at the next offset."""
    *_, (position, header) = iterate_headers(memoryview(log))
    again = (header.last_offset + 1).to_bytes(8, "big") + log[position + 8 :]
    return log + again[: len(again) // 2]


def messages_in(log: bytes) -> int:
    """How many messages the good part of a log holds, by the kit's own `recovery`."""
    good = memoryview(log)[: recovery(memoryview(log), 0)]
    return sum(header.records_count for _, header in iterate_headers(good))


def _served(broker: RunningBroker, topic: str) -> int:
    """How many messages a real client reads, from the first to the end of the log."""
    from confluent_kafka import TopicPartition

    consumer = flight_events.assigned_consumer(broker.bootstrap, topic, 0)
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    finally:
        consumer.close()
    return flight_events.consume(broker.bootstrap, topic, end).messages
