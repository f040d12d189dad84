"""A follower's copy is the leader's log, whatever happens to either of them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zerocopy_lab.conformance.parts import PARTS
from zerocopy_lab.instruments.system_calls import available_meter, counting_system_calls
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.follower import Follower, FollowerStopped
from zerocopy_lab.running.running_broker import RunningBroker, importable_here

TOPIC = "flights"
FOLLOW, RECOVER = PARTS["follower"].ours, PARTS["recovery"].ours


def follower_of(
    broker: RunningBroker, data_dir: Path, follow: Callable[..., Any] = FOLLOW
) -> Follower:
    return Follower(broker.bootstrap, TOPIC, data_dir, follow, RECOVER)


def log_of(data_dir: Path) -> bytes:
    return (data_dir / f"{TOPIC}-0" / f"{0:020d}.log").read_bytes()


def produce(broker: RunningBroker, count: int) -> None:
    flight_events.produce(broker.bootstrap, TOPIC, flight_events.repeated(count))


def test_byte_identical_after_the_leader_was_killed_and_came_back(tmp_path: Path) -> None:
    """100,000 events; the leader is killed half way, and the follower once as well."""
    leader_dir, copy_dir = tmp_path / "leader", tmp_path / "copy"
    with RunningBroker(leader_dir) as leader:
        port = leader.port
        with follower_of(leader, copy_dir) as follower:
            produce(leader, 50_000)
            follower.reach(20_000)
            leader.kill()
            with RunningBroker(leader_dir, port=port) as again:
                produce(again, 30_000)
                follower.reach(80_000)
                assert follower.next_offset == 80_000
    with follower.path.open("ab") as copy:
        copy.write(b"what a follower's own crash may leave")
    with RunningBroker(leader_dir, port=port) as leader, follower_of(leader, copy_dir) as follower:
        assert follower.next_offset == 80_000
        produce(leader, 20_000)
        follower.reach(100_000)
    assert log_of(copy_dir) == log_of(leader_dir)
    with RunningBroker(copy_dir) as elected:  # the copy is a log like any other
        consumed = flight_events.consume(elected.bootstrap, TOPIC, 100_000)
    events = [
        event for count in (50_000, 30_000, 20_000) for event in flight_events.repeated(count)
    ]
    assert consumed.payload_bytes == sum(map(len, events))


def test_the_fetch_that_feeds_it_goes_by_sendfile(tmp_path: Path) -> None:
    try:
        available_meter()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with RunningBroker(tmp_path / "leader") as leader:
        produce(leader, 20_000)
        with (
            counting_system_calls(leader.pid) as calls,
            follower_of(leader, tmp_path / "copy") as follower,
        ):
            follower.reach(20_000)
    assert log_of(tmp_path / "copy") == log_of(tmp_path / "leader")
    assert calls.of("sendfile") >= 1


def test_a_leader_with_less_than_the_copy_does_not_shorten_it(tmp_path: Path) -> None:
    with RunningBroker(tmp_path / "one") as leader, follower_of(leader, tmp_path / "copy") as copy:
        produce(leader, 500)
        copy.reach(500)
    before = log_of(tmp_path / "copy")
    with RunningBroker(tmp_path / "other") as leader:
        produce(leader, 100)
        with (
            follower_of(leader, tmp_path / "copy") as copy,
            pytest.raises(FollowerStopped, match="has no offset 500"),
        ):
            copy.reach(501)
    assert log_of(tmp_path / "copy") == before


def test_a_part_that_raises_is_told_to_whoever_waits(tmp_path: Path) -> None:
    with (
        RunningBroker(tmp_path / "leader") as leader,
        follower_of(leader, tmp_path / "copy", lambda *_: 1 // 0) as follower,
        pytest.raises(FollowerStopped, match="ZeroDivisionError"),
    ):
        follower.reach(1)


def test_the_command_follows_with_a_learners_parts(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "follower.py").write_text(
        "from zerocopy_lab.conformance.following import follower as ours\n"
        "def follower(fetch, log, next_offset):\n    return ours(fetch, log, next_offset)\n"
    )
    words = [sys.executable, "-m", "zerocopy_lab", "follow"]
    with RunningBroker(tmp_path / "leader") as leader:
        produce(leader, 700)
        words += [
            leader.bootstrap,
            TOPIC,
            "--data-dir",
            str(tmp_path / "copy"),
            "--parts",
            str(parts),
        ]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, env=importable_here({})
        ) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline().startswith("following ")
                with follower_of(leader, tmp_path / "other") as other:
                    other.reach(700)
                while len(log_of(tmp_path / "copy")) < len(log_of(tmp_path / "other")):
                    assert process.poll() is None
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.stdout.read() == "the copy ends at offset 700.\n"
            assert process.wait(30) == 0
    assert log_of(tmp_path / "copy") == log_of(tmp_path / "leader")
    assert (parts / "follower.examined").exists()
