"""Latency against throughput with a real client, compression by the size of a batch, and fetching.

For each setting of librdkafka two measurements: how many messages a second go through when they
come as fast as they can, and how long one takes (from the call to the delivery report) when they
trickle. The widget's frontier is computed: the part `accumulator` in simulated time, with what a
batch and a byte cost the broker that was measured.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.conformance.accumulator import (
    ProducerLimits,
    accumulator,
    drawn_arrivals,
    simulated,
)
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.spread import spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab07.costs import Costs, per_batch_s, per_byte_s
from zerocopy_lab.lessons.lab07.counts import Broker
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.pictures.cost_curves import Curve, Setting, crossover, latency_against_throughput
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.records.batch import read_header
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.passing_topic import a_topic, batches_of

SETTINGS: dict[str, dict[str, Any]] = {
    "one by one": {"linger.ms": 0, "batch.num.messages": 1},
    "linger 0": {"linger.ms": 0},
    "linger 5": {"linger.ms": 5},
    "linger 20": {"linger.ms": 20},
    "linger 100": {"linger.ms": 100},
}
"""`batch.size` is 16 KiB where nothing is said, as Java's client has it (librdkafka: 1 MB)."""
ALONE, LINGERING = "one by one", "linger 20"
_BATCH_BYTES = 16 << 10
_TRICKLE_GAP_S = 0.003
_TIMEOUT_S = 60.0


class SeenSetting(NamedTuple):
    """One setting, round by round: seconds a message at full speed, and the trickle's latency."""

    message_s: tuple[float, ...]
    latency_ms: tuple[float, ...]


def measure_frontier(broker: Broker, lab: Lab) -> dict[str, SeenSetting]:
    """All settings in turns, in shuffled order. Raises NotDelivered."""
    order = random.Random(lab.seed)
    fast_count, slow_count = (3000, 30) if lab.fast else (30_000, 150)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SETTINGS}
    with a_topic(broker) as topic:
        warm_ups = 1 if broker.kind == "kafka" else 0  # a JVM compiles what it does often
        for number in range(warm_ups + (3 if lab.fast else 7)):
            for name in order.sample(list(SETTINGS), len(SETTINGS)):
                config = {"batch.size": _BATCH_BYTES, **SETTINGS[name]}
                message_s = _at_full_speed(broker.bootstrap, topic, config, fast_count)
                latency_ms = _trickling(broker.bootstrap, topic, config, slow_count)
                if number >= warm_ups:
                    found[name].append((message_s, latency_ms))
    return {name: SeenSetting(*zip(*seen, strict=True)) for name, seen in found.items()}


def new_producer(bootstrap: str, config: dict[str, Any]) -> Any:
    """librdkafka, as the labs use it."""
    from confluent_kafka import Producer

    return Producer({"bootstrap.servers": bootstrap, "log_level": 3, **config})


def _at_full_speed(bootstrap: str, topic: str, config: dict[str, Any], count: int) -> float:
    events = list(flight_events.repeated(count))
    producer = new_producer(bootstrap, config)
    producer.list_topics(topic, timeout=_TIMEOUT_S)  # connected, before the clock starts
    began = time.perf_counter()
    for event in events:
        while True:
            try:
                producer.produce(topic, event, partition=0)
                break
            except BufferError:
                producer.poll(0.01)
    flight_events.flush(producer)
    return (time.perf_counter() - began) / count


def _trickling(bootstrap: str, topic: str, config: dict[str, Any], count: int) -> float:
    """Median latency of messages that come one after the other."""
    took_ms: list[float] = []
    producer = new_producer(bootstrap, config)
    producer.list_topics(topic, timeout=_TIMEOUT_S)
    for event in flight_events.repeated(count):
        began = time.perf_counter()
        producer.produce(
            topic,
            event,
            partition=0,
            on_delivery=lambda *_, began=began: took_ms.append(
                (time.perf_counter() - began) * 1000
            ),
        )
        while (left_s := began + _TRICKLE_GAP_S - time.perf_counter()) > 0:
            producer.poll(left_s)
    flight_events.flush(producer)
    return spread(took_ms).median


def frontier_picture(found: dict[str, SeenSetting]) -> Picture:
    """A point a setting."""
    points = [
        Setting(name, 1 / spread(seen.message_s).median, spread(seen.latency_ms))
        for name, seen in found.items()
    ]
    title = "A real client: how fast it is, and how long a message takes, by its linger"
    origin = Origin("TIMED", describe_host().text())
    return latency_against_throughput(points, origin=origin, title=title)


def frontier_words(found: dict[str, SeenSetting]) -> str:
    """Both ends of it, and the setting between."""
    told = [
        f"{name}: {1 / spread(found[name].message_s).median:,.0f} messages/s at full speed, "
        f"{spread(found[name].latency_ms).text('ms')} when they trickle"
        for name in (ALONE, LINGERING, "linger 100")
    ]
    return "; ".join(told) + "."


def lingering_against_alone(found: dict[str, SeenSetting]) -> Comparison:
    """Time a message at full speed."""
    pairs = list(zip(found[LINGERING].message_s, found[ALONE].message_s, strict=True))
    return compare_pairs(LINGERING, ALONE, "time a message", pairs)


# -- the same, computed ----------------------------------------------------------------------------


def draw_frontier(
    costs: Costs | Unmeasured, linger_ms: int, batch_kib: int, messages_per_s: int
) -> Picture:
    """What the accumulator makes of messages that come at this rate, and of other lingers."""
    points: list[Setting] = []
    for linger in _lingers(linger_ms):
        point = computed(costs, linger, batch_kib, messages_per_s)
        if points and point.messages_per_s == points[-1].messages_per_s:  # batch.size decides
            longer = f"{points[-1].label.partition(' ms')[0]}, {point.label}"
            point = points.pop()._replace(label=longer)
        points.append(point)
    title = (
        f"linger.ms={linger_ms} and others, batch.size={batch_kib} KiB, {messages_per_s:,} a second"
    )
    return latency_against_throughput(points, origin=Origin(_origin(costs)), title=title)


def draw_frontier_words(
    costs: Costs | Unmeasured, linger_ms: int, batch_kib: int, messages_per_s: int
) -> str:
    """The chosen linger's point."""
    point = computed(costs, linger_ms, batch_kib, messages_per_s)
    return (
        f"{messages_per_s:,} messages a second, linger.ms={linger_ms}, batch.size={batch_kib} KiB: "
        f"{point.label.partition(': ')[2]} in a batch, which wait "
        f"{point.latency_ms.median:.3g} ms on average before they leave. One processor of the "
        f"broker could take {point.messages_per_s:,.0f} such messages a second."
    )


_ASSUMED_S = (60e-6, 2e-9)
"""A batch and a byte, where nobody could measure: said under the picture."""


def _origin(costs: Costs | Unmeasured) -> str:
    assumed = isinstance(costs, Unmeasured)
    return f"COMPUTED in simulated time, with costs {'assumed' if assumed else 'measured above'}"


def _lingers(chosen_ms: int) -> list[int]:
    return sorted({0, 2, 10, 50, chosen_ms})


def computed(
    costs: Costs | Unmeasured, linger_ms: int, batch_kib: int, messages_per_s: int
) -> Setting:
    """One point: messages a second for one processor of the broker, and how long they waited."""
    batch_s, byte_s = _ASSUMED_S
    if not isinstance(costs, Unmeasured):
        batch_s, byte_s = per_batch_s(costs).median, max(per_byte_s(costs).median, 0.0)
    arriving = drawn_arrivals(random.Random(1), 1500, 1000 / messages_per_s)
    sent = simulated(accumulator, arriving, ProducerLimits(linger_ms, batch_kib << 10, 5), 1.0)
    size_bytes = sum(batch.size_bytes for batch in sent)
    seconds = len(sent) * batch_s + size_bytes * byte_s
    waits = spread(batch.waited_ms / batch.records for batch in sent)
    waited = sum(batch.waited_ms for batch in sent) / len(arriving)
    least = 1e-2  # a wait of nothing has no place on a logarithmic axis
    shown = waits._replace(
        median=max(waited, least),
        low=max(min(waits.low, waited), least),
        high=max(waits.high, least),
    )
    label = f"{linger_ms} ms: {len(arriving) / len(sent):.3g}"
    return Setting(label, len(arriving) / seconds, shown)


# -- compression, and fetching ---------------------------------------------------------------------

_SIZES = (1, 3, 10, 30, 100, 300, 1000)


def compression_picture() -> Picture:
    """Bytes in the log for each byte of message, by codec and number of messages in a batch."""
    return crossover(
        _compression(),
        unit="bytes in the log / byte of message",
        size_of="the messages in a batch",
        origin=Origin("COUNTED", "flight events, three stretches of each size"),
        title="What a byte of message takes in the log, by how many bytes are packed together",
    )


def _compression() -> list[Curve]:
    events = flight_events.flight_events()
    curves = []
    for codec in Codec:
        points = []
        for size in _SIZES:
            stretches = [events[at : at + size] for at in (0, 20_000, 40_000)]
            payload = [sum(map(len, stretch)) for stretch in stretches]
            stored = [len(_batch(stretch, codec)) for stretch in stretches]
            ratios = spread(s / p for s, p in zip(stored, payload, strict=True))
            points.append((round(spread(payload).median), ratios))
        curves.append(Curve(codec.name.lower(), tuple(points)))
    return curves


def _batch(values: Sequence[bytes], codec: Codec) -> bytes:
    records = [Record(n, 1_700_000_000_000, None, value) for n, value in enumerate(values)]
    return build_batch(records, codec=codec)


def compression_words() -> str:
    """The two ends."""
    curves = {curve.name: curve.points for curve in _compression()}
    told = [
        f"{name} {points[0][1].median:.2f} for a message alone, {points[-1][1].median:.2f} for "
        f"{_SIZES[-1]:,}"
        for name, points in curves.items()
    ]
    return f"Bytes in the log for each byte of message: {'; '.join(told)}."


def fetches_while_trickling(broker: Broker, min_bytes: int, count: int = 60) -> int:
    """How many fetches it takes to read messages that come every 5 ms, asking for so much."""
    with a_topic(broker) as topic, Wire(broker.host, broker.port) as wire:
        trickle = threading.Thread(target=_trickle, args=(broker, topic, count), daemon=True)
        trickle.start()
        fetches, offset = 0, 1
        while offset < 1 + count:
            records = fetch(wire, topic, 0, offset, min_bytes=min_bytes, max_wait_ms=100).records
            fetches += 1
            position = 0
            while position < len(records):
                header = read_header(memoryview(records), position)
                position, offset = position + header.total_bytes, header.last_offset + 1
        trickle.join()
    return fetches


def _trickle(broker: Broker, topic: str, count: int) -> None:
    with Wire(broker.host, broker.port) as wire:
        for batch in batches_of(list(flight_events.repeated(count)), 1):
            produce(wire, topic, 0, batch)
            time.sleep(0.005)  # this is the load: a message every few milliseconds


def show_fetches(broker: Broker) -> None:
    """A table: what a consumer that waits for more saves."""
    rows = [
        [f"fetch.min.bytes={least:,}", str(fetches_while_trickling(broker, least))]
        for least in (1, 2000, 100_000)
    ]
    show_table(["the consumer asks for", "fetches for 60 messages"], rows)
