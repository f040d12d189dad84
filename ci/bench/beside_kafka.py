"""A section of `ci/bench`: the same questions to this broker and to Apache Kafka, taking turns.

Both run as they come, on the same machine, with loopback between them and the client. So this is
the cost of one broker's work for one client; replication, hundreds of clients and hours of load,
which Kafka is made for, are not in it. Kafka's first rounds are not counted: its compiler warms up.

Kafka takes the system's congestion control, and BBR paces even loopback, so that both brokers wait
most of the time. Where that is the default, a network namespace may have another:

    unshare --net sh -c "ip link set lo up && sysctl -w net.ipv4.tcp_congestion_control=reno &&
        exec python -m ci.bench kafka"
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ci.bench.contest import (
    GIB,
    KIB,
    MIB,
    Contest,
    Round,
    batch_of,
    cpu_s_per_gib,
    gib_per_s,
    kcat_consumes,
    kcat_produces,
    play,
    requests_per_s,
    timed,
    write_messages,
)
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import LeaderNotAvailable, UnknownTopicOrPartition
from zerocopy_lab.instruments.network import congestion_controls
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.spread import spread
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.apache_kafka import VERSION, KafkaUnavailable, running_kafka
from zerocopy_lab.running.running_broker import RunningBroker

ROUNDS, WARM_UPS = 5, 3
MESSAGES, MESSAGE_BYTES = 1_000_000, 100

Report = Callable[..., None]
Player = Callable[[int, str], Round]  # asks the broker with this pid and address


def bench_kafka(workspace: Path, report: Report) -> None:
    """Messages through kcat, fetches, small produces."""
    print(f"the same client at Apache Kafka {VERSION} (the ratios are this broker / Kafka)")
    with contextlib.suppress(Unavailable):  # the system has nothing to choose from
        print(f"  congestion control of both: {congestion_controls()[0]}")
    if shutil.which("kcat") is None:
        print("  not measured: kcat is not installed")
        return
    with contextlib.ExitStack() as until_the_end:
        try:
            kafka = until_the_end.enter_context(running_kafka(workspace / "kafka"))
        except KafkaUnavailable as reason:
            print(f"  not measured: {reason}")
            return
        ours = until_the_end.enter_context(RunningBroker(workspace / "ours"))
        brokers = [(ours.pid, ours.bootstrap), (kafka.pid, kafka.bootstrap)]
        for name, player, figures in _contests(workspace):
            contest = _take_turns(brokers, player)
            print(f" {name}")
            for title, figure, unit in figures:
                report(f"this broker, {title}", spread(map(figure, contest.broker)), unit)
                report(f"Apache Kafka, {title}", spread(map(figure, contest.reference)), unit)
                report(f"ratio, {title}", contest.ratio(figure))


def _take_turns(brokers: list[tuple[int, str]], player: Player) -> Contest:
    rounds = [[player(*broker) for broker in brokers] for _ in range(WARM_UPS + ROUNDS)]
    ours, theirs = zip(*rounds[WARM_UPS:], strict=True)
    return Contest(list(ours), list(theirs))


Figure = tuple[str, Callable[[Round], float], str]


def _contests(workspace: Path) -> list[tuple[str, Player, list[Figure]]]:
    millions: list[Figure] = [
        ("messages", lambda one: one.requests / one.seconds / 1e6, "M/s"),
        ("CPU", lambda one: one.cpu_s / one.requests * 1e6, "s/M"),
    ]
    payload: list[Figure] = [("payload", gib_per_s, "GiB/s"), ("CPU", cpu_s_per_gib, "s/GiB")]
    requests: list[Figure] = [
        ("requests", requests_per_s, "req/s"),
        ("CPU", lambda one: one.cpu_s / one.requests * 1e6, "us/req"),
    ]
    lines = workspace / "lines"
    write_messages(lines, MESSAGES, MESSAGE_BYTES)
    return [
        (f"kcat produces messages of {MESSAGE_BYTES} bytes", _Kcat(lines).produce, millions),
        ("kcat consumes them", _Kcat(lines).consume, millions),
        ("fetches of 1 MiB, received and dropped", _Fetches(MIB, 1000).ask, payload),
        ("fetches of 64 KiB", _Fetches(64 * KIB, 4000).ask, payload),
        ("produces of 1 KiB, one after the other, acks=1", _small_produces, requests),
    ]


class _Kcat:
    """One kcat, its own start and end included."""

    def __init__(self, lines: Path) -> None:
        self._lines = lines

    def produce(self, pid: int, bootstrap: str) -> Round:
        return self._run(pid, kcat_produces(bootstrap, "kcat", self._lines))

    def consume(self, pid: int, bootstrap: str) -> Round:
        return self._run(pid, kcat_consumes(bootstrap, "kcat", MESSAGES))

    def _run(self, pid: int, command: list[str]) -> Round:
        cpu_before = cpu_seconds(pid)
        seconds = timed(command, subprocess.DEVNULL)
        cpu_s = cpu_seconds(pid) - cpu_before
        return Round(seconds, cpu_s, MESSAGES, MESSAGES * MESSAGE_BYTES)


class _Fetches:
    """One request after the other, each for a batch of exactly `batch_bytes`."""

    def __init__(self, batch_bytes: int, count: int) -> None:
        self._batch_bytes, self._count = batch_bytes, count
        self._frames: dict[str, list[bytes]] = {}

    def ask(self, pid: int, bootstrap: str) -> Round:
        host, _, port = bootstrap.rpartition(":")
        if bootstrap not in self._frames:
            self._frames[bootstrap] = self._fill(host, int(port))
        frames, size = self._frames[bootstrap], self._batch_bytes
        return play(pid, int(port), frames, self._count, size, size)

    def _fill(self, host: str, port: int) -> list[bytes]:
        topic, size = f"batches-of-{self._batch_bytes}", self._batch_bytes
        offsets = range(min(256, GIB // 4 // size))
        with Wire(host, port) as wire:
            _make_topic(wire, topic)
            for _ in offsets:
                assert produce(wire, topic, 0, batch_of(size))[0] == 0
            return [fetch_frame(wire, topic, 0, offset, max_bytes=size) for offset in offsets]


def _small_produces(pid: int, bootstrap: str) -> Round:
    host, _, port = bootstrap.rpartition(":")
    with Wire(host, int(port)) as wire:
        _make_topic(wire, "small")
        frame = produce_frame(wire, "small", 0, batch_of(KIB), acks=1)
    return play(pid, int(port), [frame], 4000, KIB)


def _make_topic(wire: Wire, topic: str) -> None:
    """Ask for it until it is there: Kafka elects a leader first."""
    end_s = time.monotonic() + 30
    while (code := wire.ask_for_topic(topic)) != 0:
        assert code in (LeaderNotAvailable.code, UnknownTopicOrPartition.code), code
        assert time.monotonic() < end_s, f"no topic {topic}"
        time.sleep(0.05)
