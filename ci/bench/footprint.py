"""Section `footprint`: how soon a broker is there, what memory it takes, also after much work.

Every broker is a process of its own that is started for the purpose, on an empty directory or on
what its predecessor left behind.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from ci.bench.contest import GIB, KIB, MIB, batch_of, drop_answer, make_topic, memory_mib
from ci.bench.figures import Figures
from ci.bench.pair import kinds
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.running.running_broker import Kind, RunningBroker

TABLE = "footprint"
MOST_ROUNDS = 3
MUCH_GIB, UNFLUSHED_MIB = 4, 1_024

_Values = dict[str, list[float]]
_Work = Callable[[Path, Kind, _Values], None]


def bench_footprint(workspace: Path, figures: Figures, rounds: int) -> None:
    """Start, memory, starting again after a crash."""
    print("how soon a broker is there, and its memory")
    first, much, again = "start", "much", "again"
    works: dict[str, tuple[_Work, int]] = {
        first: (_first_message, min(rounds, MOST_ROUNDS)),
        much: (_after_much, 1),
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
            goal = 0.1 if unit == "s" else 0.2
            figures.add(TABLE, row, unit, sides[0][title], theirs, goal=goal, at_most=True)


def _note(values: _Values, title: str, unit: str, value: float) -> None:
    values.setdefault(f"{title}|{unit}", []).append(value)


def _first_message(directory: Path, kind: Kind, values: _Values) -> None:
    """From nothing: a topic is made, and a consumer gets its first message. Kafka wants the
    directory to be formatted first, by a program of its own, which counts.
    """
    began_s = time.perf_counter()
    with RunningBroker(directory, kind=kind) as broker:
        make_topic(broker, "first")
        _ask_until_there(broker, "first", 0)
        _note(values, "from an empty directory to the first message", "s", _since(began_s))
        _note(values, "memory then", "MiB", memory_mib(broker.pid))


def _after_much(directory: Path, kind: Kind, values: _Values) -> None:
    with RunningBroker(directory, kind=kind) as broker:
        _in_and_out(broker, MUCH_GIB * GIB // MIB)
        title = f"memory after {MUCH_GIB} GiB in and out"
        _note(values, title, "MiB", memory_mib(broker.pid))
        broker.kill()  # nobody needs these files


def _after_a_crash(directory: Path, kind: Kind, values: _Values) -> None:
    with RunningBroker(directory, kind=kind) as broker:
        _in_and_out(broker, UNFLUSHED_MIB)
        broker.kill()
    began_s = time.perf_counter()
    with RunningBroker(directory, kind=kind) as broker, Wire(broker.host, broker.port) as wire:
        while fetch(wire, "much", 0, UNFLUSHED_MIB - 1, max_bytes=KIB).error_code:
            time.sleep(0.01)
        title = "starting again after kill -9, 1 GiB not flushed"
        _note(values, title, "s", _since(began_s))


def _in_and_out(broker: RunningBroker, batches: int) -> None:
    """So many MiB to a new topic, each read at once."""
    make_topic(broker, "much")
    batch = batch_of(MIB - KIB)
    with Wire(broker.host, broker.port) as wire:
        for offset in range(batches):
            assert produce(wire, "much", 0, batch)[0] == 0
            wire.send_frame(fetch_frame(Frames(), "much", 0, offset, max_bytes=MIB))
            drop_answer(wire.sock)


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
