"""The loads of lab 12, in a process of their own: a client that produces or consumes as fast as it
can, while the broker's processor time is read by its pid.

| client | produces | consumes |
|---|---|---|
| `ours` | batches made beforehand, five requests on their way | drops what comes (MSG_TRUNC) |
| `librdkafka` | `produce_batch`, then waits for every answer | takes every message into Python |

Ours costs next to nothing, so what it shows is the broker; librdkafka is what an application has.
Over TLS ours must decrypt what comes. Clocks run from the first request to the last answer; topics,
connections and batches are there before.
"""

from __future__ import annotations

import time

from zerocopy_lab.lessons.lab12.orders import (
    TIMEOUT_S,
    LoadOrder,
    LoadRun,
    Meter,
    events_of,
    evict,
    evicting,
)
from zerocopy_lab.lessons.lab12.own_client import consume_ours, produce_ours
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.flight_events import NotDelivered


def produce(order: LoadOrder) -> LoadRun:
    """Sends `order.messages` (whole batches) and waits for the answers.

    Raises KafkaError or NotDelivered for a message that was refused.
    """
    with evicting(order):
        return produce_ours(order) if order.client == "ours" else _produce_real(order)


def consume(order: LoadOrder) -> LoadRun:
    """Reads `order.messages` of a topic that holds `log_messages`, over again where it ends.

    Raises NotDelivered, NotEvicted.
    """
    return consume_ours(order) if order.client == "ours" else _consume_real(order)


def _produce_real(order: LoadOrder) -> LoadRun:
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": order.broker.bootstrap(order.way),
            "linger.ms": 5,
            "acks": 1,
            "compression.type": order.way.codec,
            "batch.num.messages": 10_000 if order.way.batched else 1,
            "queue.buffering.max.messages": 10_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "delivery.report.only.error": True,
            "log_level": 3,
            **order.broker.client_settings(order.way),
        }
    )
    refused: list[str] = []
    producer.list_topics(order.topic, timeout=TIMEOUT_S)  # connected, before the clock starts
    values = [{"value": each} for each in events_of(order.message_bytes, order.messages)]
    meter = Meter(order.broker.pid)
    taken = producer.produce_batch(
        order.topic, values, partition=0, on_delivery=lambda error, _: refused.append(str(error))
    )
    left = producer.flush(TIMEOUT_S)
    ran = meter.ran(order.messages)
    if left or refused or taken != order.messages:
        told = refused[0] if refused else f"{left} messages got no answer"
        raise NotDelivered(f"{order.topic}: of {order.messages} messages not all came in: {told}")
    return ran


def _consume_real(order: LoadOrder) -> LoadRun:
    config = order.broker.client_settings(order.way)
    if not order.way.batched:
        config = {**config, "fetch.message.max.bytes": str(order.message_bytes)}
    wanted = min(order.messages, order.log_messages)
    evict(order)
    meter = Meter(order.broker.pid)
    consumer = flight_events.assigned_consumer(
        order.broker.bootstrap(order.way), order.topic, 0, {"log_level": 3, **config}
    )
    received, give_up = 0, time.monotonic() + TIMEOUT_S
    while received < wanted and time.monotonic() < give_up:
        came = consumer.consume(min(10_000, wanted - received), 1.0)
        received += sum(message.error() is None for message in came)
    ran = meter.ran(received)
    consumer.close()
    if received < wanted:
        raise NotDelivered(f"{order.topic}: {received} of {wanted} messages came")
    return ran
