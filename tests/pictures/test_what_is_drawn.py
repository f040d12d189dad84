"""A picture holds exactly the figures it was given: bar by bar, cell by cell, byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.patches import FancyArrowPatch, Rectangle

from tests.pictures import examples
from tests.pictures.examples import COMPUTED, COUNTED, TIMED, around
from zerocopy_lab.pictures import theme
from zerocopy_lab.pictures.alias_proof import MIXED, NEW, OLD, AliasRow, alias_proof
from zerocopy_lab.pictures.byte_map import KINDS, hue_of
from zerocopy_lab.pictures.copy_ledger import BytePath, Hop, copy_ledger
from zerocopy_lab.pictures.ladder import Rung, steps_of
from zerocopy_lab.pictures.loop_cost import REST
from zerocopy_lab.pictures.offset_search import offset_search
from zerocopy_lab.pictures.replica_map import replica_map, sums_per_broker
from zerocopy_lab.pictures.residency_map import PageCell
from zerocopy_lab.pictures.theme import byte_count, significant


def words_in(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def bars(axes: Axes, label: str) -> list[Rectangle]:
    """The bars of the series with this label, in drawing order."""
    return [
        bar
        for container in axes.containers
        if isinstance(container, BarContainer) and container.get_label() == label
        for bar in container
        if isinstance(bar, Rectangle)
    ]


def test_strategies_bars_end_at_the_medians() -> None:
    cpu, rate = examples.EXAMPLES["strategies"]().axes
    assert [bar.get_width() for bar in bars(cpu, "sender")] == [1.06, 0.066]
    assert [bar.get_width() for bar in bars(cpu, "sender and receiver together")] == [1.53, 0.22]
    assert [bar.get_width() for bar in bars(rate, "throughput")] == [0.87, 6.2]
    assert words_in(cpu) == [
        "not here: the kernel has no module tls",
        "1.06",
        "0.066",
        "1.53",
        "0.22",
    ]


def test_strategies_whiskers_span_the_ranges() -> None:
    cpu = examples.EXAMPLES["strategies"]().axes[0]
    (segments, _) = (
        line.get_segments() for line in cpu.collections if isinstance(line, LineCollection)
    )
    assert [list(segment[:, 0]) for segment in segments] == [
        pytest.approx([1.06 * 0.85, 1.06 * 1.2]),
        pytest.approx([0.066 * 0.85, 0.066 * 1.2]),
    ]


def test_footer_gives_n_as_a_range_when_contestants_differ() -> None:
    words = TIMED.text([around(1, n=7), around(2, n=3)])
    assert "n = 3 to 7" in words
    assert TIMED.host in words
    assert "n = 7" in TIMED.text([around(1)])


def test_alias_cells_have_the_hue_of_their_answer() -> None:
    rows = [AliasRow("one", (OLD, NEW)), AliasRow("two", (MIXED, NEW))]
    axes = alias_proof(rows, page_bytes=4096, origin=COUNTED).axes[0]
    cells = [to_hex(p.get_facecolor()).upper() for p in axes.patches if isinstance(p, Rectangle)]
    assert cells == [theme.COPY, theme.ALIAS, "#D55E00", theme.ALIAS]


@pytest.mark.parametrize(
    ("pages", "remark", "verdict"),
    [
        ((OLD, OLD), "", "copied"),
        ((NEW, NEW), "", "nobody copied"),
        ((OLD, OLD), "completion says COPIED", "copied (completion says COPIED)"),
        ((OLD, NEW), "", "no clear answer"),
        ((MIXED,), "", "no clear answer"),
        ((), "no kernel TLS", "no kernel TLS"),
    ],
)
def test_alias_verdict(pages: tuple[str, ...], remark: str, verdict: str) -> None:
    picture = alias_proof([AliasRow("it", pages, remark)], page_bytes=4096, origin=COUNTED)
    assert verdict in words_in(picture.axes[0])


def test_ledger_has_an_arrow_per_hop_in_the_hue_of_its_mover() -> None:
    path = examples.PATHS[1]
    axes = copy_ledger([path], stations=examples.STATIONS, origin=COUNTED).axes[0]
    arrows = [p for p in axes.patches if isinstance(p, FancyArrowPatch)]
    hues = [to_hex(arrow.get_edgecolor()).upper() for arrow in arrows]
    assert hues == [theme.CPU, theme.CPU, theme.CPU, theme.DMA]
    assert "moved 3× by the CPU, 1× by DMA" in words_in(axes)
    assert "disk" not in words_in(axes), "a station that the path skips has no box"


def test_ledger_refuses_a_station_that_is_not_there() -> None:
    path = BytePath("wrong", (Hop("disk", "moon", "DMA", "CITED"),))
    with pytest.raises(ValueError, match="moon"):
        copy_ledger([path], stations=["disk", "page cache"], origin=COUNTED)


def test_the_parts_of_a_loop_add_up_to_its_cost_and_never_hide_an_overshoot() -> None:
    axes, orders = examples.EXAMPLES["loops"]().axes
    assert [bar.get_height() for bar in bars(axes, "Python's turns")] == [
        0.17,
        0.0007,
        0.06,
        0.0002,
    ]
    kernel = bars(axes, "entering the kernel")
    assert [bar.get_y() for bar in kernel] == [0.17, 0.0007, 0.06, 0.0002]
    rest = [bar.get_height() for bar in bars(axes, REST)]
    assert rest == pytest.approx([0.73, 0.2587, 0.5, 0])
    widths = [bar.get_width() for bar in orders.patches if isinstance(bar, Rectangle)]
    assert widths == pytest.approx([0.83, 0.17, 0.04, 0.96])


def test_crossover_lines_hold_the_points() -> None:
    axes = examples.EXAMPLES["crossover"]().axes[0]
    for line, curve in zip(axes.lines, examples.CURVES, strict=True):
        assert line.get_label() == curve.name
        assert list(line.get_xdata()) == [size for size, _ in curve.points]  # type: ignore[arg-type]
        assert list(line.get_ydata()) == [value.median for _, value in curve.points]  # type: ignore[arg-type]
    assert "order changes here" in words_in(axes)
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_latency_points() -> None:
    axes = examples.EXAMPLES["latency"]().axes[0]
    line = axes.lines[0]
    assert list(line.get_xdata()) == [9000, 300_000, 1_100_000]  # type: ignore[arg-type]
    assert list(line.get_ydata()) == [0.4, 1.1, 22]  # type: ignore[arg-type]
    assert words_in(axes) == ["no batch", "16 KiB", "1 MiB, 20 ms"]


def test_ladder_steps_need_ranges_apart() -> None:
    assert steps_of(examples.RUNGS) == ["", "÷ 13", "no clear change", "", "÷ 28"]
    assert steps_of([Rung("a", around(1)), Rung("b", around(3))]) == ["", "× 3"]
    compared = Rung("b", around(3), step="no clear change")
    assert steps_of([Rung("a", around(1)), compared]) == ["", "no clear change"]


def test_ladder_bars() -> None:
    axes = examples.EXAMPLES["ladder"]().axes[0]
    widths = [p.get_width() for p in axes.patches if isinstance(p, Rectangle)]
    assert widths == [1.2e6, 9e4, 8.5e4, 3e3]
    assert "not here: this file system refuses O_DIRECT" in words_in(axes)


def test_byte_map_shows_every_byte_under_the_hue_of_its_field() -> None:
    cells, names = examples.EXAMPLES["bytes, header"]().axes
    squares = [p for p in cells.patches if isinstance(p, Rectangle)]
    digits = [text.get_text() for text in cells.texts if len(text.get_text()) == 2][:61]
    assert bytes.fromhex("".join(digits)) == examples.BATCH[:61]
    for field in examples.FIELDS[:13]:
        for at in range(field.position, field.position + field.length):
            row, column = divmod(at, 16)
            square = squares[at]
            assert square.get_x() == column
            assert square.get_y() == pytest.approx(row - 0.44)
            assert to_hex(square.get_facecolor()).upper() == hue_of(field)
    of_a_batch = {hue for kind, hue in KINDS.items() if kind != "singled out"}
    assert {hue_of(field) for field in examples.FIELDS} == of_a_batch
    assert "baseOffset" in words_in(names)
    assert "1234500" in words_in(names)


def test_byte_map_draws_the_entry_and_says_what_it_leaves_out() -> None:
    words = words_in(examples.EXAMPLES["bytes"]().axes[0])
    assert f"... and {len(examples.BATCH) - 192:,} more bytes" in words
    assert "last offset 1,234,000 + 529" in words
    assert examples.ENTRY.octets() == bytes.fromhex("000002110000104c")


def test_offset_search_marks_the_way() -> None:
    names, index, batches = examples.EXAMPLES["search"]().axes
    assert names.get_title("left").endswith("00000000000000005000.log")
    assert "200 index entries: an entry for 7,024" in index.get_title("left")
    assert "batch headers read: 3, 183 bytes" in batches.get_title("left")
    blocks = [p for p in batches.patches if isinstance(p, Rectangle)]
    hues = [to_hex(block.get_facecolor()).upper() for block in blocks]
    assert hues == [theme.RESIDENT, theme.RESIDENT, theme.SENDER, theme.ABSENT]
    assert [block.get_x() for block in blocks] == [7020, 7025, 7030, 7035]


def test_offset_search_refuses_a_way_that_leads_elsewhere() -> None:
    with pytest.raises(ValueError, match="offset 7036"):
        offset_search(7036, **examples.SEARCH, origin=COUNTED)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="offset 99999"):
        offset_search(99_999, **examples.SEARCH, origin=COUNTED)  # type: ignore[arg-type]


def test_segment_bars_span_ages_and_sizes() -> None:
    by_time, by_size = examples.EXAMPLES["segments"]().axes
    ages = [p for p in by_time.patches if isinstance(p, Rectangle)]
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in ages] == [
        pytest.approx((9, 8)), pytest.approx((8, 6)), pytest.approx((6, 1)),
    ]  # fmt: skip
    sizes = [p for p in by_size.patches if isinstance(p, Rectangle)]  # newest first
    assert [(p.get_x(), p.get_width()) for p in sizes] == [(0, 35), (35, 100), (135, 100)]
    limits: list[Any] = [axes.lines[0].get_xdata() for axes in (by_time, by_size)]
    assert [limit[0] for limit in limits] == [7, 150]
    assert words_in(by_size)[-1] == "active: records are written to it"


def test_segments_far_inside_a_limit_are_not_squeezed() -> None:
    by_time, by_size = examples.EXAMPLES["segments, one, far limits"]().axes
    assert words_in(by_time) == ["◂ retention.ms is 117× farther out"]
    assert by_time.get_xlim()[0] < 7
    assert not by_size.lines


def test_no_limit_draws_no_line() -> None:
    by_time, by_size = examples.EXAMPLES["segments, many, no limits"]().axes
    assert not by_time.lines
    assert not by_size.lines


@pytest.mark.parametrize(
    ("cell", "shares"),
    [
        (PageCell(64, 0), (0, 0, 0)),
        (PageCell(64, 16), (0.25, 0, 0)),
        (PageCell(64, 64, 32), (0.5, 0.5, 0)),
        (PageCell(64, 64, 32, 32), (0.5, 0, 0.5)),
        (PageCell(64, 64, 16, 32), (0.5, 0, 0.5)),
    ],
)
def test_a_cell_is_filled_in_proportion(cell: PageCell, shares: tuple[float, ...]) -> None:
    found = cell.shares()
    assert (found["clean"], found["dirty"], found["writeback"]) == shares


def test_residency_cells_stack_up() -> None:
    axes = examples.EXAMPLES["residency"]().axes[0]
    clean = [-bar.get_height() / 0.5 for bar in bars(axes, "clean")]
    dirty = [-bar.get_height() / 0.5 for bar in bars(axes, "dirty")]
    assert clean == pytest.approx([0, 0.25, 1, 0, 0.5])
    assert dirty == pytest.approx([1, 0])


def test_memory_lines_hold_the_samples() -> None:
    dirty, leaving = examples.EXAMPLES["memory"]().axes[0].lines[:2]
    assert list(dirty.get_ydata()) == [s.dirty_bytes / 2**20 for s in examples.SAMPLES]  # type: ignore[arg-type]
    assert list(leaving.get_ydata()) == [n % 3 for n in range(40)]  # type: ignore[arg-type]


def test_replica_map_cells_are_the_assignment() -> None:
    grid, sums = replica_map(examples.REPLICAS, brokers=range(6), origin=COMPUTED).axes
    drawn = {
        label: {
            (round(bar.get_x() + bar.get_width() / 2), round(bar.get_y() + 0.42))
            for bar in bars(grid, label)
        }
        for label in ("leader", "follower")
    }
    assert drawn["leader"] == {(p, held[0]) for p, held in examples.REPLICAS.items()}
    assert drawn["follower"] == {(p, b) for p, held in examples.REPLICAS.items() for b in held[1:]}
    assert words_in(sums) == ["4 (2)", "5 (2)", "6 (2)", "6 (2)", "5 (1)", "4 (1)"]


def test_replica_map_groups_brokers_by_rack_and_refuses_strangers() -> None:
    picture = replica_map(
        examples.REPLICAS, brokers=range(6), racks=examples.RACKS, origin=COMPUTED
    )
    names = [label.get_text() for label in picture.axes[0].get_yticklabels()]
    assert [name.split()[1] for name in names] == ["0", "3", "1", "4", "2", "5"]
    with pytest.raises(ValueError, match=r"brokers \[9\]"):
        replica_map({0: [9]}, brokers=range(6), origin=COMPUTED)


def test_sums_per_broker() -> None:
    replicas = {0: [1, 2], 1: [2, 1], 2: [1, 3]}
    assert sums_per_broker(replicas, [1, 2, 3, 4]) == [3, 2, 1, 0]
    assert sums_per_broker(replicas, [1, 2, 3, 4], leaders_only=True) == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (4096, "4 KiB"),
        (1536, "1.5 KiB"),
        (1023 << 10, "1023 KiB"),
        (5 << 30, "5 GiB"),
    ],
)
def test_byte_count(count: int, shown: str) -> None:
    assert byte_count(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0657, "0.066"),
        (0.4, "0.40"),
        (1.064, "1.06"),
        (123.4, "123"),
        (1.2e6, "1,200,000"),
        (3.2e-05, "0.000032"),
    ],
)
def test_significant(value: float, shown: str) -> None:
    assert significant(value) == shown


def test_pages_have_the_hues_of_their_states_and_people_their_lines() -> None:
    axes = examples.EXAMPLES["pages"]().axes[0]
    [mesh] = axes.images
    hues: Any = mesh.get_array()
    assert to_hex(hues[0, 0]) == theme.ABSENT.lower()
    assert to_hex(hues[0, -1]) == theme.RESIDENT.lower()
    assert to_hex(hues[100, 0]) == theme.DIRTY.lower()
    assert to_hex(hues[-1, 0]) == theme.PAPER.lower(), "the log was not yet so long"
    ways: list[list[float]] = [list(map(float, line.get_ydata())) for line in axes.lines]  # type: ignore[arg-type]
    for who in range(3):
        places = [look.places[who] for look in examples.LOOKS]
        assert [at / (1 << 20) for at in places if at is not None] in ways
