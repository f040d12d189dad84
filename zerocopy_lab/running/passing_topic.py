"""A topic that nobody has used, for as long as somebody measures with it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import LeaderNotAvailable, NotLeaderOrFollower, UnknownTopicOrPartition
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.existing_cluster import AnyBroker, ExistingCluster
from zerocopy_lab.running.flight_events import NotDelivered
from zerocopy_lab.running.topic_admin import create_topic, delete_topic

_SERVED_WITHIN_S = 30.0
_NOT_YET = (UnknownTopicOrPartition.code, LeaderNotAvailable.code, NotLeaderOrFollower.code)


def served_topic(broker: AnyBroker, name: str, settings: Mapping[str, str] | None = None) -> None:
    """Creates a topic and waits until its partition is served: a Kafka answers before its leader
    knows. Raises NotDelivered when that takes too long.
    """
    create_topic(broker.bootstrap, name, settings=settings)
    deadline = time.monotonic() + _SERVED_WITHIN_S
    with Wire(broker.host, broker.port) as wire:
        while code := fetch(wire, name, 0, 0).error_code:
            if code not in _NOT_YET or time.monotonic() > deadline:
                raise NotDelivered(f"{name} is not served: Kafka's error {code}")
            time.sleep(0.02)  # nobody tells when it is


@contextmanager
def a_topic(broker: AnyBroker, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Its name, once it takes messages (it holds one already, at offset 0). On a cluster that
    somebody else uses it goes again. Raises NotDelivered.
    """
    name = f"zerocopy-lab-{secrets.token_hex(4)}"
    served_topic(broker, name, settings)
    try:
        with Wire(broker.host, broker.port) as wire:
            error, _ = produce(wire, name, 0, batches_of([b"first"], 1)[0])
        if error:
            raise NotDelivered(f"{name} takes no message: Kafka's error {error}")
        yield name
    finally:
        if isinstance(broker, ExistingCluster):
            delete_topic(broker.bootstrap, name)


def batches_of(values: Sequence[bytes], together: int) -> list[bytes]:
    """The values as batches of so many records each."""
    now_ms = int(time.time() * 1000)
    pieces = (values[at : at + together] for at in range(0, len(values), together))
    return [
        build_batch([Record(n, now_ms, None, value) for n, value in enumerate(piece)])
        for piece in pieces
    ]
