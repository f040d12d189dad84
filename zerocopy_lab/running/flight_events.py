"""Real messages through a real client: the flights that left New York in 2013, produced and
consumed with librdkafka.

The events are JSON lines in `data/` (its README tells where they come from). Labs send them
through confluent-kafka, not through this project's own client: what a stranger's client gets back
is the proof that the broker speaks Kafka.

Both ends keep a digest of the values in order, so that "bytes in = bytes out" is one comparison.
One partition, so that there is an order. Left out: keys and headers, which no lab needs.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from zerocopy_lab.checkout import DATA_DIR

EVENTS_FILE = DATA_DIR / "flights.jsonl.gz"
_POLL_S = 1.0


class Traffic(NamedTuple):
    """What went in or came out: messages, the bytes of their values, and a digest of the values
    in order.
    """

    messages: int
    payload_bytes: int
    sha256: str


class NotDelivered(RuntimeError):
    """Messages did not get through; the message says how many and why."""


def repeated(count: int) -> Iterator[bytes]:
    """`count` events; the file starts over when it ends."""
    return itertools.islice(itertools.cycle(flight_events()), count)


def produce(
    bootstrap: str, topic: str, events: Iterable[bytes], config: Mapping[str, Any] | None = None
) -> Traffic:
    """Sends the events to partition 0 of a topic and waits until all are acknowledged.

    `config` adds to librdkafka's settings (`compression.type`, `linger.ms`, ...). Raises
    NotDelivered.
    """
    return _stored(bootstrap, topic, events, config)[0]


def _stored(
    bootstrap: str, topic: str, events: Iterable[bytes], config: Mapping[str, Any] | None = None
) -> tuple[Traffic, int]:
    """What was sent, and the offset of its first event (0 when there was none)."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, **(config or {})})
    failures: list[str] = []
    first_offset: int | None = None

    def delivered(error: object, message: Any) -> None:
        nonlocal first_offset
        if error is not None:
            failures.append(str(error))
        elif first_offset is None:  # acknowledged in the order in which they were sent
            first_offset = message.offset()

    digest, count, payload_bytes = hashlib.sha256(), 0, 0
    for event in events:
        enqueue(producer, topic, event, partition=0, on_delivery=delivered)
        digest.update(event + b"\n")
        count, payload_bytes = count + 1, payload_bytes + len(event)
    unsent = producer.flush(60)
    if failures or unsent:
        first = failures[0] if failures else "no answer within 60 s"
        raise NotDelivered(f"{len(failures) + unsent} of {count} events were not stored: {first}")
    return Traffic(count, payload_bytes, digest.hexdigest()), first_offset or 0


def enqueue(producer: Any, topic: str, event: bytes, **more: Any) -> None:
    """Hands one event to librdkafka, waiting while its queue is full; `more` is as for its
    `produce` (key, partition, timestamp, on_delivery).
    """
    while True:
        try:
            producer.produce(topic, event, **more)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(_POLL_S)


def flush(producer: Any, timeout_s: float = 60.0) -> None:
    """Waits until all is acknowledged. Raises NotDelivered."""
    if left := producer.flush(timeout_s):
        raise NotDelivered(f"{left} messages were not stored within {timeout_s:g} s")


def consume(
    bootstrap: str,
    topic: str,
    count: int,
    *,
    timeout_s: float = 60.0,
    from_offset: int = 0,
    config: Mapping[str, Any] | None = None,
) -> Traffic:
    """Reads `count` messages of partition 0 from `from_offset` on. Raises NotDelivered when time
    is up. `config` adds to librdkafka's settings.
    """
    digest, received, payload_bytes = hashlib.sha256(), 0, 0
    deadline = time.monotonic() + timeout_s
    consumer = assigned_consumer(bootstrap, topic, from_offset, config)
    try:
        while received < count:
            if time.monotonic() > deadline:
                raise NotDelivered(
                    f"only {received} of {count} messages came within {timeout_s:g} s"
                )
            for message in consumer.consume(min(count - received, 10_000), _POLL_S):
                if message.error():
                    raise NotDelivered(f"{topic}-0 after {received} messages: {message.error()}")
                digest.update(message.value() + b"\n")
                received, payload_bytes = received + 1, payload_bytes + len(message.value())
    finally:
        consumer.close()
    return Traffic(received, payload_bytes, digest.hexdigest())


def assigned_consumer(
    bootstrap: str, topic: str, from_offset: int, config: Mapping[str, Any] | None = None
) -> Any:
    """A client's consumer that begins at an offset of partition 0; whoever made it closes it."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "zerocopy-lab",
            "enable.auto.commit": False,
            **(config or {}),
        }
    )
    consumer.assign([TopicPartition(topic, 0, from_offset)])
    return consumer


def load(bootstrap: str, topic: str, *, fast: bool) -> tuple[Traffic, Traffic]:
    """As many events through a topic as a lab measures with: what was sent, what came back."""
    return round_trip(bootstrap, topic, 150_000 if fast else 400_000)


def round_trip(bootstrap: str, topic: str, messages: int) -> tuple[Traffic, Traffic]:
    """Events through a topic: what was sent, and what came back from the offset of the first on. On
    a cluster that was there before, others may have been in the topic already.
    """
    sent, first_offset = _stored(bootstrap, topic, repeated(messages))
    return sent, consume(bootstrap, topic, messages, from_offset=first_offset)


@cache
def flight_events() -> tuple[bytes, ...]:
    """All events of the file, in order of departure, without line ends."""
    import gzip

    return tuple(gzip.decompress(EVENTS_FILE.read_bytes()).splitlines())
