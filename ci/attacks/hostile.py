"""Hostile and merely many clients: what a healthy one notices of them, and what the broker's memory
does.

    python -m ci.attacks.hostile [--seconds 5] [SCENARIO ...]

A healthy client sends a small Produce every few milliseconds and waits for its answer, first alone,
then beside each scenario, in turns, three times. Printed: the median of its p50 and p99 with their
range, the ratio to the same client alone, and the broker's memory. The exit code is 1 if the
healthy client was ever not answered, or memory went over the limit; ratios gate nothing.

What a single request can do, of whatever kind: `python -m ci.attacks.silence`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import random
import resource
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.synchronize import Event
from typing import NamedTuple

import psutil

from zerocopy_lab.broker.serving import MOST_BYTES_DECODED
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.compression import Codec, compress
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker

ROUNDS = 3
PAUSE_S = 0.004
#: What the broker may hold: itself, and queued.max.request.bytes as it is set below.
QUEUED_BYTES = 128 << 20
MEMORY_LIMIT_BYTES = (150 << 20) + QUEUED_BYTES
FRAME_BYTES = 90 << 20  # below socket.request.max.bytes

Address = tuple[str, int]


# Scenarios: each runs in a process of its own until it is told to stop
# ------------------------------


def many_idle(address: Address, stop: Event, ready: Event) -> None:
    """2,000 connections that say nothing."""
    with contextlib.ExitStack() as crowd:
        for _ in range(2000):
            crowd.enter_context(_connect(address))
        ready.set()
        stop.wait()


def many_busy(address: Address, stop: Event, ready: Event) -> None:
    """200 connections that produce at random times, each ten times a second on average."""
    frame = _produce("busy", _batch())
    chance = random.Random(1)
    with contextlib.ExitStack() as crowd:
        socks = [crowd.enter_context(_connect(address)) for _ in range(200)]
        for sock in socks:
            sock.sendall(frame)
        ready.set()
        due_s = time.monotonic()
        for sock in itertools.cycle(socks):
            due_s += chance.expovariate(10 * len(socks))
            if stop.wait(max(0, due_s - time.monotonic())):
                return
            _receive(sock)  # what it asked for a tenth of a second ago
            sock.sendall(frame)


def byte_by_byte(address: Address, stop: Event, ready: Event) -> None:
    """1,000 connections that announce a large request and send one byte of it a second."""
    with contextlib.ExitStack() as crowd:
        socks = [crowd.enter_context(_connect(address)) for _ in range(1000)]
        for sock in socks:
            sock.sendall(struct.pack(">i", FRAME_BYTES) + b"\0" * 8)
        ready.set()
        while not stop.wait(1):
            for sock in list(socks):
                try:
                    sock.sendall(b"\0")
                except OSError:
                    socks.remove(sock)  # cut off


def two_gigabytes(address: Address, stop: Event, ready: Event) -> None:
    """Requests that announce 2 GiB, one after the other, and as much as is taken of them."""
    rubbish = b"\0" * (1 << 20)
    ready.set()
    while not stop.is_set():
        with _connect(address) as sock, contextlib.suppress(OSError):
            sock.sendall(struct.pack(">i", (1 << 31) - 1))
            for _ in range(100):
                sock.sendall(rubbish)


def large_requests(address: Address, stop: Event, ready: Event) -> None:
    """50 connections that send 90 MiB of nonsense each, all at once, again and again."""
    rubbish = b"\0" * (1 << 20)
    ready.set()
    while not stop.is_set():
        with contextlib.ExitStack() as crowd:
            socks = [crowd.enter_context(_connect(address)) for _ in range(50)]
            for sock in socks:
                sock.sendall(struct.pack(">i", FRAME_BYTES))
                sock.settimeout(0.05)
            for _ in range(FRAME_BYTES >> 20):
                for sock in socks:
                    with contextlib.suppress(OSError):
                        sock.sendall(rubbish)
                    if stop.is_set():
                        return


def compression_bomb(address: Address, stop: Event, ready: Event) -> None:
    """Batches of under a mebibyte that unpack to 4 GiB, for a topic whose records have to be
    unpacked.
    """
    with _connect(address) as sock:
        sock.sendall(_produce("packed", _bomb()))
        _receive(sock)
        frame = _produce("packed", _bomb())
        ready.set()
        while not stop.is_set():
            sock.sendall(frame)
            _receive(sock)


def many_items(address: Address, stop: Event, ready: Event) -> None:
    """Metadata requests as large as they may be: tens of thousands of topics that do not exist."""
    count = (MOST_BYTES_DECODED - 100) // 9
    names = b"".join(struct.pack(">h", 7) + b"%07d" % n for n in range(count))
    body = struct.pack(">hhih", 3, 4, 1, -1) + struct.pack(">i", count) + names + b"\0"
    with _connect(address) as sock:
        ready.set()
        while not stop.is_set():
            sock.sendall(struct.pack(">i", len(body)) + body)
            _receive(sock)


SCENARIOS: dict[str, Callable[[Address, Event, Event], None]] = {
    scenario.__name__: scenario
    for scenario in (
        many_idle,
        many_busy,
        byte_by_byte,
        two_gigabytes,
        large_requests,
        compression_bomb,
        many_items,
    )
}


def _produce(topic: str, batch: bytes) -> bytes:
    """The frame of a Produce for partition 0."""
    version = 7
    types = messages.types_of(ApiKey.produce, version, "request")
    part = types.PartitionProduceData(index=0, records=batch)
    request = types.ProduceRequest(
        transactional_id=None,
        acks=1,
        timeout=timedelta(seconds=30),
        topic_data=(types.TopicProduceData(name=topic, partition_data=(part,)),),
    )
    frame: bytes = messages.encode_request(version, 1, "ci", request)
    return frame


def _batch() -> bytes:
    return build_batch([Record(0, 0, b"key", b"x" * 100)])


def _bomb() -> bytes:
    """A batch with a correct CRC whose records unpack to 4 GiB of zeros."""
    plain = build_batch([Record(0, 0, b"key", b"x")])
    packed = bytes(compress(Codec.ZSTD, bytes(64 << 20))) * 64  # frames in a row are one stream
    header = bytearray(plain[:61])
    header[21:23] = struct.pack(">h", Codec.ZSTD)
    batch = header + packed
    batch[8:12] = struct.pack(">i", len(batch) - 12)
    from crc32c import crc32c

    batch[17:21] = struct.pack(">I", crc32c(bytes(batch[21:])))
    return bytes(batch)


def _connect(address: Address) -> socket.socket:
    return socket.create_connection(address, timeout=30)


def _receive(sock: socket.socket) -> bytes:
    (length,) = struct.unpack(">i", _exactly(sock, 4))
    return _exactly(sock, length)


def _exactly(sock: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:  # MSG_WAITALL does not wait on a socket with a timeout
        came = sock.recv(min(length - len(received), 1 << 20))
        if not came:
            raise ConnectionError("the broker hung up")
        received += came
    return bytes(received)


# Measuring ----------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """One round of the healthy client, and the broker's memory during it."""

    p50_ms: float
    p99_ms: float
    memory_bytes: int


def healthy(broker: RunningBroker, seconds: float) -> Measured:
    """Raises OSError when an answer does not come."""
    frame = _produce("healthy", _batch())
    process = psutil.Process(broker.pid)
    took_ms, memory_bytes = [], 0
    with _connect((broker.host, broker.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            started_ns = time.perf_counter_ns()
            sock.sendall(frame)
            _receive(sock)
            took_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
            if len(took_ms) % 50 == 0:
                memory_bytes = max(memory_bytes, process.memory_info().rss)
            time.sleep(PAUSE_S)  # a pace, not a wait
    took_ms.sort()
    return Measured(statistics.median(took_ms), took_ms[len(took_ms) * 99 // 100], memory_bytes)


@contextmanager
def beside(name: str, broker: RunningBroker) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    stop, ready = context.Event(), context.Event()
    arguments = ((broker.host, broker.port), stop, ready)
    process = context.Process(target=SCENARIOS[name], args=arguments, daemon=True)
    process.start()
    try:
        if not ready.wait(60):
            raise RuntimeError(f"{name} did not get ready")
        yield
    finally:
        stop.set()
        process.join(20)
        if process.is_alive():
            process.kill()
            process.join()


def _create_topics(broker: RunningBroker) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    topics = [NewTopic("healthy", 1, 1), NewTopic("busy", 1, 1)]
    topics.append(NewTopic("packed", 1, 1, config={"compression.type": "gzip"}))
    for future in admin.create_topics(topics).values():
        future.result(30)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--network-threads", type=int, default=1)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    over = []
    print("| beside the healthy client | p50 ms | p99 ms | p99, to alone | broker's memory MiB |")
    print("|---|---|---|---|---|")
    for name in given.scenarios:
        options = ["--set", f"queued.max.request.bytes={QUEUED_BYTES}", "--log-level", "error"]
        options += ["--network-threads", str(given.network_threads)]
        with RunningBroker(options=options) as broker:
            _create_topics(broker)
            healthy(broker, 1)
            alone, together = [], []
            for _ in range(ROUNDS):
                alone.append(healthy(broker, given.seconds / 2))
                with beside(name, broker):
                    together.append(healthy(broker, given.seconds))
            if "Traceback" in (said := broker.log_path.read_text()):
                over.append(f"{name}: tracebacks in the broker's log: {said[-2000:]}")
        memory_bytes = max(measured.memory_bytes for measured in together)
        print(_row("(alone)", alone, alone), _row(name, together, alone), sep="\n", flush=True)
        if memory_bytes > MEMORY_LIMIT_BYTES:
            over.append(f"{name}: {memory_bytes >> 20} MiB, over {MEMORY_LIMIT_BYTES >> 20} MiB")
    print("\n".join(["", *over]))
    return 1 if over else 0


def _row(name: str, measured: list[Measured], alone: list[Measured]) -> str:
    p50, p99 = ([getattr(m, field) for m in measured] for field in ("p50_ms", "p99_ms"))
    ratio = statistics.median(p99) / statistics.median(m.p99_ms for m in alone)
    memory = max(m.memory_bytes for m in measured) / (1 << 20)
    return f"| {name} | {_spread(p50)} | {_spread(p99)} | {ratio:.2f} | {memory:.0f} |"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
