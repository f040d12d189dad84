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

import random
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Final, Literal, NamedTuple

from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import VERSION as PRODUCE_VERSION
from zerocopy_lab.client.producer import produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.processor import ProcessorUse, processor_use
from zerocopy_lab.lessons.lab12.rungs import WayToAsk
from zerocopy_lab.measuring.fetching import evict_when_let_go, receive_and_drop, segments_of
from zerocopy_lab.protocol import messages as protocol_messages
from zerocopy_lab.protocol.framing import LENGTH
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.flight_events import NotDelivered

Client = Literal["ours", "librdkafka"]
CLIENTS: Final[tuple[Client, ...]] = ("ours", "librdkafka")
BATCH_BYTES: Final = 400_000
"""Of ours; librdkafka fills up to 1 MB."""
_ON_THEIR_WAY: Final = 5
_EVICT_BEHIND: Final = Path(__file__).with_name("evict_behind.py")  # needs nothing of the package
_TIMEOUT_S: Final = 60.0


class SeenBroker(NamedTuple):
    """Where a broker is, and what can be seen of it: None where it runs elsewhere."""

    host: str
    port: int
    tls_port: int | None = None
    pem: str | None = None
    pid: int | None = None
    data_dir: str | None = None

    def bootstrap(self, way: WayToAsk) -> str:
        """Of the listener that the way asks for."""
        return f"{self.host}:{self.tls_port if way.tls else self.port}"

    def client_settings(self, way: WayToAsk) -> dict[str, str]:
        """Librdkafka's."""
        return {"security.protocol": "ssl", "ssl.ca.location": str(self.pem)} if way.tls else {}


class LoadOrder(NamedTuple):
    """What to ask of whom, how much of it."""

    broker: SeenBroker
    client: Client
    topic: str
    way: WayToAsk
    message_bytes: int
    messages: int
    log_messages: int = 0
    """as many are in the topic that is consumed"""


class LoadRun(NamedTuple):
    """What a run took. `broker`, `client`: processor time; the broker's is None when unseen."""

    messages: int
    wall_s: float
    broker: ProcessorUse | None
    client: ProcessorUse


def events_of(message_bytes: int, count: int) -> list[bytes]:
    """Flight events, cut or put together to exactly so many bytes."""
    joined = b"".join(flight_events.flight_events()[: 4000 + message_bytes])
    places = range(0, len(joined) - message_bytes, message_bytes)
    return [joined[at : at + message_bytes] for at in islice(cycle(places), count)]


@cache
def batch_for(message_bytes: int, codec: str, batched: bool) -> tuple[bytes, int]:
    """One batch as a producer sends it, and how many messages are in it."""
    count = max(1, BATCH_BYTES // message_bytes) if batched else 1
    now_ms = int(time.time() * 1000)
    values = enumerate(events_of(message_bytes, count))
    records = [Record(number, now_ms, None, value) for number, value in values]
    return build_batch(records, codec=Codec[codec.upper()]), count


def produce(order: LoadOrder) -> LoadRun:
    """Sends `order.messages` (whole batches) and waits for the answers.

    Raises KafkaError or NotDelivered for a message that was refused.
    """
    with _evicting(order):
        return _produce_ours(order) if order.client == "ours" else _produce_real(order)


def consume(order: LoadOrder) -> LoadRun:
    """Reads `order.messages` of a topic that holds `log_messages`, over again where it ends.

    Raises NotDelivered, NotEvicted.
    """
    return _consume_ours(order) if order.client == "ours" else _consume_real(order)


# -- ours ------------------------------------------------------------------------------------------


def _produce_ours(order: LoadOrder) -> LoadRun:
    batch, each = batch_for(order.message_bytes, order.way.codec, order.way.batched)
    count = max(1, order.messages // each)
    with _connected(order) as wire:
        frame = produce_frame(wire, order.topic, 0, batch, acks=1)
        meter = _Meter(order.broker.pid)
        answers = list(_in_a_row(wire, [frame] * count))
        ran = meter.ran(count * each)
    for answer in answers:
        _, told = protocol_messages.decode_response(ApiKey.produce, PRODUCE_VERSION, answer)
        if code := int(told.responses[0].partition_responses[0].error_code):
            raise NotDelivered(f"{order.topic}: error {code}")
    return ran


def _in_a_row(wire: Wire, frames: Sequence[bytes]) -> Iterator[memoryview]:
    """Sends all, a few on their way at any time; the answers."""
    for number, frame in enumerate(frames):
        wire.send_frame(frame)
        if number >= _ON_THEIR_WAY:
            yield wire.receive_frame()
    for _ in frames[-_ON_THEIR_WAY:]:
        yield wire.receive_frame()


def _consume_ours(order: LoadOrder) -> LoadRun:
    frames, each = _fetches(order)
    with _connected(order) as wire:
        drop = _decrypt_and_drop if order.way.tls else receive_and_drop
        wire.send_frame(frames[0])
        least_bytes = drop(wire.sock)  # the way is known, and an empty answer will be noticed
        _evict(order)
        came, meter = [], _Meter(order.broker.pid)
        for number, frame in enumerate(frames):
            wire.send_frame(frame)
            if number >= _ON_THEIR_WAY:
                came.append(drop(wire.sock))
        came += [drop(wire.sock) for _ in frames[-_ON_THEIR_WAY:]]
        ran = meter.ran(len(frames) * each)
    if min(came) < max(least_bytes // 2, order.message_bytes):
        raise NotDelivered(f"{order.topic}: a fetch brought {min(came)} bytes, not {least_bytes}")
    return ran


def _fetches(order: LoadOrder) -> tuple[list[bytes], int]:
    """Requests for as many messages as are wanted, and how many each brings."""
    batch, each = batch_for(order.message_bytes, order.way.codec, order.way.batched)
    together = max(1, min((1 << 20) // len(batch), order.log_messages // each))
    if not order.way.batched:
        together = 1
    offsets = list(range(0, order.log_messages - each * together + 1, each * together))
    if order.way.jumps:
        random.shuffle(offsets)  # other places every time: a broker remembers some
    count = max(1, order.messages // (each * together))
    limit_bytes = len(batch) * together
    frames = [
        fetch_frame(Frames(), order.topic, 0, offset, max_bytes=limit_bytes)
        for offset in islice(cycle(offsets), count)
    ]
    return frames, each * together


_BUFFER = bytearray(1 << 20)


def _decrypt_and_drop(sock: socket.socket) -> int:
    """One response over TLS; its length in bytes."""
    head = bytearray()
    while len(head) < LENGTH.size:
        head += _BUFFER[: _some(sock, LENGTH.size - len(head))]
    (length,) = LENGTH.unpack(head)
    left = int(length)
    while left:
        left -= _some(sock, left)
    return int(length)


def _some(sock: socket.socket, most_bytes: int) -> int:
    """Takes some bytes into the buffer: how many. Raises ConnectionError when no more come."""
    came = sock.recv_into(_BUFFER, min(most_bytes, len(_BUFFER)))
    if came == 0:
        raise ConnectionError("the broker hung up in the middle of an answer")
    return came


@contextmanager
def _connected(order: LoadOrder) -> Iterator[Wire]:
    broker = order.broker
    port = broker.tls_port if order.way.tls else broker.port
    assert port is not None, "a way with TLS is left out where there is no listener"
    with Wire(broker.host, port, timeout_s=_TIMEOUT_S) as wire:
        if order.way.tls:
            context = ssl.create_default_context(cafile=broker.pem)
            wire.sock = context.wrap_socket(wire.sock, server_hostname=broker.host)
        yield wire


# -- librdkafka ------------------------------------------------------------------------------------


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
    producer.list_topics(order.topic, timeout=_TIMEOUT_S)  # connected, before the clock starts
    values = [{"value": each} for each in events_of(order.message_bytes, order.messages)]
    meter = _Meter(order.broker.pid)
    taken = producer.produce_batch(
        order.topic, values, partition=0, on_delivery=lambda error, _: refused.append(str(error))
    )
    left = producer.flush(_TIMEOUT_S)
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
    _evict(order)
    meter = _Meter(order.broker.pid)
    consumer = flight_events.assigned_consumer(
        order.broker.bootstrap(order.way), order.topic, 0, {"log_level": 3, **config}
    )
    received, give_up = 0, time.monotonic() + _TIMEOUT_S
    while received < wanted and time.monotonic() < give_up:
        came = consumer.consume(min(10_000, wanted - received), 1.0)
        received += sum(message.error() is None for message in came)
    ran = meter.ran(received)
    consumer.close()
    if received < wanted:
        raise NotDelivered(f"{order.topic}: {received} of {wanted} messages came")
    return ran


# -- meters, and what is behind the write ----------------------------------------------------------


class _Meter:
    """Clocks of the wall, of the broker and of this process, from now on."""

    def __init__(self, broker_pid: int | None) -> None:
        self._pid = broker_pid
        self._broker = processor_use(broker_pid) if broker_pid else None
        self._client = _own_use()
        self._began = time.perf_counter()

    def ran(self, messages: int) -> LoadRun:
        """What they say now, after so many messages."""
        wall_s = time.perf_counter() - self._began
        client = _own_use().since(self._client)
        broker = processor_use(self._pid).since(self._broker) if self._broker else None
        return LoadRun(messages, wall_s, broker, client)


def _own_use() -> ProcessorUse:
    """Of this process, user and system to the microsecond."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = processor_use()
    return used._replace(user_s=usage.ru_utime, system_s=usage.ru_stime)


def _evict(order: LoadOrder) -> None:
    """Before somebody consumes: nothing of the log is in memory. Raises NotEvicted."""
    if order.way.evicts:
        for segment in _segments(order):
            evict_when_let_go(segment)


def _segments(order: LoadOrder) -> list[Path]:
    assert order.broker.data_dir is not None, "ways that evict are left out where no files are seen"
    return segments_of(Path(order.broker.data_dir), order.topic)


@contextmanager
def _evicting(order: LoadOrder) -> Iterator[None]:
    """While somebody produces: another process that forces out of memory what has been written."""
    if not order.way.evicts:
        yield
        return
    command = [sys.executable, "-I", str(_EVICT_BEHIND), *map(str, _segments(order))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # "ready"
        try:
            yield
        finally:
            process.stdin.close()  # which ends it
