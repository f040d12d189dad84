"""The console shows what is so, with rates between two looks, and shows errors."""

from __future__ import annotations

from pathlib import Path

import pytest

import zerocopy_lab
from zerocopy_lab.workbench import console, flight_events, topic_admin
from zerocopy_lab.workbench.console import OnDisk, PartitionRow, View, look, markup
from zerocopy_lab.workbench.explore import ERROR_MARK
from zerocopy_lab.workbench.running_broker import RunningBroker


def view(at_s: float, end_offset: int, files: OnDisk) -> View:
    settings = {"t": {"retention.ms": "3600000", "retention.bytes": "-1"}}
    return View(at_s, at_s / 10, (PartitionRow("t", 0, 5, end_offset, files),), settings)


def test_a_look_agrees_with_what_was_produced_and_with_the_files() -> None:
    with RunningBroker() as broker:
        topic_admin.create_topic(
            broker.bootstrap, "small", 2, {"segment.bytes": "20000", "retention.ms": "7200000"}
        )
        flight_events.produce(
            broker.bootstrap, "small", flight_events.repeated(500), {"batch.size": 5000}
        )
        seen = look(broker)
        files = list((broker.data_dir / "small-0").glob("*.log"))
        log_bytes = sum(path.stat().st_size for path in files)
    first, second = seen.partitions
    assert (first.topic, first.partition, first.first_offset, first.end_offset) == (
        "small", 0, 0, 500,
    )  # fmt: skip
    assert (first.files.segments, first.files.log_bytes) == (len(files), log_bytes)
    assert len(files) > 1
    assert (second.partition, second.end_offset, second.files.log_bytes) == (1, 0, 0)
    assert seen.settings["small"]["retention.ms"] == "7200000"


def test_a_broker_without_topics_is_shown_as_such() -> None:
    with RunningBroker() as broker:
        assert "no topics yet" in markup(look(broker))


def test_rates_and_shares_are_computed_from_two_looks() -> None:
    before = view(10.0, 100, OnDisk(1, 4096, 4096, 4096))
    after = view(12.0, 500, OnDisk(1, 8192, 2048, 0))
    shown = markup(after, before)
    assert ">200<" in shown, "400 messages in 2 s"
    assert ">25%<" in shown, "2 of 8 KiB in memory"
    assert "1 hours" in shown
    assert "broker CPU 10% of one core" in shown
    assert ">–<" in markup(after), "one look has no rate"


def test_pages_that_cannot_be_counted_are_unknown_and_not_zero() -> None:
    assert markup(view(1.0, 9, OnDisk(1, 4096, None, None))).count(">?<") == 2


def test_live_it_follows_a_broker_and_shows_that_it_has_gone(tmp_path: Path) -> None:
    with RunningBroker(tmp_path) as broker:
        panel = console._Panel(broker, every_s=0.05)
        assert panel.refresh()
        broker.stop()
        assert not panel.refresh()
        assert ERROR_MARK in panel._table.value


def test_it_is_the_packages_console_and_one_table_when_nobody_watches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZEROCOPY_LAB_HEADLESS", "1")
    with RunningBroker() as broker:
        flight_events.produce(broker.bootstrap, "flights", flight_events.repeated(10))
        zerocopy_lab.console(broker)
    assert "flights-0: offsets 0 to 10, 1 segments" in capsys.readouterr().out
