"""Why goals were missed, as far as it was found out by measuring. Written by hand, and shown in
docs/figures.md beside those of these rows that miss their goals (`python -m ci.bench --texts`).
"""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """What was found about some rows of a table."""

    table: str
    rows: tuple[str, ...]
    text: str


REASONS: tuple[Reason, ...] = (
    Reason(
        "kafka",
        ("kcat consumes them",),
        "kcat is the limit. Eight MiB reach it in 3 to 8 ms (from Kafka, which sends 260 KB at a "
        "time, in 6 to 20), and it needs 15 to 55 more to take them apart (Kafka's: 10 to 25): two "
        "threads of kcat, one that makes messages and one that prints them, are in each other's "
        "way the more they work at the same time. On a quiet machine a million messages cost kcat "
        "0.51 to 0.58 s of the processors, with Kafka 0.38, and on one processor 0.26, in the same "
        "time as on two (0.35 s, both brokers). Asked for 1 MiB at a time, this broker had 1.3 "
        "times Kafka's rate.",
    ),
    Reason(
        "loops",
        ("fetches of 64 KiB", "fetches of 4 KiB"),
        "Python: with processors that are kept awake a fetch of 64 KiB takes 67 µs and the bare "
        "loop's 45, with the same packets, wake-ups and, but for `epoll_wait`, system calls; what "
        "is between them is reading the request, finding the records and making the answer.",
    ),
)
