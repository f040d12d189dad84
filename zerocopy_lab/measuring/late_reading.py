"""A late reader and somebody else, at one broker with one network thread: one sample.

The late reader fetches a log that is in memory or out of it; all the while somebody else asks a
small question every millisecond, whether or not the last one has been answered, as a crowd of
clients would: a question's wait is counted from the moment when it was due. (Who asks only after
an answer asks least when waiting is longest, and finds the waits short.) A page that is not in
memory puts the broker's thread to sleep inside sendfile (KAFKA-7504), and the small questions wait
as well. Where the device is as fast as memory, `device_bytes_per_s` gives the broker a slow one.

| figure | of |
|---|---|
| `idle_ms` | how long the slowest but one of a hundred small questions waits, with nobody else |
| `beside_ms` | the same beside the late reader |
| `broker_sleeps` | how often a thread of the broker waited: voluntary switches |
| `broker_cpu_s` | the broker, for all that the late reader got |
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
import time
from collections.abc import Iterator, Sequence

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import processor_use
from zerocopy_lab.measuring.fetching import bring_into_memory, evict_log, receive_and_drop
from zerocopy_lab.measuring.kept_broker import kept_broker, kept_frames
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.limited_group import LimitedGroup
from zerocopy_lab.running.running_broker import RunningBroker

_FRAMES_AT_ONCE = 4
_ALONE_S = 0.2
_INTERVAL_NS = 1_000_000


def read_beside_others(
    stopwatch: Stopwatch,
    data_dir: str,
    topic: str,
    transfer: str,
    evicted: bool,
    device_bytes_per_s: int | None = None,
) -> dict[str, float]:
    """The work of one sample. Raises NotEvicted, Unavailable."""
    broker = kept_broker(data_dir, transfer, None)
    if device_bytes_per_s is not None:
        _slow_down(broker, device_bytes_per_s)
    frames = kept_frames(broker, topic, 1 << 20)
    with Wire(broker.host, broker.port) as late, Wire(broker.host, broker.port) as other:
        with _asking(other) as idle_ms:
            time.sleep(_ALONE_S)  # nobody else asks: that is what is measured
        stopwatch.also("broker", broker.pid)
        if evicted:
            evict_log(broker.data_dir, topic)
        else:
            bring_into_memory(broker.data_dir, topic)
        before = processor_use(broker.pid)
        with stopwatch, _asking(other) as beside_ms:
            dropped_bytes = 0
            for at in range(0, len(frames), _FRAMES_AT_ONCE):
                batch = frames[at : at + _FRAMES_AT_ONCE]
                late.send_frame(b"".join(batch))
                dropped_bytes += sum(receive_and_drop(late.sock) for _ in batch)
        used = processor_use(broker.pid).since(before)
    return {
        "broker_sleeps": float(used.voluntary_switches or 0),
        "dropped_bytes": float(dropped_bytes),
        "idle_ms": _slowest_but_one_in_a_hundred(idle_ms),
        "beside_ms": _slowest_but_one_in_a_hundred(beside_ms),
    }


@functools.cache
def _slow_down(broker: RunningBroker, device_bytes_per_s: int) -> None:
    """Give the broker a slow device until this process ends."""
    group = LimitedGroup(broker.data_dir, read_bytes_per_s=device_bytes_per_s)
    group.__enter__().take(broker.pid)
    atexit.register(group.__exit__)


@contextlib.contextmanager
def _asking(wire: Wire) -> Iterator[list[float]]:
    """A small question (which versions do you speak?) every millisecond while the block lasts; the
    list has the waits in ms when it has ended.
    """
    waits_ms: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        due_ns = time.perf_counter_ns()
        while not is_over.is_set():
            wire.ask(ApiKey.api_versions, 0)
            waits_ms.append((time.perf_counter_ns() - due_ns) / 1e6)
            due_ns += _INTERVAL_NS
            is_over.wait((due_ns - time.perf_counter_ns()) / 1e9)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield waits_ms
    finally:
        is_over.set()
        asker.join()


def _slowest_but_one_in_a_hundred(waits_ms: Sequence[float]) -> float:
    """The 99th percentile; the slowest where there are fewer than a hundred."""
    return sorted(waits_ms)[len(waits_ms) * 99 // 100 - (len(waits_ms) >= 100)]
