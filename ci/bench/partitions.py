"""Section `partitions`: what 100, 1,000 and 10,000 partitions cost, each number in a broker of its
own. One round: making and opening 10,000 takes a Kafka its time. Where one needs more than it is
given (120 s to make them, 120 s to stop; to start, ours 20 s, a Kafka 120 s) that is said, and what
it did not come to is missing.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import time
from pathlib import Path

from confluent_kafka import KafkaException

from ci.bench.contest import (
    KIB,
    batch_of,
    connect,
    cpu_us_per_request,
    drop_answer,
    memory_mib,
    play,
)
from ci.bench.figures import Figures
from ci.bench.growth import add_curves
from ci.bench.pair import kinds
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.running_broker import BrokerNotRunning, Kind, RunningBroker
from zerocopy_lab.running.topic_admin import create_topic

TABLE = "partitions"
COUNTS = (100, 1_000, 10_000)
PER_TOPIC = 1_000
"""A Kafka makes at most some 10,000 records of its metadata of one request."""

CONNECTIONS, IDLE_S, REQUESTS = 500, 3, 2_000
MOST_S = 120

_Values = dict[str, dict[int, float]]
"""By what was measured ("{} partitions" in it, and its unit), by partitions."""


def bench_partitions(workspace: Path, figures: Figures, rounds: int) -> None:
    """Making, memory, requests, idling with connections, starting again. `rounds` is not heeded."""
    print("what many partitions cost, one round")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    counts = [n for n in COUNTS if files == resource.RLIM_INFINITY or n * 3 // 2 < files]
    if counts != list(COUNTS):
        print(f"  at most {counts[-1]:,}: a Kafka keeps every file open, and {files:,} are allowed")
    sides: list[_Values] = []
    for kind in kinds():
        sides.append({})
        for count in counts:
            directory = workspace / f"{kind}-{count}"
            try:
                _with(directory, kind, count, sides[-1])
            except (AssertionError, BrokerNotRunning, KafkaException, TimeoutError) as reason:
                print(f"  {kind}, {count:,} partitions: given up: {reason!r}")
                break
            shutil.rmtree(directory)
    for title, ours in sides[0].items():
        name, _, unit = title.rpartition("|")
        theirs = [sides[1].get(title, {})] if len(sides) > 1 else None
        goal = 0.1 if name.startswith("starting") else 0.2 if unit == "MiB" else 1.0
        add_curves(figures, TABLE, name.format, unit, [ours], theirs, goal=goal)


def _with(directory: Path, kind: Kind, count: int, values: _Values) -> None:
    def note(title: str, unit: str, value: float) -> None:
        values.setdefault(f"{title}|{unit}", {})[count] = value

    partitions = [(f"wide-{n // PER_TOPIC}", n % PER_TOPIC) for n in range(count)]
    batch = batch_of(KIB)
    with contextlib.ExitStack() as until_the_end:
        broker = until_the_end.enter_context(RunningBroker(directory, kind=kind))
        began_s = time.perf_counter()
        for first in range(0, count, PER_TOPIC):
            topic, _ = partitions[first]
            create_topic(broker.bootstrap, topic, min(count - first, PER_TOPIC))
        _append_to_each(broker, partitions, batch)
        took_s = time.perf_counter() - began_s
        note("making {} partitions, a first message in each", "s", took_s)
        note("memory with {} partitions", "MiB", memory_mib(broker.pid))
        frames = [produce_frame(Frames(), *each, batch, acks=1) for each in partitions]
        sock = connect(broker.port, as_it_comes=True)
        one = play(broker.pid, sock, frames, REQUESTS, KIB)
        note("CPU of a produce of 1 KiB, to {} partitions in turn", "µs", cpu_us_per_request(one))
        for _ in range(CONNECTIONS):
            sock = until_the_end.enter_context(connect(broker.port, as_it_comes=True))
            sock.sendall(Frames().encode(ApiKey.api_versions, 0))
            drop_answer(sock)
        title = f"memory with {{}} partitions and {CONNECTIONS} connections"
        note(title, "MiB", memory_mib(broker.pid))
        cpu_before = cpu_seconds(broker.pid)
        time.sleep(IDLE_S)  # the span that is measured
        used_ms = (cpu_seconds(broker.pid) - cpu_before) * 1000 / IDLE_S
        title = f"CPU of an idle second, {{}} partitions and {CONNECTIONS} connections"
        note(title, "ms", max(used_ms, 0.1))
        os.sync()  # at the end everything is flushed file by file: cheap, where nothing is dirty
        assert broker.stop(MOST_S) >= 0, f"not stopped within {MOST_S} s"
    began_s = time.perf_counter()
    with RunningBroker(directory, kind=kind) as broker:
        _append_to_each(broker, partitions[-1:], batch)
        note("starting again with {} partitions", "s", time.perf_counter() - began_s)


def _append_to_each(broker: RunningBroker, partitions: list[tuple[str, int]], batch: bytes) -> None:
    """One batch each, as soon as the broker leads the partition: a Kafka makes it later. Raises
    AssertionError when that takes all too long.
    """
    end_s = time.monotonic() + MOST_S
    with Wire(broker.host, broker.port) as wire:
        for topic, number in partitions:
            while code := produce(wire, topic, number, batch)[0]:
                assert time.monotonic() < end_s, f"{topic}-{number} answers Kafka's error {code}"
                time.sleep(0.01)
