"""The published figures are those of the file; and what takes them counts right."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.bench.contest import batch_of, make_topic, play_crowd, share_of
from ci.bench.figures import Figures, load, save
from ci.bench.published import FILE, HEADLINES, PAGE, TABLES, headlines, page, shown
from ci.bench.stream import waits_ms
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
    assert set(HEADLINES) <= {(row.table, row.name) for row in runs[0].rows}


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
