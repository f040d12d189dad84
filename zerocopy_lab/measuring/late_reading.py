"""A late reader and somebody else, at one broker with one network thread: one sample.

The late reader asks for some MiB of a log that is in memory or out of it; at the same moment
somebody else asks a small question and waits. A page that is not in memory puts the broker's
thread to sleep inside sendfile (KAFKA-7504), and the small question waits as well.

| figure | of |
|---|---|
| `idle_ms` | a small question when nobody else asks: the median over the sample |
| `beside_ms` | the same beside the late reader |
| `broker_sleeps` | how often a thread of the broker waited: voluntary switches |
| `broker_cpu_s` | the broker, for all that the late reader got |
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import processor_use
from zerocopy_lab.measuring.fetching import bring_into_memory, evict_log, receive_and_drop
from zerocopy_lab.measuring.kept_broker import kept_broker, kept_frames
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.protocol.versions import ApiKey

_FRAMES_AT_ONCE = 4


def read_beside_others(
    stopwatch: Stopwatch, data_dir: str, topic: str, transfer: str, evicted: bool
) -> dict[str, float]:
    """The work of one sample. Raises NotEvicted, Unavailable."""
    broker = kept_broker(data_dir, transfer, None)
    frames = kept_frames(broker, topic, 1 << 20)
    with Wire(broker.host, broker.port) as late, Wire(broker.host, broker.port) as other:
        idle_ms = [_ask_ms(other) for _ in frames]
        if evicted:
            evict_log(broker.data_dir, topic)
        else:
            bring_into_memory(broker.data_dir, topic)
        stopwatch.also("broker", broker.pid)
        before = processor_use(broker.pid)
        with stopwatch:
            dropped_bytes, beside_ms = _catch_up(late.sock, other, frames)
        used = processor_use(broker.pid).since(before)
    return {
        "broker_sleeps": float(used.voluntary_switches or 0),
        "dropped_bytes": float(dropped_bytes),
        "idle_ms": statistics.median(idle_ms),
        "beside_ms": statistics.median(beside_ms),
    }


def _catch_up(late: socket.socket, other: Wire, frames: Sequence[bytes]) -> tuple[int, list[float]]:
    """The late reader reads everything once, a few requests at a time; another asks beside it."""
    dropped_bytes, waits_ms = 0, []
    for at in range(0, len(frames), _FRAMES_AT_ONCE):
        batch = frames[at : at + _FRAMES_AT_ONCE]
        late.sendall(b"".join(batch))
        waits_ms.append(_ask_ms(other))
        dropped_bytes += sum(receive_and_drop(late) for _ in batch)
    return dropped_bytes, waits_ms


def _ask_ms(wire: Wire) -> float:
    """How long a small question takes: which versions do you speak?"""
    began_ns = time.perf_counter_ns()
    wire.ask(ApiKey.api_versions, 0)
    return (time.perf_counter_ns() - began_ns) / 1e6
