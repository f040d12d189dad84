"""The console shows what is so, with rates between two looks, and shows errors."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

import zerocopy_lab
from zerocopy_lab.classroom import console
from zerocopy_lab.classroom.console_table import in_words, markup
from zerocopy_lab.classroom.explore import ERROR_MARK
from zerocopy_lab.pictures.theme import DIRTY, RESIDENT
from zerocopy_lab.running import flight_events, topic_admin
from zerocopy_lab.running.broker_view import OnDisk, PartitionRow, View, look
from zerocopy_lab.running.running_broker import RunningBroker

SETTINGS = {"retention.ms": "3600000", "retention.bytes": "-1", "segment.bytes": "1048576"}


def view(at_s: float, end_offset: int, files: OnDisk, **settings: str) -> View:
    row = PartitionRow("t", 0, 5, end_offset, files)
    changed = {name.replace("_", "."): value for name, value in settings.items()}
    return View(at_s, at_s / 10, (row,), {"t": SETTINGS | changed})


def row_of(markup: str) -> list[str]:
    """The words of the table's only row, without the bar's frame."""
    row = markup.split("<tbody>")[1].split("</tbody>")[0]
    return [text for text in re.sub("<[^>]*>", "\n", row).split("\n") if text]


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
    assert row_of(shown) == [
        "t-0", "5", "500", "200", "1", "8 KiB", "25%", "0 B", "1 h", "no limit", "1 MiB",
    ]  # fmt: skip
    assert "broker CPU 10% of one core, in the last 2.0 s" in shown
    assert row_of(markup(after))[3] == "–", "one look has no rate"


def test_the_bar_is_as_long_as_the_shares_it_stands_for() -> None:
    shown = markup(view(1.0, 9, OnDisk(1, 8192, 6144, 2048)))
    assert f"background:{DIRTY};width:25.0%" in shown
    assert f"background:{RESIDENT};width:50.0%" in shown, "in memory, and on the disk as well"


def test_limits_are_said_as_people_say_them() -> None:
    files = OnDisk(1, 4096, 0, 0)
    shown = row_of(markup(view(1.0, 9, files, retention_ms="-1", retention_bytes="688128")))
    assert shown[-3:] == ["no limit", "672 KiB", "1 MiB"]
    assert row_of(markup(view(1.0, 9, files, cleanup_policy="compact")))[-3] == "compacted"


def test_all_columns_but_the_first_have_a_width_and_a_meaning() -> None:
    """So the table keeps still while figures change, and fits beside JupyterLab's file browser."""
    headings = re.findall("<th [^>]*>", markup(view(1.0, 9, OnDisk(1, 4096, 0, 0))))
    widths_em = [re.search(r"width:([\d.]+)em", heading) for heading in headings]
    assert widths_em[0] is None
    assert sum(float(found[1]) for found in widths_em[1:] if found) < 58
    assert all(widths_em[1:])
    assert all(re.search("title='[^']+'", heading) for heading in headings[1:])


def test_a_name_is_shown_as_text() -> None:
    row = PartitionRow("<b>", 0, 0, 0, OnDisk(1, 0, 0, 0))
    assert "<b>" not in markup(View(1.0, 0.1, (row,), {}))


def test_pages_that_cannot_be_counted_are_unknown_and_not_zero() -> None:
    unknown = view(1.0, 9, OnDisk(1, 4096, None, None))
    assert row_of(markup(unknown))[6:8] == ["?", "?"]
    assert in_words(unknown) == "t-0: offsets 5 to 9, 1 segment, 4 KiB, ? in memory"


def test_live_it_follows_a_broker_and_shows_that_it_has_gone(tmp_path: Path) -> None:
    with RunningBroker(tmp_path) as broker:
        panel = console._Panel(broker, every_s=0.05)
        assert panel.refresh()
        broker.stop()
        assert not panel.refresh()
    assert "This broker is not running any more" in panel._table.value
    assert ERROR_MARK not in panel._table.value, "a broker may be stopped"


def test_an_error_is_shown_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(broker: object) -> View:
        raise TimeoutError("no answer")

    with RunningBroker(tmp_path) as broker:
        panel = console._Panel(broker, every_s=0.05)
        monkeypatch.setattr(console, "look", look)
        assert not panel.refresh()
    assert ERROR_MARK in panel._table.value
    assert "TimeoutError: no answer" in panel._table.value


def test_the_switch_looks_by_itself_and_only_one_panel_does() -> None:
    with RunningBroker() as broker:
        first, second = (console._Panel(broker, every_s=0.01) for _ in range(2))
        seen = threading.Event()
        first._table.observe(lambda _: seen.set(), names="value")
        first.switch(True)
        assert seen.wait(30)
        second.switch(True)
        assert not first._switch.value
        second.switch(False)


def test_it_is_the_packages_console_and_one_table_when_nobody_watches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZEROCOPY_LAB_HEADLESS", "1")
    with RunningBroker() as broker:
        flight_events.produce(broker.bootstrap, "flights", flight_events.repeated(10))
        zerocopy_lab.console(broker)
    assert "flights-0: offsets 0 to 10, 1 segment, " in capsys.readouterr().out
