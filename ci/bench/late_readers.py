"""Section `late`: what readers of old data do to those at the end of the log (KAFKA-7504).

The broker's device delivers 32 MiB/s (`running.limited_group`): a virtual disk is often as fast as
memory, and then nobody ever waits. A stream of messages passes (`stream`), first alone, then beside
four readers of what is out of memory, then beside four that read the same as fast and from memory:
what these cost, too, is not the disk's doing. Asked are this broker as it comes, this broker when
its network thread itself waits for the disk (`cold.read.threads=0`), and Kafka.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

from ci.bench.contest import MIB, batch_of, connect, drop_answer, make_topic, share_of
from ci.bench.figures import Figures
from ci.bench.pair import kinds
from ci.bench.stream import waits_ms
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.fetching import bring_into_memory, evict_log
from zerocopy_lab.running.limited_group import LimitedGroup
from zerocopy_lab.running.running_broker import Kind, RunningBroker

TABLE = "late readers"
READERS, SECONDS, MOST_ROUNDS = 4, 4, 3
DEVICE_BYTES_PER_S = 32 * MIB
BATCH_BYTES = 256 << 10
BATCHES = READERS * SECONDS * 2 * DEVICE_BYTES_PER_S // READERS // BATCH_BYTES
"""More than the device delivers within a round, so that everything read is cold."""

AS_KAFKA_DOES = {"cold.read.threads": "0"}


def bench_late_readers(workspace: Path, figures: Figures, rounds: int) -> None:
    """How many times longer 99 of 100 messages take at most, beside late readers."""
    print(f"a tail reader, alone and beside {READERS} late ones, at a device of 32 MiB/s")
    found: dict[str, list[tuple[float, float, float]]] = {}
    try:
        for kind in kinds():
            if kind == "zerocopy_lab":
                found["waits"] = _contestant(workspace / "waits", kind, AS_KAFKA_DOES, rounds)
            found[kind] = _contestant(workspace / kind, kind, {}, rounds)
    except (Unavailable, NotEvicted) as reason:
        print(f"  not measured: {reason}")
        return
    kafka = found.get("kafka")
    for name, ours in (
        ("as it comes", found["zerocopy_lab"]),
        ("with cold.read.threads=0", found["waits"]),
    ):
        for title, unit, at in (
            ("p99 alone", "ms", 0),
            (f"p99 beside {READERS} late readers", "ms", 1),
            (f"p99 beside {READERS} as fast from memory", "ms", 2),
        ):
            theirs = None if kafka is None else [each[at] for each in kafka]
            mine, row = [each[at] for each in ours], f"{title}, {name}"
            figures.add(TABLE, row, unit, mine, theirs, goal=1.0, at_most=True)
        theirs = None if kafka is None else [beside / alone for alone, beside, _ in kafka]
        times = [beside / alone for alone, beside, _ in ours]
        row = f"the second / the first, {name}"
        figures.add(TABLE, row, "times", times, theirs, goal=1.0, at_most=True)


def _contestant(
    directory: Path, kind: Kind, settings: dict[str, str], rounds: int
) -> list[tuple[float, float, float]]:
    """p99 in ms, alone, beside late readers and beside others, of a broker that knows nothing by
    heart.
    """
    data_dir = directory / "data"
    with RunningBroker(data_dir, kind=kind, settings=settings) as broker:
        make_topic(broker, "old")
        make_topic(broker, "stream")
        with Wire(broker.host, broker.port) as wire:
            for _ in range(BATCHES):
                assert produce(wire, "old", 0, batch_of(BATCH_BYTES))[0] == 0
    with (
        RunningBroker(data_dir, kind=kind, settings=settings) as broker,
        LimitedGroup(data_dir, read_bytes_per_s=DEVICE_BYTES_PER_S) as group,
    ):
        make_topic(broker, "stream")
        waits_ms(broker.host, broker.port, "stream", 1_000, 2)
        group.take(broker.pid)
        found = []
        for _ in range(min(rounds, MOST_ROUNDS)):
            evict_log(data_dir, "old")
            alone = _p99_ms(broker)
            with _reading(broker, interval_s=0.0):
                beside = _p99_ms(broker)
            bring_into_memory(data_dir, "old")
            with _reading(broker, interval_s=BATCH_BYTES * READERS / DEVICE_BYTES_PER_S):
                found.append((alone, beside, _p99_ms(broker)))
        return found


def _p99_ms(broker: RunningBroker) -> float:
    return share_of(waits_ms(broker.host, broker.port, "stream", 1_000, SECONDS), 0.99)


@contextlib.contextmanager
def _reading(broker: RunningBroker, interval_s: float) -> Iterator[None]:
    """Four connections of another process, each reading its quarter of the old data, and asking no
    sooner than `interval_s` after it was to ask before.
    """
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    readers = context.Process(target=_read_all, args=(broker.port, over, interval_s), daemon=True)
    readers.start()
    try:
        yield
    finally:
        over.set()
        readers.join(60)
        if readers.is_alive():
            readers.kill()
        assert readers.exitcode == 0, f"the late readers ended with {readers.exitcode}"


def _read_all(port: int, over: Event, interval_s: float) -> None:
    share = BATCHES // READERS
    threads = [
        threading.Thread(target=_read_share, args=(port, range(at, at + share), over, interval_s))
        for at in range(0, BATCHES, share)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read_share(port: int, offsets: range, over: Event, interval_s: float) -> None:
    with connect(port, as_it_comes=True) as sock:
        due_s = time.monotonic() + interval_s * offsets.start / BATCHES  # each in its turn
        for offset in offsets:
            time.sleep(max(0.0, due_s - time.monotonic()))  # the pace of the load
            due_s += interval_s
            if over.is_set():
                return
            sock.sendall(fetch_frame(Frames(), "old", 0, offset, max_bytes=BATCH_BYTES))
            assert drop_answer(sock) > BATCH_BYTES
