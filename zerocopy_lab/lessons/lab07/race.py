"""The same messages at the same moments, sent by an accumulator of one's own and by librdkafka.

A producer of a few lines (`client.accumulating`) asks the accumulator whenever something has
happened and sends what it says over one connection. Both have the same linger.ms, batch.size and
max.in.flight. How many batches each made is read back from the log.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box, show_table
from zerocopy_lab.client.accumulating import produce_accumulated
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.conformance.accumulator import (
    Accumulator,
    ProducerLimits,
    WaitingRecord,
    accumulator,
    drawn_arrivals,
)
from zerocopy_lab.conformance.parts import kept_in, load
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.lessons.lab07.counts import Broker
from zerocopy_lab.lessons.lab07.frontier import new_producer
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.record import read_records
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.passing_topic import a_topic

PART = "accumulator"
LIMITS = ProducerLimits(linger_ms=10, batch_bytes=16_384, most_in_flight=5)
_MEAN_GAP_MS = 0.5
_TIMEOUT_S = 30.0


class RacedProducer(NamedTuple):
    """What one producer made of the messages."""

    batches: int
    latency_ms: Spread
    unchanged: bool


def race(broker: Broker, lab: Lab) -> dict[str, RacedProducer]:
    """librdkafka, our accumulator, and the learner's if it is kept."""
    count = 1000 if lab.fast else 4000
    arriving = drawn_arrivals(lab.random("arrivals"), count, _MEAN_GAP_MS)
    events = list(flight_events.repeated(count))
    found = {"librdkafka": _by_librdkafka(broker, events, arriving)}
    contestants: dict[str, Accumulator] = {"ours": accumulator}
    path = _kept(lab)
    if path:
        contestants["yours"] = load(path)
    for name, decide in contestants.items():
        found[name] = send_accumulated(broker, events, arriving, decide)
    return found


def _kept(lab: Lab) -> Path | None:
    return kept_in(lab.parts_dir).get(PART)


def send_accumulated(
    broker: Broker, events: list[bytes], arriving: list[WaitingRecord], decide: Accumulator
) -> RacedProducer:
    """Sends each event at its moment, in the batches that `decide` makes. Raises whatever it
    raises, and TimeoutError when it never sends.
    """
    with a_topic(broker) as topic, Wire(broker.host, broker.port) as wire:
        took_ms = produce_accumulated(wire, topic, events, arriving, decide, LIMITS)
        return _as_run(broker, topic, events, took_ms)


def _by_librdkafka(
    broker: Broker, events: list[bytes], arriving: list[WaitingRecord]
) -> RacedProducer:
    took_ms: list[float] = []
    with a_topic(broker) as topic:
        producer = new_producer(
            broker.bootstrap,
            {
                "linger.ms": LIMITS.linger_ms,
                "batch.size": LIMITS.batch_bytes,
                "max.in.flight.requests.per.connection": LIMITS.most_in_flight,
            },
        )
        producer.list_topics(topic, timeout=_TIMEOUT_S)
        began = time.perf_counter()
        for event, at in zip(events, arriving, strict=True):
            while (left_s := began + at.arrived_ms / 1000 - time.perf_counter()) > 0:
                producer.poll(left_s)
            producer.produce(
                topic,
                event,
                partition=0,
                on_delivery=lambda *_, at=at: took_ms.append(
                    (time.perf_counter() - began) * 1000 - at.arrived_ms
                ),
            )
        flight_events.flush(producer)
        return _as_run(broker, topic, events, took_ms)


def _as_run(broker: Broker, topic: str, events: list[bytes], took_ms: list[float]) -> RacedProducer:
    batches, values, offset = 0, [], 1
    with Wire(broker.host, broker.port) as wire:
        while records := fetch(wire, topic, 0, offset).records:
            headers = [h for _, h in iterate_headers(memoryview(records), may_be_cut=True)]
            whole = sum(header.total_bytes for header in headers)
            values += [record.value for record in read_records(memoryview(records)[:whole])]
            batches, offset = batches + len(headers), headers[-1].last_offset + 1
    return RacedProducer(batches, spread(took_ms), values == events)


def show_race(broker: Broker, lab: Lab) -> None:
    """A row a producer; and what is missing for the learner's own."""
    found = race(broker, lab)
    rows = [
        [name, str(run.batches), run.latency_ms.text("ms"), "yes" if run.unchanged else "NO"]
        for name, run in found.items()
    ]
    show_table(["accumulator", "batches", "latency of a message", "all there, in order"], rows)
    if "yours" not in found:
        box("plain", "Your accumulator", ["None is kept yet: pass 07.1, then run this again."])
