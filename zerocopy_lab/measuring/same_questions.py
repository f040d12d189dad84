"""The same questions to any broker, timed: one sample of a contestant that asks one of them.

| figure | of |
|---|---|
| `cpu_4096_s_per_gib`, ... | the broker's CPU for what is fetched, for each of SIZES: the bytes
  that a fetch may bring |
| `tls_s_per_gib` | the same for fetches of 1 MiB through its TLS listener |
| `fetch_ms` | how long one fetch of 1 MiB takes, asked alone |
| `p50_ms`, `p99_ms` | from the moment when a message was due to the moment when a consumer had it |

Messages are due at a steady rate, whether or not the last one is through, as they come from a
crowd: a message that was held up counts its wait from when it was due, and so do those behind it.
Who sends the next only when the last has arrived asks least when the broker is slowest, and never
sees what the others waited.

What is fetched is received and dropped (`fetching`). The broker runs for the whole experiment and
may be any: where its process cannot be seen (`pid` None) the CPU figures are missing.
"""

from __future__ import annotations

import itertools
import socket
import statistics
import threading
import time
from collections.abc import Sequence

from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.measuring.contestant import Contestant
from zerocopy_lab.measuring.fetch_calls import trusting_anybody
from zerocopy_lab.measuring.fetching import drop_responses, frames_over, receive_and_drop
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import LENGTH
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.passing_topic import batches_of
from zerocopy_lab.running.running_broker import RunningBroker

SIZES = (4096, 65536, 1 << 20)
RATE_PER_S = 200
_GIB = 1 << 30
_MOST_FRAMES = 256
_MESSAGE = b"x" * 200
_LONGEST_WAIT_MS = 500


def questions_to(
    name: str,
    broker: AnyBroker,
    topic: str,
    steady_topic: str,
    *,
    tls_port: int | None,
    mib: Sequence[int],
    waited_for: int,
) -> Contestant:
    """Asks a running broker: fetches from `topic`, so many MiB for each of SIZES; messages through
    `steady_topic`, `waited_for` of them.
    """
    settings = {
        "host": broker.host,
        "port": broker.port,
        "pid": broker.pid if isinstance(broker, RunningBroker) else None,
        "topic": topic,
        "steady_topic": steady_topic,
        "tls_port": tls_port,
        "mib": list(mib),
        "waited_for": waited_for,
    }
    return Contestant(name, ask, settings)


def ask(
    stopwatch: Stopwatch,
    host: str,
    port: int,
    pid: int | None,
    topic: str,
    steady_topic: str,
    tls_port: int | None,
    mib: Sequence[int],
    waited_for: int,
) -> dict[str, float]:
    """The work of one sample. Raises whatever the connection does."""
    figures: dict[str, float] = {}
    with Wire(host, port) as wire:
        by_size = {size: frames_over(wire, topic, size, most=_MOST_FRAMES) for size in SIZES}
        if pid is not None:
            stopwatch.also("broker", pid)
        with stopwatch:
            for size, amount in zip(SIZES, mib, strict=True):
                if pid is not None:
                    used = _cpu_of_fetches(wire.sock, by_size[size], pid, amount << 20)
                    figures[f"cpu_{size}_s_per_gib"] = used
            figures["fetch_ms"] = _fetch_ms(wire, by_size[SIZES[-1]])
            if pid is not None and tls_port is not None:
                frames = by_size[SIZES[-1]]
                figures["tls_s_per_gib"] = _cpu_over_tls(host, tls_port, frames, pid, mib[-1] << 20)
            waits_ms = waits_at_a_steady_rate(host, port, steady_topic, waited_for)
    ordered = sorted(waits_ms)
    figures["p50_ms"] = ordered[len(ordered) // 2]
    figures["p99_ms"] = ordered[len(ordered) * 99 // 100]
    return figures


def warm_up(
    host: str, port: int, topic: str, steady_topic: str, *, tls_port: int | None, mib: int
) -> None:
    """Before anything counts so many MiB are fetched in each size, and over TLS, and messages are
    written, 25 for each MiB: a JVM compiles what it runs often, and 4 KiB it runs most.
    """
    with Wire(host, port) as wire:
        for size in SIZES:
            frames = frames_over(wire, topic, size, most=_MOST_FRAMES)
            drop_responses(wire.sock, frames, total_bytes=mib << 20)
        for batch in itertools.repeat(batches_of([_MESSAGE], 1)[0], mib * 25):
            produce(wire, steady_topic, 0, batch)
    if tls_port is not None:
        _take_over_tls(host, tls_port, frames, mib << 20)


def _cpu_of_fetches(sock: socket.socket, frames: list[bytes], pid: int, total_bytes: int) -> float:
    before = cpu_seconds(pid)
    came = drop_responses(sock, frames, total_bytes=total_bytes)
    return (cpu_seconds(pid) - before) / (came / _GIB)


def _fetch_ms(wire: Wire, frames: list[bytes]) -> float:
    """The median of a few, one after the other."""
    took = []
    for frame in frames[:16]:
        began = time.perf_counter()
        wire.send_frame(frame)
        receive_and_drop(wire.sock)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _cpu_over_tls(host: str, port: int, frames: list[bytes], pid: int, total_bytes: int) -> float:
    """The client decrypts what comes, on a processor of its own: only the broker's is counted. (The
    handshake is in it: a thousandth of the rest.)
    """
    before = cpu_seconds(pid)
    came = _take_over_tls(host, port, frames, total_bytes)
    return (cpu_seconds(pid) - before) / (came / _GIB)


def _take_over_tls(host: str, port: int, frames: list[bytes], total_bytes: int) -> int:
    """Responses through the listener with TLS until so many bytes have come; how many came."""
    into, came = memoryview(bytearray(1 << 20)), 0
    requests = itertools.cycle(frames)
    plain = socket.create_connection((host, port), timeout=30)
    with trusting_anybody().wrap_socket(plain) as sock:
        while came < total_bytes:
            sock.sendall(next(requests))
            came += _receive(sock, into)
    return came


def _receive(sock: socket.socket, into: memoryview) -> int:
    """One response into a buffer that nobody looks at; its length."""
    head = memoryview(bytearray(LENGTH.size))
    _fill(sock, head)
    (length,) = LENGTH.unpack(head)
    left = int(length)
    while left:
        left -= _some(sock, into[: min(left, len(into))])
    return int(length)


def _fill(sock: socket.socket, view: memoryview) -> None:
    while view:
        view = view[_some(sock, view) :]


def _some(sock: socket.socket, view: memoryview) -> int:
    came = sock.recv_into(view)
    if came == 0:
        raise ConnectionError("the broker hung up within a response")
    return came


def waits_at_a_steady_rate(host: str, port: int, topic: str, count: int) -> list[float]:
    """For each message the ms from when it was due until a consumer that waits for it had it.

    One message a batch, acknowledged by all replicas (acks=-1). Raises TimeoutError when one does
    not come, RuntimeError when the broker refuses one.
    """
    with Wire(host, port) as producer, Wire(host, port) as consumer:
        [batch] = batches_of([_MESSAGE], 1)
        error, last_offset = produce(producer, topic, 0, batch)
        if error:
            raise RuntimeError(f"a message was refused: Kafka's error {error}")
        arrived_ns: list[int] = []
        reader = threading.Thread(
            target=_take, args=(consumer, topic, last_offset + 1, count, arrived_ns), daemon=True
        )
        reader.start()
        frame = produce_frame(producer, topic, 0, batch)
        began_ns, gap_ns = time.perf_counter_ns(), 1_000_000_000 // RATE_PER_S
        due_ns = [began_ns + number * gap_ns for number in range(count)]
        for due in due_ns:
            time.sleep(max(0.0, (due - time.perf_counter_ns()) / 1e9))
            producer.send_frame(frame)
            producer.receive_frame()
        reader.join(timeout=30)
    if len(arrived_ns) < count:
        raise TimeoutError(f"only {len(arrived_ns)} of {count} messages arrived")
    return [(came - due) / 1e6 for came, due in zip(arrived_ns, due_ns, strict=False)]


def _take(wire: Wire, topic: str, offset: int, count: int, arrived_ns: list[int]) -> None:
    """A consumer at the end of the log: each fetch waits until something is there."""
    while len(arrived_ns) < count:
        frame = fetch_frame(wire, topic, 0, offset, min_bytes=1, max_wait_ms=_LONGEST_WAIT_MS)
        wire.send_frame(frame)
        answer = wire.receive_frame()
        now_ns = time.perf_counter_ns()
        _, response = messages.decode_response(ApiKey.fetch, 11, answer)
        records = response.responses[0].partitions[0].records or b""
        for _, header in iterate_headers(memoryview(records), may_be_cut=True):
            arrived_ns.append(now_ns)
            offset = header.last_offset + 1
