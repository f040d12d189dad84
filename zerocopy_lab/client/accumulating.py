"""A producer that collects: messages come at their moments, and a function says when a batch goes.

    message --> waiting --decide--> batch --one connection--> broker --answer--> its latency

What it is given and gives is what the part `accumulator` takes (`conformance.accumulator`): so a
learner's own runs here. Left out: retries, several partitions, memory limits.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from zerocopy_lab.client.producer import VERSION, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch

_TIMEOUT_S = 30.0


def produce_accumulated(
    wire: Wire,
    topic: str,
    events: Sequence[bytes],
    arriving: Sequence[Any],
    decide: Callable[..., int],
    limits: tuple[float, int, int],
) -> list[float]:
    """Sends each event at its moment, in the batches that `decide` makes; the latency of each in
    ms, in the order of the answers.

    `arriving` has `size_bytes` and `arrived_ms` for every event; `limits` are linger in ms, bytes
    of a batch, and batches in flight. Raises whatever `decide` raises, TimeoutError when it never
    sends, ConnectionError for a batch that the broker refused.
    """
    took_ms: list[float] = []
    coming = deque(zip(events, arriving, strict=True))
    waiting: deque[tuple[bytes, Any]] = deque()
    in_flight: deque[list[Any]] = deque()
    began = time.perf_counter()
    while coming or waiting or in_flight:
        now_ms = (time.perf_counter() - began) * 1000
        if now_ms > arriving[-1].arrived_ms + _TIMEOUT_S * 1000:
            raise TimeoutError(f"{len(waiting)} messages were not sent")
        while coming and coming[0][1].arrived_ms <= now_ms:
            waiting.append(coming.popleft())
        while count := decide([w for _, w in waiting], len(in_flight), *limits, now_ms):
            going = [waiting.popleft() for _ in range(count)]
            wire.send_frame(produce_frame(wire, topic, 0, _batch([event for event, _ in going])))
            in_flight.append([each for _, each in going])
        patience_s = _patience_s(coming, waiting, limits[0], now_ms)
        if not in_flight:
            time.sleep(patience_s)  # until the next message's moment: that is the load
        elif select.select([wire.sock], [], [], patience_s)[0]:
            _take_answer(wire)
            done_ms = (time.perf_counter() - began) * 1000
            took_ms += [done_ms - each.arrived_ms for each in in_flight.popleft()]
    return took_ms


def _batch(values: Sequence[bytes]) -> bytes:
    now_ms = int(time.time() * 1000)
    return build_batch([Record(n, now_ms, None, value) for n, value in enumerate(values)])


def _take_answer(wire: Wire) -> None:
    _, told = messages.decode_response(ApiKey.produce, VERSION, wire.receive_frame())
    if code := int(told.responses[0].partition_responses[0].error_code):
        raise ConnectionError(f"the broker refused a batch with error {code}")


def _patience_s(
    coming: deque[tuple[bytes, Any]],
    waiting: deque[tuple[bytes, Any]],
    linger_ms: float,
    now_ms: float,
) -> float:
    """Until the next message comes or the oldest has waited."""
    due_ms = [coming[0][1].arrived_ms] if coming else []
    due_ms += [waiting[0][1].arrived_ms + linger_ms] if waiting else []
    return min(max(min(due_ms, default=now_ms + 5) - now_ms, 0), 50) / 1000
