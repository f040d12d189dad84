"""How many others a late reader holds up: one sample, counted.

A reader fetches a log from a slow device, and in its turn the same log from memory, no faster.
Meanwhile a dozen other connections ask a small question (*which versions do you speak?*), each
again a moment after its answer. Who shares a thread with the late reader waits until the device
has delivered, who does not is answered at once: so the count tells how many share it. A broker
that hands its connections out in turns to N threads has every Nth of them held up.

| figure | of |
|---|---|
| `others` | connections that asked |
| `held_up_device`, `held_up_memory` | of these, whose usual wait beside that reader was at least a
  quarter of what the device needs for one answer |
| `longest_device_ms`, `longest_memory_ms` | the usual wait of the one that waited longest |

Whoever starts the broker lends it a slow device (`running.limited_group`).
"""

from __future__ import annotations

import contextlib
import math
import selectors
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.measuring.contestant import Contestant
from zerocopy_lab.measuring.fetching import bring_into_memory, evict_log, frames_over
from zerocopy_lab.measuring.late_reading import read_all
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.running_broker import RunningBroker

OTHERS = 12
_RESPONSE_BYTES = 1 << 20
_PAUSE_MS = 5


def holding_up_at(name: str, broker: RunningBroker, topic: str, *, bytes_per_s: int) -> Contestant:
    """A late reader and a dozen others at a running broker whose device delivers so much."""
    settings = {
        "host": broker.host,
        "port": broker.port,
        "data_dir": str(broker.data_dir),
        "topic": topic,
        "bytes_per_s": bytes_per_s,
    }
    return Contestant(name, count_held_up, settings)


def count_held_up(
    stopwatch: Stopwatch, host: str, port: int, data_dir: str, topic: str, bytes_per_s: int
) -> dict[str, float]:
    """The work of one sample. Raises NotEvicted, Unavailable."""
    figures = {"others": float(OTHERS)}
    limit_ms = 1000 * _RESPONSE_BYTES / bytes_per_s / 4
    with contextlib.ExitStack() as stack:
        late = stack.enter_context(Wire(host, port))
        thread = stack.enter_context(ThreadPoolExecutor(1))
        others = [stack.enter_context(Wire(host, port)) for _ in range(OTHERS)]
        frames = frames_over(late, topic, _RESPONSE_BYTES)
        with stopwatch:
            for source, bring, pace in (
                ("memory", bring_into_memory, bytes_per_s),
                ("device", evict_log, math.inf),  # the device sets the pace
            ):
                bring(Path(data_dir), topic)
                reader = thread.submit(read_all, late, frames, pace)
                usual_ms = [usual_in_a_crowd(each) for each in _waits_while(reader, others)]
                reader.result()
                figures[f"held_up_{source}"] = float(sum(each >= limit_ms for each in usual_ms))
                figures[f"longest_{source}_ms"] = max(usual_ms)
    return figures


def usual_in_a_crowd(waits_ms: Sequence[float]) -> float:
    """The median wait of a crowd, from those of one who asks again only after an answer.

    That one asks least when waits are longest. A crowd goes on asking: whoever comes so much later
    waits so much less, but waits.
    """
    return statistics.median(
        wait_ms - later * _PAUSE_MS
        for wait_ms in waits_ms
        for later in range(int(wait_ms // _PAUSE_MS) + 1)
    )


def _waits_while(reader: Future[int], others: list[Wire]) -> list[list[float]]:
    """Each other's waits in ms until the reader is through, the last one to its end."""
    waits_ms: list[list[float]] = [[] for _ in others]
    asked_ns = [0] * len(others)  # 0: nothing is asked
    next_ns = [time.perf_counter_ns()] * len(others)
    with selectors.DefaultSelector() as answered:
        for at, other in enumerate(others):
            answered.register(other.sock, selectors.EVENT_READ, at)
        while not reader.done() or any(asked_ns):
            now_ns = time.perf_counter_ns()
            for at, other in enumerate(others):
                if not asked_ns[at] and next_ns[at] <= now_ns and not reader.done():
                    other.send_frame(other.encode(ApiKey.api_versions, 0))
                    asked_ns[at] = time.perf_counter_ns()
            for key, _ in answered.select(timeout=_PAUSE_MS / 1000):
                at = key.data
                others[at].receive_frame()
                came_ns = time.perf_counter_ns()
                waits_ms[at].append((came_ns - asked_ns[at]) / 1e6)
                asked_ns[at], next_ns[at] = 0, came_ns + _PAUSE_MS * 1_000_000
    return waits_ms
