"""Brokers as contestants: each has one transfer strategy, and all are asked for the same records.

    notebook --starts--> contestant (receiver, metered) --starts--> broker (sender, metered by pid)

The contestant receives and drops (`fetching`); its broker is kept for the round (`kept_broker`).
"""

from __future__ import annotations

from pathlib import Path

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import processor_use
from zerocopy_lab.measuring.experiment import Contestant, Outcome
from zerocopy_lab.measuring.fetching import drop_responses
from zerocopy_lab.measuring.kept_broker import kept_broker, kept_frames
from zerocopy_lab.measuring.stopwatch import Stopwatch

GIB = 1 << 30


def broker_contestant(
    name: str,
    data_dir: Path,
    topic: str,
    *,
    transfer: str,
    chunk_bytes: int | None = None,
    response_bytes: int = 1 << 20,
    total_bytes: int,
    parts: Path | None = None,
) -> Contestant:
    """A broker that sends `data_dir` (which no other may have open) with `transfer`, which may be
    one of the `parts`.
    """
    settings = {
        "data_dir": str(data_dir),
        "topic": topic,
        "transfer": transfer,
        "chunk_bytes": chunk_bytes,
        "response_bytes": response_bytes,
        "total_bytes": total_bytes,
        "parts": str(parts) if parts else None,
    }
    return Contestant(name, fetch_through_broker, settings, start_broker)


def start_broker(
    data_dir: str,
    topic: str,
    transfer: str,
    chunk_bytes: int | None = None,
    response_bytes: int = 1 << 20,
    parts: str | None = None,
    **_others: object,
) -> None:
    """What can be done before: the broker runs, and all it may send has been asked for once."""
    kept_frames(kept_broker(data_dir, transfer, chunk_bytes, parts), topic, response_bytes)


def fetch_through_broker(
    stopwatch: Stopwatch,
    data_dir: str,
    topic: str,
    transfer: str,
    chunk_bytes: int | None,
    response_bytes: int,
    total_bytes: int,
    parts: str | None = None,
) -> dict[str, float]:
    """The work: `broker_cpu_s` and `wall_s` for fetching.

    Returns the bytes that really came, and how often the broker's threads were switched: of their
    own accord (to wait) or not.
    """
    broker = kept_broker(data_dir, transfer, chunk_bytes, parts)
    frames = kept_frames(broker, topic, response_bytes)
    with Wire(broker.host, broker.port) as wire:
        drop_responses(wire.sock, frames, total_bytes=1)
        stopwatch.also("broker", broker.pid)
        before = processor_use(broker.pid)
        with stopwatch:
            dropped_bytes = drop_responses(wire.sock, frames, total_bytes=total_bytes)
        used = processor_use(broker.pid).since(before)
    return {
        "dropped_bytes": float(dropped_bytes),
        "broker_switches": float((used.voluntary_switches or 0) + (used.involuntary_switches or 0)),
    }


def per_gib(outcome: Outcome, contestant: str, figure: str) -> list[float]:
    """A figure in seconds for every GiB that came, round by round."""
    came = outcome.values(contestant, "dropped_bytes")
    seconds = outcome.values(contestant, figure)
    return [each / (count / GIB) for each, count in zip(seconds, came, strict=True)]
