"""Brokers that are kept for a round: side by side over the same log, and gone at its end."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.measuring.broker_contest import broker_contestant
from zerocopy_lab.measuring.experiment import run_experiment
from zerocopy_lab.measuring.fetching import segments_of
from zerocopy_lab.measuring.kept_broker import kept_broker
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker

TOPIC = "flights"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    with RunningBroker(tmp_path / "data") as broker:
        flight_events.produce(broker.bootstrap, TOPIC, flight_events.repeated(5000))
    return tmp_path / "data"


def test_brokers_share_the_log_and_nothing_else(data_dir: Path) -> None:
    one = kept_broker(str(data_dir), "sendfile", None)
    other = kept_broker(str(data_dir), "read_then_send", 4096)
    try:
        assert kept_broker(str(data_dir), "sendfile", None) is one is not other
        answers = []
        for broker in (one, other):
            [segment], [original] = (segments_of(d, TOPIC) for d in (broker.data_dir, data_dir))
            assert segment.samefile(original)
            assert not (broker.data_dir / "meta.properties").samefile(data_dir / "meta.properties")
            with Wire(broker.host, broker.port) as wire:
                answers.append(fetch(wire, TOPIC, 0, 0, max_bytes=1 << 20).records)
        assert answers[0] == answers[1] != b""
    finally:
        for broker in (one, other):
            broker.kill()
            broker.close()
        kept_broker.cache_clear()
    assert not one.data_dir.exists()


def test_after_a_contest_no_broker_and_no_directory_is_left(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in segments_of(data_dir, TOPIC)}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    contestants = [
        broker_contestant(name, data_dir, TOPIC, transfer=name, total_bytes=1 << 20)
        for name in ("sendfile", "read_then_send")
    ]
    outcome = run_experiment("contest", contestants, repeats=2, warm_ups=0, runs=2)
    assert min(outcome.values("sendfile", "dropped_bytes")) > 1 << 20
    assert min(outcome.values("sendfile", "broker_cpu_s")) > 0
    assert list(scratch.iterdir()) == []
    assert {path: path.read_bytes() for path in segments_of(data_dir, TOPIC)} == before
    serving = [
        p for p in psutil.process_iter(["cmdline"]) if str(scratch) in str(p.info["cmdline"])
    ]
    assert serving == []
