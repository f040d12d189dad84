"""Sections `fetch` and `produce`: the broker against the least that could do the same, a bare loop
in Python (`references`), with the same client and the same bytes.

The server has one processor to itself and the client the other, and neither halts (`processors`).
Both servers' sockets have a congestion control that does not pace, whatever the system's.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from ci.bench.contest import (
    KIB,
    MIB,
    Round,
    batch_of,
    connect,
    cpu_s_per_gib,
    gib_per_s,
    play,
)
from ci.bench.figures import Figures
from ci.bench.pair import add
from ci.bench.processors import awake, pin, unpin
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.running_broker import RunningBroker

PROJECT = Path(__file__).resolve().parents[2]
TABLE = "loops"

FETCHES = ((MIB, 1_000, 0.90, 1.20), (64 * KIB, 6_000, 0.75, None), (4 * KIB, 8_000, 0.70, None))
"""Bytes, how many a round, what throughput and CPU should be of the reference's."""

PRODUCES = ((MIB, 256, 1.3), (64 * KIB, 4_000, 2.0), (16 * KIB, 8_000, 2.5))
"""Bytes, how many a round, what CPU should be of the reference's."""

_Sides = tuple[list[Round], list[Round]]


def bench_fetch(workspace: Path, figures: Figures, rounds: int) -> None:
    """Fetch: against a bare sendfile loop."""
    print("fetch, against a bare sendfile loop (receiver drops the bytes; CPU of the sender)")
    for size, count, throughput, cpu in FETCHES:
        found = _fetches(workspace / f"fetch-{size}", size, count, rounds)
        name = f"fetches of {_size(size)}"
        add(figures, TABLE, name, "GiB/s", found, gib_per_s, goal=throughput)
        add(figures, TABLE, f"{name}, CPU", "s/GiB", found, cpu_s_per_gib, goal=cpu, at_most=True)


def bench_produce(workspace: Path, figures: Figures, rounds: int) -> None:
    """Produce: against a bare receive-and-write loop."""
    print("produce, acks=1, against a bare receive-and-write loop (CPU of the receiver)")
    for size, count, cpu in PRODUCES:
        found = _produces(workspace / f"produce-{size}", size, count, rounds)
        name = f"produces of {_size(size)}"
        add(figures, TABLE, name, "GiB/s", found, gib_per_s)
        add(figures, TABLE, f"{name}, CPU", "s/GiB", found, cpu_s_per_gib, goal=cpu, at_most=True)


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


@contextmanager
def _reference(
    kind: str, path: Path, request_bytes: int, answer_bytes: int
) -> Iterator[tuple[int, int]]:
    """A bare loop in a process of its own: its pid and port."""
    words = [sys.executable, "-m", "ci.bench.references", kind, str(path)]
    with subprocess.Popen(
        [*words, str(request_bytes), str(answer_bytes)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.kill()


@contextmanager
def _apart(*servers: int) -> Iterator[None]:
    """Servers on one processor, this client on another, both awake, until the end of the block."""
    with awake():
        for server in servers:
            pin(server, 0)
        pin(0, 1)
        try:
            yield
        finally:
            unpin(0)


def _fetches(workspace: Path, size: int, count: int, rounds: int) -> _Sides:
    """A partition of batches of exactly `size` bytes, 256 MiB of them at most, fetched one at a
    time. The first pair warms up.
    """
    batches = min(256, 256 * MIB // size)
    with RunningBroker(workspace) as broker:
        with Wire(broker.host, broker.port) as wire:
            wire.ask_for_topic("bench")
            for _ in range(batches):
                assert produce(wire, "bench", 0, batch_of(size))[0] == 0
            frames = [
                fetch_frame(wire, "bench", 0, offset, max_bytes=size) for offset in range(batches)
            ]
        segment = next(workspace.glob("bench-0/*.log"))
        with (
            _reference("sendfile", segment, len(frames[0]), size) as (pid, port),
            _apart(broker.pid, pid),
        ):
            pairs = [
                (
                    play(broker.pid, connect(broker.port), frames, count, size, size),
                    play(pid, connect(port), frames, count, size, size),
                )
                for _ in range(rounds + 1)
            ]
    shutil.rmtree(workspace)
    return _sides(pairs[1:])


def _produces(workspace: Path, size: int, count: int, rounds: int) -> _Sides:
    """Both write into memory that a file of the round before has just given back: pages that have
    been free for seconds may have gone back to the hypervisor, and are dear to get again.
    """
    workspace.mkdir()
    pairs: list[tuple[Round, Round]] = []
    with (
        RunningBroker(workspace / "data", settings={"file.delete.delay.ms": "0"}) as broker,
        Wire(broker.host, broker.port) as wire,
    ):
        batch = batch_of(size)
        request_bytes = len(produce_frame(wire, "round-00", 0, batch, acks=1))
        with (
            _reference("write", workspace / "reference.log", request_bytes, 60) as (pid, port),
            _apart(broker.pid, pid),
        ):
            for number in range(rounds + 1):
                topic = f"round-{number:02}"
                wire.ask_for_topic(topic)
                frames = [produce_frame(wire, topic, 0, batch, acks=1)]
                if number:
                    _delete_topic(wire, f"round-{number - 1:02}", workspace / "data")
                ours = play(broker.pid, connect(broker.port), frames, count, size)
                pairs.append((ours, _play_reference_write(pid, port, frames[0], count, size)))
    shutil.rmtree(workspace)
    return _sides(pairs[1:])


def _sides(pairs: list[tuple[Round, Round]]) -> _Sides:
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def _delete_topic(wire: Wire, topic: str, log_dir: Path) -> None:
    """Delete a topic and wait until its files are gone."""
    asked = wire.ask(ApiKey.delete_topics, 1, topic_names=(topic,), timeout=timedelta(seconds=30))
    assert asked.responses[0].error_code == 0
    end_s = time.monotonic() + 30
    while any(log_dir.glob("*-delete")):
        assert time.monotonic() < end_s, f"the files of {topic} are still there"
        time.sleep(0.01)


def _play_reference_write(pid: int, port: int, frame: bytes, count: int, size: int) -> Round:
    """As `play`; the answer is 60 bytes without a length."""
    with connect(port) as sock:
        cpu_before, before = cpu_seconds(pid), time.perf_counter()
        for _ in range(count):
            sock.sendall(frame)
            sock.recv(60, socket.MSG_WAITALL)
        seconds = time.perf_counter() - before
        return Round(seconds, cpu_seconds(pid) - cpu_before, count, count * size)
