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


_CROWDS = ("4 consumers", "16 consumers", "64 consumers")
MANY_READERS = tuple(f"{each} of the same data{of}" for each in _CROWDS for of in ("", ", CPU"))
MANY_BESIDE_A_PRODUCER = tuple(
    f"{each} beside a producer{of}"
    for each in _CROWDS
    for of in ("", ", CPU for what is delivered")
)
_ONE_PROCESSOR_SENDS = (
    "One thread sends, on one processor, and Kafka's use what the client leaves of both. There is "
    "nothing to be asked less often: 1,500 fetches of 1 MiB took 1,500 calls of `sendfile`, "
    "counted. With a second network thread the CPU rose (1.3 and 1.2 times with 16 and with 64 "
    "consumers) and the rate did not (0.74 and 1.0)."
)

REASONS: tuple[Reason, ...] = (
    Reason(
        "kafka",
        ("kcat consumes them", "kcat consumes them, 1 MiB a fetch"),
        "kcat is the limit. Eight MiB reach it in 3 to 8 ms (from Kafka, which sends 260 KB at a "
        "time, in 6 to 20), and it needs 15 to 55 more to take them apart (Kafka's: 10 to 25): two "
        "threads of kcat, one that makes messages and one that prints them, are in each other's "
        "way the more they work at the same time. On a quiet machine a million messages cost kcat "
        "0.51 to 0.58 s of the processors, with Kafka 0.38, and on one processor 0.26, in the same "
        "time as on two (0.35 s, both brokers).",
    ),
    Reason(
        "loops",
        ("fetches of 1 MiB", "fetches of 64 KiB", "fetches of 4 KiB"),
        "Python: with processors that are kept awake a fetch of 64 KiB takes 67 µs and the bare "
        "loop's 45, with the same packets, wake-ups and, but for `epoll_wait`, system calls; what "
        "is between them is reading the request, finding the records and making the answer. The "
        "same 22 µs are a tenth of the 200 of a bare fetch of 1 MiB. In one "
        "run, 64 KiB had 0.70 of the bare loop's rate under a Python built without its "
        "optimisations, and 0.74 under Debian's, which has them.",
    ),
    Reason(
        "kafka",
        (
            "produces of 1 KiB by 10 connections",
            "produces of 1 KiB by 10 connections, CPU",
            "produces of 1 KiB by 100 connections",
            "produces of 1 KiB by 100 connections, CPU",
        ),
        "Python has one processor, for its interpreter has one lock; Kafka's threads use what the "
        "client leaves of both. A request costs the same with 10 connections and with 100 (31.6 "
        "and 31.5 µs: one `recv`, one `pwrite`, one `send`), 57 % of it in Python and 41 % in the "
        "kernel. A second network thread took 2.5 times the CPU and served half as many: they hand "
        "the lock to and fro.",
    ),
    Reason("kafka", MANY_READERS, _ONE_PROCESSOR_SENDS),
    Reason(
        "late readers",
        (
            "p99 beside 4 late readers, with cold.read.threads=0",
            "the second / the first, with cold.read.threads=0",
        ),
        "The one network thread sleeps in `sendfile` until the disk has brought the pages (of 12 "
        "small questions beside a late reader all waited for it, and none as the broker comes; "
        "lab 06 counts them). Kafka has three such threads.",
    ),
    Reason("fan-out", MANY_BESIDE_A_PRODUCER, _ONE_PROCESSOR_SENDS),
    Reason(
        "growth",
        (
            "a fetch of 1 KiB, connections: 10",
            "a fetch of 1 KiB, connections: 100",
            "a fetch of 1 KiB, connections: 1,000",
        ),
        "Kafka's cost falls with the connections, and ours does not (the exponents below): a "
        "request costs Python the same, whoever else is there (a produce 31.6 µs with 10 "
        "connections, 31.5 with 100).",
    ),
)
