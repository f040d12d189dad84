"""Section `footprint`: what a broker costs that does little, and how soon it is there.

Every broker is a process of its own that is started for the purpose, on an empty directory or on
what its predecessor left behind.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from ci.bench.contest import KIB, MIB, batch_of, connect, drop_answer, make_topic
from ci.bench.figures import Figures
from ci.bench.pair import kinds
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.running_broker import Kind, RunningBroker
from zerocopy_lab.running.topic_admin import create_topic

TABLE = "footprint"
PARTITIONS, CONNECTIONS, IDLE_S = 1_000, 500, 5
MOST_ROUNDS = 3
UNFLUSHED_MIB = 1_024

_Values = dict[str, list[float]]
_Work = Callable[[Path, Kind, _Values], None]


def bench_footprint(workspace: Path, figures: Figures, rounds: int) -> None:
    """Start, memory, idling, and starting again."""
    print("what a broker costs that does little, and how soon it is there")
    first, idle, again = "start", "idle", "again"
    works: dict[str, tuple[_Work, int]] = {
        first: (_first_message, min(rounds, MOST_ROUNDS)),
        idle: (_with_much_around, 1),
        again: (_after_a_crash, 1),
    }
    for name, (work, times) in works.items():
        sides: list[_Values] = []
        for kind in kinds():
            values: _Values = {}
            for number in range(times):
                directory = workspace / f"{name}-{kind}-{number}"
                work(directory, kind, values)
                shutil.rmtree(directory)
            sides.append(values)
        for title in sides[0]:
            row, _, unit = title.rpartition("|")
            theirs = sides[1][title] if len(sides) > 1 else None
            goal = 0.1 if name == first and unit == "s" else 0.2 if unit == "MiB" else 1.0
            figures.add(TABLE, row, unit, sides[0][title], theirs, goal=goal, at_most=True)


def _note(values: _Values, title: str, unit: str, value: float) -> None:
    values.setdefault(f"{title}|{unit}", []).append(value)


def _memory_mib(broker: RunningBroker) -> float:
    return float(psutil.Process(broker.pid).memory_info().rss) / MIB


def _first_message(directory: Path, kind: Kind, values: _Values) -> None:
    """From nothing: a topic is made, and a consumer gets its first message. Kafka wants the
    directory to be formatted first, by a program of its own, which counts.
    """
    began_s = time.perf_counter()
    with RunningBroker(directory, kind=kind) as broker:
        make_topic(broker, "first")
        _ask_until_there(broker, "first", 0)
        _note(values, "from an empty directory to the first message", "s", _since(began_s))
        _note(values, "memory then", "MiB", _memory_mib(broker))


def _with_much_around(directory: Path, kind: Kind, values: _Values) -> None:
    with contextlib.ExitStack() as until_the_end:
        broker = until_the_end.enter_context(RunningBroker(directory, kind=kind))
        began_s = time.perf_counter()
        create_topic(broker.bootstrap, "wide", PARTITIONS)
        with Wire(broker.host, broker.port) as wire:
            _wait_for_leaders(wire)
        _ask_until_there(broker, "wide", PARTITIONS - 1)  # a Kafka makes its directories later
        _note(values, f"making {PARTITIONS:,} partitions", "s", _since(began_s))
        _note(values, f"memory with {PARTITIONS:,} partitions", "MiB", _memory_mib(broker))
        for _ in range(CONNECTIONS):
            sock = until_the_end.enter_context(connect(broker.port, as_it_comes=True))
            sock.sendall(Frames().encode(ApiKey.api_versions, 0))
            drop_answer(sock)
        title = f"memory with these and {CONNECTIONS} connections"
        _note(values, title, "MiB", _memory_mib(broker))
        cpu_before = cpu_seconds(broker.pid)
        time.sleep(IDLE_S)  # the span that is measured
        used_ms = (cpu_seconds(broker.pid) - cpu_before) * 1000 / IDLE_S
        _note(values, "CPU of one idle second with all that", "ms", max(used_ms, 0.1))
    began_s = time.perf_counter()
    with RunningBroker(directory, kind=kind) as broker:
        _ask_until_there(broker, "wide", PARTITIONS - 1)
        title = f"starting again with {PARTITIONS:,} partitions"
        _note(values, title, "s", _since(began_s))


def _after_a_crash(directory: Path, kind: Kind, values: _Values) -> None:
    """1 GiB in and out again, most of it not flushed when the broker is killed."""
    with RunningBroker(directory, kind=kind) as broker:
        make_topic(broker, "much")
        batch = batch_of(MIB - KIB)
        with Wire(broker.host, broker.port) as wire:
            for offset in range(UNFLUSHED_MIB):
                assert produce(wire, "much", 0, batch)[0] == 0
                wire.send_frame(fetch_frame(Frames(), "much", 0, offset, max_bytes=MIB))
                drop_answer(wire.sock)
        _note(values, "memory after 1 GiB in and out", "MiB", _memory_mib(broker))
        broker.kill()
    began_s = time.perf_counter()
    with RunningBroker(directory, kind=kind) as broker, Wire(broker.host, broker.port) as wire:
        while fetch(wire, "much", 0, UNFLUSHED_MIB - 1, max_bytes=KIB).error_code:
            time.sleep(0.01)
        title = "starting again after kill -9, 1 GiB not flushed"
        _note(values, title, "s", _since(began_s))


def _since(began_s: float) -> float:
    return time.perf_counter() - began_s


def _ask_until_there(broker: RunningBroker, topic: str, partition: int) -> None:
    """Produce one message and get it back."""
    batch = batch_of(KIB)
    with Wire(broker.host, broker.port) as wire:
        while True:  # a Kafka may not lead the partition yet
            code, offset = produce(wire, topic, partition, batch)
            if code == 0:
                break
            time.sleep(0.01)
        while not fetch(wire, topic, partition, offset, max_wait_ms=100).records:
            pass


def _wait_for_leaders(wire: Wire) -> None:
    """Until all partitions of the topic can be used."""
    led = 0
    while led < PARTITIONS:
        answer = wire.ask(ApiKey.metadata, 1, topics=None)
        wide = [topic.partitions for topic in answer.topics if topic.name == "wide"]
        led = sum(each.error_code == 0 for partitions in wide for each in partitions)
