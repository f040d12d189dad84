"""Section `latency`: end to end, at three rates (`stream`)."""

from __future__ import annotations

from pathlib import Path

from ci.bench.contest import make_topic, share_of
from ci.bench.figures import Figures
from ci.bench.pair import running_pair
from ci.bench.stream import waits_ms

TABLE = "latency"
RATES = (1_000, 10_000, 100_000)
SHARES = (("p50", 0.50), ("p99", 0.99), ("p99.9", 0.999))
SECONDS, MOST_ROUNDS = 3, 3


def bench_latency(workspace: Path, figures: Figures, rounds: int) -> None:
    """This broker and Kafka in turns; the first turn of each does not count."""
    print("from when a message of 100 bytes was due until a consumer had it, acks=1")
    with running_pair(workspace) as pair:
        for broker in pair.both():
            make_topic(broker, "stream")
        for rate in RATES:
            turns = []
            for _ in range(min(rounds, MOST_ROUNDS) + 1):
                turns.append(
                    [waits_ms(b.host, b.port, "stream", rate, SECONDS) for b in pair.both()]
                )
            sides = list(zip(*turns[1:], strict=True))
            for name, share in SHARES:
                values = [[share_of(waits, share) for waits in side] for side in sides]
                figures.add(
                    TABLE,
                    f"{rate:,} messages/s, {name}",
                    "ms",
                    values[0],
                    values[1] if len(values) > 1 else None,
                    goal=1.0,
                    at_most=True,
                )
