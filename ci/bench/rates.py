"""Two sections of `ci/bench`: how long one message takes, how many small requests a second pass.

The clients of the rates are processes of their own, started before the clock runs. All use the
smallest client of the package, so that no library adds its own waiting.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from zerocopy_lab.client.consumer import VERSION as FETCH_VERSION
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.records.record import Record, build_batch, read_records
from zerocopy_lab.running.running_broker import RunningBroker

_SENT_NS = struct.Struct(">q")
MESSAGES_PER_S, SECONDS = 1_000, 5
CLIENTS, REQUESTS = 4, 4_000
ROUNDS = 5


def _one_record(value: bytes) -> bytes:
    return build_batch([Record(0, time.time_ns() // 1_000_000, None, value, ())])


def end_to_end_ms(workspace: Path, network_threads: int) -> list[float]:
    """From before the send to after the receipt of every message, at a steady rate, acks=1."""
    options = ["--network-threads", str(network_threads)]
    took_ms: list[float] = []
    count = MESSAGES_PER_S * SECONDS
    with RunningBroker(workspace, options=options) as broker:
        with Wire(broker.host, broker.port) as wire:
            assert wire.ask_for_topic("latency") == 0
        consumer = threading.Thread(
            target=_consume_all, args=(broker.host, broker.port, count, took_ms)
        )
        consumer.start()
        with Wire(broker.host, broker.port) as wire:
            began_ns = time.monotonic_ns()
            for number in range(count):
                _wait_until(began_ns + number * 1_000_000_000 // MESSAGES_PER_S)
                value = _SENT_NS.pack(time.monotonic_ns()).ljust(100, b".")
                assert produce(wire, "latency", 0, _one_record(value)) == (0, number)
        consumer.join(30)
    assert len(took_ms) == count, f"{len(took_ms)} of {count} messages came"
    return took_ms


def _wait_until(due_ns: int) -> None:
    left_ns = due_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns / 1e9)  # the pace of the load, no waiting for a condition


def _consume_all(host: str, port: int, count: int, took_ms: list[float]) -> None:
    offset = 0
    with Wire(host, port) as wire:
        while offset < count:
            found = fetch(wire, "latency", 0, offset, max_wait_ms=500)
            now_ns = time.monotonic_ns()
            for record in read_records(memoryview(found.records)):
                assert record.value is not None
                took_ms.append((now_ns - _SENT_NS.unpack_from(record.value)[0]) / 1e6)
                offset = record.offset + 1


def requests_per_s(workspace: Path, network_threads: int, kind: str) -> Spread:
    """All clients together, each with one request under way at a time."""
    options = ["--network-threads", str(network_threads)]
    context = multiprocessing.get_context("spawn")
    with RunningBroker(workspace, options=options) as broker:
        with Wire(broker.host, broker.port) as wire:
            assert wire.ask_for_topic("small") == 0
            assert produce(wire, "small", 0, _one_record(b"." * 100))[0] == 0
        start = context.Barrier(CLIENTS + 1)
        clients = [
            context.Process(target=_ask, args=(broker.host, broker.port, kind, start))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        rates = []
        try:
            for _ in range(ROUNDS):
                start.wait(60)
                before = time.perf_counter()
                start.wait(60)
                rates.append(CLIENTS * REQUESTS / (time.perf_counter() - before))
        finally:
            for client in clients:
                client.join(10)
                client.kill()
    return spread(rates)


def _ask(host: str, port: int, kind: str, barrier: multiprocessing.synchronize.Barrier) -> None:
    with Wire(host, port) as wire:
        frame = {
            "produce": lambda: produce_frame(wire, "small", 0, _one_record(b"." * 100), acks=1),
            "fetch": lambda: fetch_frame(wire, "small", 0, 0, version=FETCH_VERSION),
        }[kind]()
        for _ in range(ROUNDS):
            barrier.wait(60)
            for _ in range(REQUESTS):
                wire.send_frame(frame)
                wire.receive_frame()
            barrier.wait(60)


Report = Callable[..., None]


def bench_latency(workspace: Path, report: Report) -> None:
    """End to end, with one network thread and with two."""
    print(f"end-to-end latency at {MESSAGES_PER_S:,} messages/s of 100 bytes, acks=1")
    for threads in (1, 2):
        took_ms = sorted(end_to_end_ms(workspace / f"latency-{threads}", threads))
        for name, share in (("p50", 0.50), ("p99", 0.99)):
            value = took_ms[int(len(took_ms) * share)]
            report(f"{threads} network thread(s), {name} of {len(took_ms)}", spread([value]), "ms")


def bench_requests(workspace: Path, report: Report) -> None:
    """Small produces and fetches, with one network thread and with two."""
    print(f"small requests (100 bytes), {CLIENTS} clients, each waits for its answer")
    for kind in ("produce", "fetch"):
        for threads in (1, 2):
            rate = requests_per_s(workspace / f"{kind}-{threads}", threads, kind)
            report(f"{kind}, {threads} network thread(s)", rate, "req/s")
