"""One realistic example of every picture, and its smallest and largest sensible cases, for the
tests of all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from zerocopy_lab.inspect.segment_info import SegmentInfo
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.ablation import Panel, ablation
from zerocopy_lab.pictures.alias_proof import MIXED, NEITHER, NEW, OLD, AliasRow, alias_proof
from zerocopy_lab.pictures.byte_map import IndexEntry, byte_map
from zerocopy_lab.pictures.comparison import Missing, StrategyCost, strategies_side_by_side
from zerocopy_lab.pictures.copy_ledger import BytePath, Hop, copy_ledger
from zerocopy_lab.pictures.cost_curves import (
    Curve,
    Setting,
    crossover,
    latency_against_throughput,
)
from zerocopy_lab.pictures.kept_and_lost import Kind, Piece, Stretch, kept_and_lost
from zerocopy_lab.pictures.ladder import Rung, ladder
from zerocopy_lab.pictures.loop_cost import LoopCost, Order, cost_of_loops
from zerocopy_lab.pictures.memory_over_time import MemorySample, Moment, memory_over_time
from zerocopy_lab.pictures.multiples import Multiple, multiples
from zerocopy_lab.pictures.offset_search import OffsetRange, offset_search
from zerocopy_lab.pictures.pages_over_time import Look, pages_over_time
from zerocopy_lab.pictures.part_map import PartBox, part_map
from zerocopy_lab.pictures.replica_map import replica_map
from zerocopy_lab.pictures.residency_map import PageCell, SegmentPages, residency_map
from zerocopy_lab.pictures.segment_map import segment_map
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.pictures.verdict_grid import GridRow, verdict_grid
from zerocopy_lab.records.fields import header_fields, record_fields
from zerocopy_lab.records.record import Record, build_batch

TIMED = Origin("TIMED", "Linux 6.18, 2 cores (virtual), 7 GiB, Python 3.11, TCP loopback, reno")
COUNTED = Origin("COUNTED", "Linux 6.18, 2 cores (virtual), 7 GiB", recorded=True)
COMPUTED = Origin("COMPUTED")
LONG_TITLE = "What a reader of the article may have expected was contradicted here: " * 2


def around(median: float, n: int = 7) -> Spread:
    return Spread(median, median * 0.85, median * 1.2, n)


CONTESTANTS: list[StrategyCost | Missing] = [
    StrategyCost("read_then_send 4 KiB", around(1.06), around(1.53), around(0.87)),
    StrategyCost("sendfile", around(0.066, n=3), around(0.22), around(6.2)),
    Missing("sendfile_over_kernel_tls", "the kernel has no module tls"),
]
ALIAS_ROWS = [
    AliasRow("read_then_send", (OLD, OLD)),
    AliasRow("sendfile", (NEW, NEW)),
    AliasRow("send_with_msg_zerocopy", (OLD, OLD), "completion says COPIED"),
    AliasRow("a student's own", (MIXED, NEW)),
    AliasRow("encrypt_then_send", (NEITHER, NEITHER), "ciphertext"),
    AliasRow("sendfile_over_kernel_tls", (), "no kernel module tls"),
]
STATIONS = ["disk", "page cache", "application", "socket buffers", "network card"]
PATHS = [
    BytePath(
        "fetch, sendfile",
        (
            Hop("disk", "page cache", "DMA", "COUNTED", "cold only"),
            Hop("page cache", "socket buffers", "nobody", "PROVED", "a reference"),
            Hop("socket buffers", "network card", "DMA", "CITED"),
        ),
    ),
    BytePath(
        "fetch, TLS in user space",
        (
            Hop("page cache", "application", "CPU", "PROVED"),
            Hop("application", "application", "CPU", "PROVED", "encrypts"),
            Hop("application", "socket buffers", "CPU", "PROVED"),
            Hop("socket buffers", "network card", "DMA", "CITED"),
        ),
    ),
]
LOOPS = [
    LoopCost(
        name, around(total), (("Python's turns", python), ("entering the kernel", kernel)), in_c
    )
    for name, total, python, kernel, in_c in (
        ("loop, 4 KiB", 1.06, 0.17, 0.16, around(0.7)),
        ("loop, 1 MiB", 0.26, 0.0007, 0.0006, around(0.25)),
        ("sendfile, 4 KiB", 0.66, 0.06, 0.1, None),
        ("sendfile, 1 MiB", 0.0004, 0.0002, 0.0004, None),
    )
]
ORDERS = [
    Order("larger chunks", "no copies", around(0.83)),
    Order("no copies", "larger chunks", around(0.04)),
]
CURVES = [
    Curve(name, tuple((1 << k, around(call + byte * (1 << k))) for k in range(6, 21)))
    for name, call, byte in (("read_then_send", 1.4, 4.5e-4), ("sendfile", 2.6, 9e-5))
]
SETTINGS = [
    Setting("no batch", 9000, around(0.4)),
    Setting("16 KiB", 300_000, around(1.1)),
    Setting("1 MiB, 20 ms", 1_100_000, around(22)),
]
BATCH = bytes(
    build_batch(
        [
            Record(1_234_500 + n, 1_735_689_600_000 + n, b"UA", b'{"flight":"UA1545"}', ())
            for n in range(30)
        ],
        base_offset=1_234_500,
    )
)
FIELDS = header_fields(memoryview(BATCH)) + record_fields(memoryview(BATCH), 61)
ENTRY = IndexEntry(relative_offset=529, position=4172, base_offset=1_234_000)
DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS


def segment(base_offset: int, size_mib: int, days: tuple[int, int], why: str) -> SegmentInfo:
    """A segment whose records are that many days old; its fate follows from the words."""
    return SegmentInfo(
        base_offset=base_offset,
        next_offset=base_offset + 120_000,
        size_bytes=size_mib << 20,
        index_entries=20,
        time_index_entries=20,
        first_ms=NOW_MS - days[0] * DAY_MS,
        largest_ms=NOW_MS - days[1] * DAY_MS,
        active=why.startswith("active"),
        deletable=why.startswith("youngest"),
        why=why,
    )


SEGMENTS = [
    segment(0, 100, (9, 8), "youngest record 8 days old, limit 7 days (retention.ms=604800000)"),
    segment(120_000, 100, (8, 6), "young enough, and the log is small enough"),
    segment(240_000, 35, (6, 1), "active: records are written to it"),
]
SEARCH = {
    "segments": [OffsetRange(0, 5000), OffsetRange(5000, 10_000), OffsetRange(10_000, 12_000)],
    "entries": list(range(5024, 10_000, 25)),
    "walked": [OffsetRange(7020, 7025), OffsetRange(7025, 7030), OffsetRange(7030, 7035)],
    "beyond": [OffsetRange(7035, 7040)],
}
PAGES = [
    SegmentPages("00000000000000000000.log", (PageCell(64, 0), PageCell(64, 16), PageCell(64, 64))),
    SegmentPages("00000000000000250000.log", (PageCell(64, 64, 64, 0), PageCell(64, 64, 32, 32))),
]
WHO = ("producer: the log's end", "tail reader", "late reader")
LOOKS = [
    Look(
        n / 10,
        (PageCell(16, 16 if n > 20 else 0),) * 100 + (PageCell(16, 16, 16),) * (n + 1),
        ((101 + n) << 16, (100 + n) << 16, None if n < 10 else (4 * n - 40) << 16),
    )
    for n in range(40)
]
SAMPLES = [MemorySample(n * 0.5, min(n, 20) << 20, (n % 3) << 20) for n in range(40)]
REPLICAS = {p: [(p + k) % 6 for k in range(3)] for p in range(10)}
RACKS = {broker: f"rack {'ABC'[broker % 3]}" for broker in range(6)}
RUNGS = [
    Rung("everything on", around(1.2e6)),
    Rung("without batching", around(9e4)),
    Rung("without sendfile", around(8.5e4)),
    Rung("without the page cache", None, "this file system refuses O_DIRECT"),
    Rung("flushed every message", around(3e3)),
]

VERDICTS = [
    GridRow("Z1", ("supported", "contradicted", "inconclusive"), "half right"),
    GridRow("L1", ("contradicted",), "wrong"),
    GridRow("C1", (), "open"),
]

KEPT_OR_LOST: dict[Kind, str] = {
    "kept": "on the disk for certain",
    "lost": "in memory only: a power cut may take it",
    "damaged": "the batch that was hit",
}
SURVIVORS = [
    Stretch(
        "the system decides", (Piece(3251, "lost", "3,251"),), "kill -9 took 0, a torn write 0"
    ),
    Stretch("every 1,000 messages", (Piece(3001, "kept", "3,001"), Piece(250, "lost", "250"))),
    Stretch("every batch", (Piece(3251, "kept", "3,251"),), "kill -9 took 0, a torn write 0"),
    Stretch("the leader's disk", (), "not seen from here"),
]
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "verdicts": lambda: verdict_grid(VERDICTS, origin=COUNTED, title=LONG_TITLE),
    "verdicts, many machines": lambda: verdict_grid(
        [
            GridRow(f"a part of claim {n}", ("right", "half right", "wrong", "open") * 3)
            for n in range(24)
        ],
        columns=[f"machine {n}" for n in range(12)],
        origin=COUNTED,
    ),
    "verdicts, named": lambda: verdict_grid(
        [
            GridRow(
                claim,
                ("supported", "contradicted", "inconclusive", "not testable here") * 2,
                "half right",
                ("as it stands", "a late reader makes the others wait: read_then_send") * 4,
            )
            for claim in ("P2", "W2")
        ],
        origin=COUNTED,
    ),
    "verdicts, one": lambda: verdict_grid(VERDICTS[1:2], origin=COUNTED),
    "strategies": lambda: strategies_side_by_side(CONTESTANTS, origin=TIMED, title=LONG_TITLE),
    "strategies, one": lambda: strategies_side_by_side(CONTESTANTS[:1], origin=TIMED),
    "strategies, many": lambda: strategies_side_by_side(
        [StrategyCost(f"strategy {n}", *[around(n + 1)] * 3) for n in range(16)], origin=TIMED
    ),
    "strategies, all missing": lambda: strategies_side_by_side(CONTESTANTS[2:], origin=TIMED),
    "alias": lambda: alias_proof(
        ALIAS_ROWS, page_bytes=4096, origin=COUNTED, title="Copies or not"
    ),
    "alias, one": lambda: alias_proof(ALIAS_ROWS[1:2], page_bytes=4096, origin=COUNTED),
    "alias, 32 pages": lambda: alias_proof(
        [AliasRow("sendfile", (NEW,) * 32)], page_bytes=4096, origin=COUNTED
    ),
    "ledger": lambda: copy_ledger(PATHS, stations=STATIONS, origin=COUNTED, title="Who moves it"),
    "ledger, one": lambda: copy_ledger(PATHS[1:], stations=STATIONS, origin=COUNTED),
    "loops": lambda: cost_of_loops(
        LOOPS, origin=TIMED, orders=ORDERS, control="the same loop in C", title="Calls"
    ),
    "loops, one": lambda: cost_of_loops(LOOPS[:1], origin=TIMED),
    "crossover": lambda: crossover(
        CURVES, unit="µs", origin=TIMED, between=(2048, 4096), title="Calls, copies"
    ),
    "crossover, one": lambda: crossover(CURVES[:1], unit="µs", origin=TIMED),
    "latency": lambda: latency_against_throughput(SETTINGS, origin=TIMED, title="Company costs"),
    "latency, one": lambda: latency_against_throughput(SETTINGS[:1], origin=TIMED),
    "bytes": lambda: byte_map(
        BATCH,
        FIELDS,
        first_position=4172,
        origin=COUNTED,
        entry=ENTRY,
        title="Found",
    ),
    "bytes, header": lambda: byte_map(BATCH[:61], FIELDS[:13], first_position=0, origin=COUNTED),
    "bytes, one": lambda: byte_map(b"\x02", [], first_position=16, origin=COUNTED),
    "search": lambda: offset_search(7033, **SEARCH, origin=COUNTED, title="Three headers"),  # type: ignore[arg-type]
    "search, no entry before it": lambda: offset_search(
        1,
        segments=[OffsetRange(0, 9)],
        entries=[],
        walked=[OffsetRange(0, 9)],
        beyond=[],
        origin=COUNTED,
    ),
    "segments": lambda: segment_map(
        SEGMENTS,
        now_ms=NOW_MS,
        retention_ms=7 * DAY_MS,
        retention_bytes=150 << 20,
        origin=COUNTED,
        title="Kept",
    ),
    "segments, one, far limits": lambda: segment_map(
        SEGMENTS[2:],
        now_ms=NOW_MS,
        retention_ms=700 * DAY_MS,
        retention_bytes=1 << 40,
        origin=COUNTED,
    ),
    "segments, many, no limits": lambda: segment_map(
        [SEGMENTS[1]._replace(base_offset=n * 1000) for n in range(24)],
        now_ms=NOW_MS,
        retention_ms=-1,
        retention_bytes=-1,
        origin=COUNTED,
    ),
    "residency": lambda: residency_map(PAGES, cell_bytes=64 * 4096, origin=COUNTED, title="Where"),
    "residency, one": lambda: residency_map(PAGES[:1], cell_bytes=4096, origin=COUNTED),
    "pages": lambda: pages_over_time(
        LOOKS,
        cell_bytes=1 << 16,
        who=WHO,
        until_s=4,
        until_bytes=140 << 16,
        origin=COUNTED,
        moments=[Moment(0.5, "old segments evicted"), Moment(1, "late reader begins")],
        title="Three at one log",
    ),
    "pages, one look": lambda: pages_over_time(
        LOOKS[:1],
        cell_bytes=1 << 16,
        who=WHO,
        until_s=12,
        until_bytes=140 << 16,
        origin=COUNTED,
    ),
    "memory": lambda: memory_over_time(
        SAMPLES,
        origin=COUNTED,
        moments=[Moment(9, "acknowledged"), Moment(9.5, "flush begins"), Moment(10, "on disk")],
    ),
    "memory, one": lambda: memory_over_time([MemorySample(0, 4096)], origin=COUNTED),
    "replicas": lambda: replica_map(
        REPLICAS, brokers=range(6), racks=RACKS, origin=COMPUTED, title="Ten partitions"
    ),
    "replicas, one": lambda: replica_map({0: [0]}, brokers=[0], origin=COMPUTED),
    "replicas, 200 partitions": lambda: replica_map(
        {p: [p % 12, (p + 1) % 12] for p in range(200)}, brokers=range(12), origin=COMPUTED
    ),
    "ladder": lambda: ladder(RUNGS, unit="messages per second", origin=TIMED, title="Batching"),
    "kept and lost": lambda: kept_and_lost(
        SURVIVORS, unit="acknowledged messages", kinds=KEPT_OR_LOST, origin=COUNTED
    ),
    "kept and lost, a broken log": lambda: kept_and_lost(
        [
            Stretch("batches as written", tuple(Piece(n, "kept", f"{n}") for n in (105, 87, 9))),
            Stretch("recovery", (Piece(105, "kept"), Piece(87, "damaged", "87"), Piece(9, "lost"))),
        ],
        unit="bytes of the log",
        kinds=KEPT_OR_LOST,
        origin=COMPUTED,
        title=LONG_TITLE,
    ),
    "ablation": lambda: ablation(
        ["as it comes", "without batching\n(one at a time)", "without zero copy"],
        [
            Panel("producing", {"ours": {"as it comes": around(2e6)}}),
            Panel(
                "consuming",
                {
                    "ours": {"as it comes": around(2e7), "without zero copy": around(1e7)},
                    "librdkafka": {"as it comes": around(1e6)},
                },
            ),
        ],
        unit="messages/s",
        mark=1e6,
        mark_name="a million",
        origin=TIMED,
        title=LONG_TITLE,
    ),
    "parts": lambda: part_map(
        [
            PartBox("transfer", "the way from file to socket, without a copy", "05", "yours"),
            PartBox("stamp", "the place of a batch in the log", "08", "at fault"),
            *[PartBox(f"part {n}", "does what it does", "11", "ours") for n in range(5)],
        ],
        origin=COUNTED,
    ),
    "multiples": lambda: multiples(
        [
            Multiple("its own clock", Spread(1.02, 0.97, 1.1, 7), "zero copy: yes"),
            Multiple("looks at every record", Spread(9.7, 9.1, 10.2, 7), "zero copy: yes"),
            Multiple("repacks with gzip", Spread(47, 44, 51, 7), "zero copy: yes"),
            Multiple("TLS", None, why_not="this OpenSSL has no anonymous cipher", is_another=True),
        ],
        of="passing through",
        origin=TIMED,
        title="What looking inside costs",
    ),
    "multiples, one": lambda: multiples(
        [Multiple("repacks", Spread(0.9, 0.8, 1.0, 3))], of="passing through", origin=TIMED
    ),
    "ladder, one": lambda: ladder(RUNGS[:1], unit="messages per second", origin=TIMED),
}

EMPTY: dict[str, Callable[[], Picture]] = {
    "verdicts": lambda: verdict_grid([], origin=COUNTED),
    "strategies": lambda: strategies_side_by_side([], origin=TIMED),
    "alias": lambda: alias_proof([], page_bytes=4096, origin=COUNTED),
    "ledger": lambda: copy_ledger([], stations=STATIONS, origin=COUNTED),
    "loops": lambda: cost_of_loops([], origin=TIMED),
    "crossover": lambda: crossover([Curve("sendfile", ())], unit="µs", origin=TIMED),
    "latency": lambda: latency_against_throughput([], origin=TIMED),
    "bytes": lambda: byte_map(b"", [], first_position=0, origin=COUNTED),
    "segments": lambda: segment_map(
        [], now_ms=0, retention_ms=1, retention_bytes=1, origin=COUNTED
    ),
    "residency": lambda: residency_map(
        [SegmentPages("0.log", ())], cell_bytes=4096, origin=COUNTED
    ),
    "pages": lambda: pages_over_time(
        [], cell_bytes=1, who=WHO, until_s=1, until_bytes=1, origin=COUNTED
    ),
    "memory": lambda: memory_over_time([], origin=COUNTED),
    "kept and lost": lambda: kept_and_lost([], unit="bytes", kinds=KEPT_OR_LOST, origin=COUNTED),
    "multiples": lambda: multiples([], of="passing through", origin=TIMED),
    "replicas": lambda: replica_map({}, brokers=[0, 1], origin=COMPUTED),
    "ladder": lambda: ladder([Rung("all", None, "not here")], unit="1/s", origin=TIMED),
    "ablation": lambda: ablation(
        [], [Panel("", {})], unit="1/s", mark=1, mark_name="one", origin=TIMED
    ),
}
