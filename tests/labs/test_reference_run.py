"""The reference run: small, whole, free of one machine's paths; a machine that cannot make it says
so.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zerocopy_lab.__main__ import main
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab04 import loop_price, moves
from zerocopy_lab.lessons.lab06 import late_reader, page_cache, small_memory
from zerocopy_lab.measuring import recorded
from zerocopy_lab.measuring.recorded import REFERENCE_FILE, recorded_origin, recorded_words
from zerocopy_lab.publishing import reference_run
from zerocopy_lab.running import flight_events

MOST_BYTES = 100 << 10


def test_the_stored_run_is_small_and_its_mark_names_day_and_host() -> None:
    run = recorded.reference_run()
    assert REFERENCE_FILE.stat().st_size < MOST_BYTES
    for mark in (recorded_words("so it was"), recorded_origin("COUNTED").text()):
        assert run.day in mark
        assert run.host in mark
        assert "ecorded" in mark.lower()


def test_everything_stored_can_be_drawn_and_told() -> None:
    stored = recorded.recorded(small_memory.RECORDED_AS)
    scene = small_memory.Scene.of(stored)
    assert json.loads(json.dumps(scene.plain())) == stored, "it can be stored again"
    assert scene.picture().png()
    assert late_reader.kafka_picture(Unmeasured("not here")).png()
    seen = page_cache.recorded_seen()
    assert json.loads(json.dumps(page_cache.plain(seen, "4.2.0")))["late_bytes"] > 0
    assert "%" in recorded.recorded(loop_price.SHARES_AS)
    assert "after an eviction" in moves.reads_in_words(Unmeasured("there is no such counter."))
    outcome = late_reader.recorded_late_reader()
    assert late_reader.KAFKA in outcome.contestants
    for name in outcome.contestants:
        assert late_reader.device_against_memory(outcome, name).verdict == "dearer"


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"no 'tea', but .*05 calls per fetch"):
        recorded.recorded("tea")


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"format": "tea"}')
    monkeypatch.setattr(recorded, "REFERENCE_FILE", other)
    with pytest.raises(ValueError, match=r"other\.json is not of the format"):
        recorded.reference_run.__wrapped__()


def test_a_machine_without_the_instruments_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference_run.record, "__defaults__", (tmp_path / "run.json",))
    lacking = Unmeasured("there is no perf on PATH")
    monkeypatch.setattr(reference_run, "calls_per_fetch", lambda *_, **__: lacking)
    monkeypatch.setattr(flight_events, "load", lambda *_, **__: None)
    assert main(["labs", "record"]) == 1
    assert "cannot make a reference run: there is no perf on PATH" in capsys.readouterr().err
    assert not (tmp_path / "run.json").exists()
