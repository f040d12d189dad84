"""A topic that nobody has used, for as long as somebody measures with it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.existing_cluster import ExistingCluster
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.topic_admin import create_topic, delete_topic


@contextmanager
def a_topic(
    broker: RunningBroker | ExistingCluster, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Its name, once it takes messages (it holds one already, at offset 0). On a cluster that
    somebody else uses it goes again.
    """
    name = f"zerocopy-lab-{secrets.token_hex(4)}"
    create_topic(broker.bootstrap, name, settings=settings)
    try:
        with Wire(broker.host, broker.port) as wire:
            while produce(wire, name, 0, batches_of([b"first"], 1)[0])[0]:
                time.sleep(0.05)  # a Kafka creates it before its leader knows
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
