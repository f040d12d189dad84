"""Section `kafka`: the same questions to this broker and to Apache Kafka, taking turns.

Both run as they come, on the same machine, with loopback between them and the client. So this is
the cost of one broker's work; replication and hours of load, which Kafka is made for, are not in
it.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

from ci.bench.contest import (
    GIB,
    KIB,
    MIB,
    Round,
    batch_of,
    connect,
    cpu_s_per_gib,
    cpu_us_per_request,
    gib_per_s,
    kcat_consumes,
    kcat_produces,
    make_topic,
    p99_ms,
    play,
    play_crowd,
    requests_per_s,
    timed,
    write_messages,
)
from ci.bench.figures import Figures
from ci.bench.pair import Pair, Player, add, running_pair
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.running.running_broker import RunningBroker

TABLE = "kafka"
MESSAGES, MESSAGE_BYTES = 1_000_000, 100
CROWDS = (10, 100)
FANS = (4, 16, 64)


def bench_kafka(workspace: Path, figures: Figures, rounds: int) -> None:
    """Messages through kcat, fetches, small produces; and the same by many clients at once."""
    print("the same client at Apache Kafka (the ratios are this broker / Kafka)")
    with running_pair(workspace) as pair:
        if shutil.which("kcat") is None:
            print("  kcat is not installed: messages are not measured")
        else:
            _messages(pair, workspace, figures, rounds)
        _fetches(pair, figures, rounds)
        _small_produces(pair, figures, rounds)


def _messages(pair: Pair, workspace: Path, figures: Figures, rounds: int) -> None:
    lines = workspace / "lines"
    write_messages(lines, MESSAGES, MESSAGE_BYTES)

    def run(broker: RunningBroker, command: list[str]) -> Round:
        cpu_before = cpu_seconds(broker.pid)
        seconds = timed(command, subprocess.DEVNULL)
        cpu_s = cpu_seconds(broker.pid) - cpu_before
        return Round(seconds, cpu_s, MESSAGES, MESSAGES * MESSAGE_BYTES)

    def produces(broker: RunningBroker) -> Round:
        return run(broker, kcat_produces(broker.bootstrap, "kcat", lines))

    def consumes(broker: RunningBroker, fetch_bytes: int) -> Round:
        return run(broker, kcat_consumes(broker.bootstrap, "kcat", MESSAGES, fetch_bytes))

    players: dict[str, tuple[Player, float]] = {
        f"kcat produces messages of {MESSAGE_BYTES} bytes": (produces, 0.5),
        "kcat consumes them": (partial(consumes, fetch_bytes=8 * MIB), 0.6),
        "kcat consumes them, 1 MiB a fetch": (partial(consumes, fetch_bytes=MIB), 0.6),
    }
    for name, (player, cpu) in players.items():
        found = pair.take_turns(player, rounds)
        add(figures, TABLE, name, "M/s", found, lambda one: requests_per_s(one) / 1e6, goal=1.0)
        title, per_million = f"{name}, CPU for a million", cpu_us_per_request
        add(figures, TABLE, title, "s", found, per_million, goal=cpu, at_most=True)


def _fetches(pair: Pair, figures: Figures, rounds: int) -> None:
    """One request after the other, each for a batch of exactly so many bytes."""
    for size, count, goal in ((MIB, 1_000, 1.5), (64 * KIB, 4_000, 1.0)):
        name = f"fetches of {'1 MiB' if size == MIB else '64 KiB'}"
        frames = _fill(pair, size)

        def alone(broker: RunningBroker, *, size: int = size, count: int = count) -> Round:
            sock = connect(broker.port, as_it_comes=True)
            return play(broker.pid, sock, frames, count, size, size)  # noqa: B023 - used at once

        found = pair.take_turns(alone, rounds)
        add(figures, TABLE, name, "GiB/s", found, gib_per_s, goal=goal)
        add(figures, TABLE, f"{name}, CPU", "s/GiB", found, cpu_s_per_gib, goal=0.6, at_most=True)
        add(figures, TABLE, f"{name}, p99", "ms", found, p99_ms, goal=1.0, at_most=True)
        for fan in FANS if size == MIB else ():

            def together(broker: RunningBroker, *, fan: int = fan) -> Round:
                return play_crowd(broker.pid, broker.port, frames, fan, 1_000, MIB)  # noqa: B023

            found = pair.take_turns(together, rounds, warm_ups=1)
            title = f"{fan} consumers of the same data"
            add(figures, TABLE, title, "GiB/s", found, gib_per_s, goal=1.5)
            cpu = f"{title}, CPU"
            add(figures, TABLE, cpu, "s/GiB", found, cpu_s_per_gib, goal=0.6, at_most=True)


def _fill(pair: Pair, size: int) -> list[bytes]:
    topic, offsets = f"batches-of-{size}", range(min(256, GIB // 4 // size))
    for broker in pair.both():
        make_topic(broker, topic)
        with Wire(broker.host, broker.port) as wire:
            for _ in offsets:
                assert produce(wire, topic, 0, batch_of(size))[0] == 0
    return [fetch_frame(Frames(), topic, 0, offset, max_bytes=size) for offset in offsets]


def _small_produces(pair: Pair, figures: Figures, rounds: int) -> None:
    for broker in pair.both():
        make_topic(broker, "small")
    frames = [produce_frame(Frames(), "small", 0, batch_of(KIB), acks=1)]

    def alone(broker: RunningBroker) -> Round:
        sock = connect(broker.port, as_it_comes=True)
        return play(broker.pid, sock, frames, 4_000, KIB)

    found = pair.take_turns(alone, rounds)
    name = "produces of 1 KiB, one after the other"
    add(figures, TABLE, name, "req/s", found, requests_per_s, goal=1.0)
    add(figures, TABLE, f"{name}, CPU", "µs", found, cpu_us_per_request, goal=0.5, at_most=True)
    add(figures, TABLE, f"{name}, p99", "ms", found, p99_ms, goal=1.0, at_most=True)
    for connections in CROWDS:

        def together(broker: RunningBroker, *, connections: int = connections) -> Round:
            return play_crowd(broker.pid, broker.port, frames, connections, 8_000, KIB)

        found = pair.take_turns(together, rounds, warm_ups=1)
        name = f"produces of 1 KiB by {connections} connections"
        add(figures, TABLE, name, "req/s", found, requests_per_s, goal=1.0)
        cpu = f"{name}, CPU"
        add(figures, TABLE, cpu, "µs", found, cpu_us_per_request, goal=0.5, at_most=True)
