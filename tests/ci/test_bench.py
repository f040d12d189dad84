"""The published figures are those of the file; and what takes them counts right."""

from __future__ import annotations

import itertools
import os
import re
import time
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import psutil
import pytest

from ci.bench import contest, growth, pair, partitions
from ci.bench.agreement import agreement, chance_that_median_is_inside, chance_that_ranges_touch
from ci.bench.contest import MIB, batch_of, make_topic, play_crowd, share_of
from ci.bench.fan_out import beside_a_producer
from ci.bench.figures import Figures, load, save
from ci.bench.flame_graph import drawn, network_stacks
from ci.bench.growth import add_curves, exponent
from ci.bench.pages import HEADLINES, PAGE, TABLES, headlines, page, shown
from ci.bench.processors import CPUS, awake
from ci.bench.published import FILE
from ci.bench.reasons import REASONS, Reason
from ci.bench.stream import Stamped, waits_ms
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.running.running_broker import RunningBroker


@pytest.fixture
def runs() -> list[Figures]:
    """What was published."""
    if not FILE.exists():
        pytest.skip("no figures were published: python -m ci.bench --publish")
    return load(FILE)


def test_the_readme_shows_the_files_figures(runs: list[Figures]) -> None:
    """`python -m ci.bench --publish` writes both."""
    assert shown() == headlines(runs)


def test_the_page_shows_the_files_figures(runs: list[Figures]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(runs)


def test_every_figure_has_its_conditions(runs: list[Figures]) -> None:
    for run in runs:
        assert {"machine", "congestion control", "file system", "versions", "pinned"} <= set(
            run.conditions
        )
        assert {row.table for row in run.rows} <= set(TABLES)
    published = {(row.table, row.name) for row in runs[0].rows}
    tables = {table for table, _ in published}
    assert {each for each in HEADLINES if each[0] in tables} <= published


def test_every_reason_is_about_rows_that_were_published(runs: list[Figures]) -> None:
    """A table that is new in the bench has to be published first."""
    for each in REASONS:
        names = {row.name for row in runs[0].rows if row.table == each.table}
        assert not names or set(each.rows) <= names, each.table


def figures_of(control: str, ours: float) -> Figures:
    found = Figures(
        {"congestion control": f"{control}; and more", "others at work before": "quiet"}
    )
    found.conditions |= dict.fromkeys(
        ("taken", "machine", "versions", "file system", "pinned"), "?"
    )
    found.add("kafka", "kcat consumes them", "M/s", [ours, ours * 2], [2.0, 2.0], goal=1.0)
    return found


def test_a_run_is_read_as_it_was_saved(tmp_path: Path) -> None:
    runs = [figures_of("bbr", 1.0), figures_of("reno", 3.0)]
    runs[0].add("footprint", "memory then", "MiB", [30.0], None)
    save(runs, tmp_path / "figures.json")
    assert load(tmp_path / "figures.json") == runs


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text('{"schema": 0, "runs": []}')
    with pytest.raises(ValueError, match="schema 0"):
        load(tmp_path / "figures.json")


def test_the_ratio_is_taken_round_by_round(capsys: pytest.CaptureFixture[str]) -> None:
    figures = Figures({})
    figures.add("kafka", "name", "s", [1.0, 4.0, 9.0], [1.0, 2.0, 3.0], goal=1.5, at_most=True)
    (row,) = figures.rows
    assert row.ratio is not None
    assert row.ratio[:3] == (2.0, 1.0, 3.0)
    assert "MISSED" in capsys.readouterr().out


def test_two_controls_are_two_columns() -> None:
    text = headlines([figures_of("bbr", 1.0), figures_of("reno", 3.0)])
    assert "| ratio, bbr | ratio, reno |" in text
    assert "| kcat consumes them | 1.5 M/s | 2 M/s | 0.75 (0.5–1) | 2.2 (1.5–3) |" in text


def test_the_page_names_goals_and_says_why_they_were_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [figures_of("bbr", 1.0), figures_of("reno", 3.0)]
    runs[0].add("kafka", "fetches", "s", [3.0], [2.0], goal=1.0, at_most=True)
    monkeypatch.setattr("ci.bench.pages.REASONS", (Reason("kafka", ("fetches",), "one lock."),))
    text = page(runs)
    assert "| 0.75 (0.5–1) | 2.2 (1.5–3) | ≥ 1, **missed** (bbr) |" in text
    assert "| fetches | 3 s | 2 s | 1.5 | – | ≤ 1, **missed** |" in text
    assert "- *kcat consumes them*: not found out.\n- *fetches*: one lock.\n" in text


def run_of(*rounds: float, name: str = "kcat consumes them") -> Figures:
    found = Figures({"congestion control": "bbr"})
    found.add("kafka", name, "M/s", rounds, [1.0] * len(rounds))
    return found


def test_a_run_agrees_whose_ranges_touch() -> None:
    told = agreement([run_of(2.9, 3.5, 4.0)], [run_of(1.0, 2.0, 3.0)])
    assert "of 1 rows of several rounds the ranges of 1 touch (by chance 1)" in told
    assert "of 0 the new median is in the old range" in told
    assert "apart" not in told


def test_rows_that_do_not_touch_are_named_with_both_ranges() -> None:
    told = agreement([run_of(3.1, 3.5, 4.0)], [run_of(1.0, 2.0, 3.0)])
    assert "apart: kafka, kcat consumes them: 2 (1-3, n=3) then, 3.5 (3.1-4, n=3) now" in told
    assert "one round, 2.00 times" in agreement([run_of(4.0)], [run_of(2.0)])
    assert "of 0 rows" in agreement([run_of(1.0, name="another")], [run_of(1.0)])


def test_another_congestion_control_is_not_compared() -> None:
    told = agreement([run_of(1.0)], [figures_of("reno", 1.0)])
    assert told == "nothing was published under the same congestion control"


def test_what_chance_alone_gives() -> None:
    """Against every order in which three and three values can come."""
    touch = inside = 0
    orders = list(itertools.combinations(range(6), 3))
    for new in orders:
        old = sorted(set(range(6)) - set(new))
        touch += new[0] < old[2] and old[0] < new[2]
        inside += old[0] < new[1] < old[2]
    assert chance_that_ranges_touch(3, 3) == pytest.approx(touch / len(orders))
    assert chance_that_median_is_inside(3, 3) == pytest.approx(inside / len(orders))


def test_an_exponent_is_the_slope_of_the_logarithms() -> None:
    assert exponent({1: 5.0, 10: 5.0, 100: 5.0}) == pytest.approx(0)
    assert exponent({size: 3.0 * size**0.5 for size in (8, 64, 512)}) == pytest.approx(0.5)
    figures = Figures({})
    curves = [{1: 1.0, 10: 10.0}, {1: 1.0, 10: 100.0}]
    add_curves(figures, "growth", "a fetch, {}".format, "s", curves, curves, goal=0.6)
    assert [row.name for row in figures.rows] == [
        "a fetch, 1", "a fetch, 10", "… exponent: a fetch, 1 to 10"
    ]  # fmt: skip
    assert figures.rows[0].missed
    assert figures.rows[2].ours[:3] == pytest.approx((1.5, 1.0, 2.0))
    assert figures.rows[2].ratio is None


def test_a_share_of_all() -> None:
    assert share_of(range(1000), 0.99) == 990
    assert share_of([5.0], 0.999) == 5.0


def test_a_crowd_asks_as_often_as_it_says_and_a_stream_arrives() -> None:
    """At a real broker; no figure is looked at but counts and signs."""
    with RunningBroker() as broker:
        make_topic(broker, "t")
        with Wire(broker.host, broker.port) as wire:
            assert produce(wire, "t", 0, batch_of(4096)) == (0, 0)
        frames = [fetch_frame(Frames(), "t", 0, 0, max_bytes=4096)]
        one = play_crowd(broker.pid, broker.port, frames, 5, 50, 4096)
        assert one.requests == len(one.waits_s) >= 50
        assert one.payload_bytes == one.requests * 4096
        for rate, batches in ((1_000, 50), (100_000, 50)):
            waits = waits_ms(broker.host, broker.port, "t", rate, batches / 1000)
            assert len(waits) == batches
            assert min(waits) > 0
        one = beside_a_producer(broker, "t", batch_of(MIB), 3, 8)
        assert (one.requests, one.payload_bytes) == (24, 24 * MIB)


class Caught(Frames):
    """A connection that keeps what was sent last."""

    sent = b""

    @property
    def sock(self) -> Caught:
        return self

    def sendall(self, frame: bytes) -> None:
        self.sent = bytes(frame)

    def receive_frame(self) -> None:
        return


def test_a_stamp_is_found_whatever_its_bytes_are() -> None:
    """One that ended in a full stop, as the values do, was sought in the wrong place."""
    wire = Caught()
    stamped = Stamped(cast(Wire, wire), "t", 3)
    for stamp_ns in (0x0102_0304_0506_072E, 0x2E2E_2E2E_2E2E_2E2E):
        stamped.send(stamp_ns)
        batch_at = wire.sent.index(stamped.batch[:17])  # up to its checksum
        found = wire.sent[batch_at + stamped.stamp_in_batch :][:8]
        assert int.from_bytes(found) == stamp_ns


def test_growth_and_partitions_have_a_row_for_each_size_and_one_for_the_exponent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ours alone, and small: no figure is looked at but its sign. The kernel may not have
    counted the CPU of so few requests yet, so a clock that always goes on stands in for it.
    """
    monkeypatch.setattr(contest, "cpu_seconds", lambda pid: time.perf_counter())
    for module in (growth, partitions):
        monkeypatch.setattr(module, "REQUESTS", 20)
    monkeypatch.setattr(growth, "LENGTHS_MIB", (1, 2))
    monkeypatch.setattr(growth, "CROWDS", (1, 3))
    monkeypatch.setattr(partitions, "COUNTS", (2, 5))
    monkeypatch.setattr(partitions, "PER_TOPIC", 3)
    monkeypatch.setattr(partitions, "CONNECTIONS", 4)
    monkeypatch.setattr(partitions, "IDLE_S", 0.05)
    for module in (pair, partitions):
        monkeypatch.setattr(module, "kinds", lambda: ["zerocopy_lab"])
    figures = Figures({})
    growth.bench_growth(tmp_path / "growth", figures, 2)
    partitions.bench_partitions(tmp_path / "partitions", figures, 2)
    curves = [row for row in figures.rows if row.name.startswith("… exponent")]
    assert len(figures.rows) == 3 * len(curves) == 3 * (3 + 6)
    assert all(row.ours.low > 0 for row in figures.rows if row not in curves)
    assert [row.ours.n for row in figures.rows] == [2] * 9 + [1] * 18


@pytest.mark.skipif(
    not hasattr(os, "SCHED_IDLE") or len(CPUS) < 2, reason="there is nothing to be kept awake"
)
def test_what_keeps_processors_awake_gives_way_and_ends() -> None:
    before = set(psutil.Process().children())
    with awake():
        loops = set(psutil.Process().children()) - before
        end_s = time.monotonic() + 30
        while any(os.sched_getscheduler(loop.pid) != os.SCHED_IDLE for loop in loops):
            assert time.monotonic() < end_s, "a loop that does not give way"
            time.sleep(0.01)
        assert {tuple(loop.cpu_affinity()) for loop in loops} == {(CPUS[0],), (CPUS[1],)}
    assert not any(loop.is_running() for loop in loops)


def test_a_flame_graph_is_of_the_network_thread_alone() -> None:
    stacks = network_stacks(
        [
            "main (a.py:1);Reactor.run (r.py:9);0x7f01 (libc.so.6);epoll_wait (libc.so.6) 3",
            "main (a.py:1);Reactor.run (r.py:9);<serve> (c.py:2) 1",
            "TimerThread._run (t.py:4);wait (libc.so.6) 99",
        ]
    )
    assert stacks.total() == 4
    text = drawn("A title", stacks)
    boxes = re.findall(r"<title>(.*?)</title>\n?<rect x=\"(.*?)\" y=\".*?\" width=\"(.*?)\"", text)
    assert boxes == [
        ("Reactor.run (r.py:9): 100.0%", "0.0", "1200.0"),
        ("epoll_wait (libc.so.6): 75.0%", "0.0", "900.0"),
        ("&lt;serve&gt; (c.py:2): 25.0%", "900.0", "300.0"),
    ]
    ElementTree.fromstring(text)
