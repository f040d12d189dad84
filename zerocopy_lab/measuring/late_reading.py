"""A late reader and somebody else at one broker: one sample.

A reader fetches a log that is out of memory, and in its turn one that is in memory; all the while
somebody else asks a small question every 5 ms, whether or not the last one has been answered, as a
crowd of clients would: a question's wait is counted from the moment when it was due. (Who asks only
after an answer asks least when waiting is longest, and finds the waits short.) A page that is not
in memory puts the thread that needs it to sleep (KAFKA-7504), and the small questions of the same
thread wait as well. The reader from memory reads no faster than the one from the device can, so
that only the source of the bytes differs, and not how busy all are. The broker is given by its
address and may be any: whoever starts it may lend it a slow device (`running.limited_group`), where
the real one is as fast as memory.

| figure, of `memory` and of `device` | of |
|---|---|
| `memory_wait_ms` | how long a small question waits beside that reader: the median of all |
| `memory_alone_cpu_s` | the broker's CPU when that reader reads again, with nobody else and as |
| | fast as it can: to answer questions costs CPU, too, and more of it the longer it takes |
| `memory_alone_s` | how long that took |
"""

from __future__ import annotations

import contextlib
import math
import random
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.measuring.contestant import Contestant
from zerocopy_lab.measuring.fetching import (
    bring_into_memory,
    evict_log,
    frames_over,
    receive_and_drop,
)
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.running_broker import RunningBroker

_FRAMES_AT_ONCE = 4
_RESPONSE_BYTES = 1 << 20
_INTERVAL_NS = 5_000_000


def late_reader_at(name: str, broker: RunningBroker, topic: str, *, bytes_per_s: int) -> Contestant:
    """A late reader of a broker that runs for the whole experiment, and reads no faster than so."""
    settings = {
        "host": broker.host,
        "port": broker.port,
        "pid": broker.pid,
        "data_dir": str(broker.data_dir),
        "topic": topic,
        "bytes_per_s": bytes_per_s,
    }
    return Contestant(name, read_beside_others, settings)


def read_beside_others(
    stopwatch: Stopwatch,
    host: str,
    port: int,
    pid: int,
    data_dir: str,
    topic: str,
    bytes_per_s: int,
) -> dict[str, float]:
    """The work of one sample: both sources, in an order that chance decides. Raises NotEvicted,
    Unavailable.
    """
    sources = {"memory": bring_into_memory, "device": evict_log}
    figures: dict[str, float] = {}
    with Wire(host, port) as late, Wire(host, port) as other:
        frames = frames_over(late, topic, _RESPONSE_BYTES)
        stopwatch.also("broker", pid)
        with stopwatch:
            for source in random.sample(list(sources), len(sources)):
                sources[source](Path(data_dir), topic)
                with _asking(other) as waits_ms:
                    read_all(late, frames, bytes_per_s)
                sources[source](Path(data_dir), topic)
                cpu_s, began_s = cpu_seconds(pid), time.perf_counter()
                figures["dropped_bytes"] = float(read_all(late, frames))
                figures[f"{source}_alone_s"] = time.perf_counter() - began_s
                figures[f"{source}_alone_cpu_s"] = cpu_seconds(pid) - cpu_s
                figures[f"{source}_wait_ms"] = statistics.median(waits_ms)
    return figures


def read_all(late: Wire, frames: Sequence[bytes], bytes_per_s: float = math.inf) -> int:
    """Fetches the log once, a few requests at a time and no faster than so; how many bytes came."""
    dropped_bytes, began_s = 0, time.perf_counter()
    for at in range(0, len(frames), _FRAMES_AT_ONCE):
        batch = frames[at : at + _FRAMES_AT_ONCE]
        late.send_frame(b"".join(batch))
        dropped_bytes += sum(receive_and_drop(late.sock) for _ in batch)
        time.sleep(max(0.0, began_s + dropped_bytes / bytes_per_s - time.perf_counter()))
    return dropped_bytes


@contextlib.contextmanager
def _asking(wire: Wire) -> Iterator[list[float]]:
    """A small question (which versions do you speak?) every 5 ms while the block lasts; the list
    has the waits in ms of all that were due by its end.
    """
    waits_ms: list[float] = []
    is_over = threading.Event()
    ended_ns = 0

    def ask() -> None:
        due_ns = time.perf_counter_ns()
        while not is_over.is_set() or due_ns < ended_ns:
            wire.ask(ApiKey.api_versions, 0)
            waits_ms.append((time.perf_counter_ns() - due_ns) / 1e6)
            due_ns += _INTERVAL_NS
            is_over.wait((due_ns - time.perf_counter_ns()) / 1e9)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield waits_ms
    finally:
        ended_ns = time.perf_counter_ns()
        is_over.set()
        asker.join()
