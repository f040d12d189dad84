"""A broker in a process of its own: it starts, is stopped, is killed, and never outlives us."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from zerocopy_lab.running import flight_events, running_broker
from zerocopy_lab.running.running_broker import (
    BrokerNotRunning,
    RunningBroker,
    importable_here,
    still_running,
)


def test_real_events_come_back_unchanged_through_a_real_client() -> None:
    with RunningBroker() as broker:
        sent = flight_events.produce(broker.bootstrap, "flights", flight_events.repeated(2000))
        assert flight_events.consume(broker.bootstrap, "flights", 2000) == sent
        assert sent.messages == 2000


def test_events_survive_kill_and_a_new_broker_on_the_same_directory(tmp_path: Path) -> None:
    with RunningBroker(tmp_path) as broker:
        sent = flight_events.produce(broker.bootstrap, "flights", flight_events.repeated(500))
        assert broker.kill() == -9
    with RunningBroker(tmp_path) as broker:
        assert flight_events.consume(broker.bootstrap, "flights", 500) == sent


def test_stop_is_clean_and_frees_the_port() -> None:
    with RunningBroker() as broker:
        address, pid = (broker.host, broker.port), broker.pid
        assert broker.stop() == 0
        with pytest.raises(BrokerNotRunning, match="is not running"):
            _ = broker.pid
    assert not psutil.pid_exists(pid)
    with socket.socket() as probe:
        assert probe.connect_ex(address) != 0


def test_one_that_does_not_stop_in_time_is_killed_and_not_just_who_started_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Kafka's JVM is a child of what was started, and went on alone."""
    monkeypatch.setitem(running_broker._STOP_TIMEOUT_S, "zerocopy_lab", 0.2)
    deaf = "from signal import *; signal(SIGTERM, SIG_IGN); print(flush=True); pause()"
    with (
        subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child,
        contextlib.ExitStack() as until_the_end,
    ):
        until_the_end.callback(child.kill)
        broker = until_the_end.enter_context(RunningBroker())
        assert child.stdout is not None
        child.stdout.readline()
        broker._measured_pid = child.pid
        assert broker.stop() == -9
        assert child.wait(30) == -9


def test_temporary_files_are_removed_and_given_ones_kept(tmp_path: Path) -> None:
    with RunningBroker() as broker:
        temporary = broker.data_dir
    assert not temporary.parent.exists()
    with RunningBroker(tmp_path / "kept"):
        pass
    assert (tmp_path / "kept").is_dir()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    broker = RunningBroker(tmp_path, transfer="by_pigeon")
    with pytest.raises(BrokerNotRunning, match="by_pigeon"):
        broker.start()
    assert not broker.log_path.exists()


def test_a_broker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from zerocopy_lab.running.running_broker import RunningBroker\n"
        "broker = RunningBroker().start()\n"
        "print(broker.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"  # no chance to tidy up
    )
    command = [sys.executable, "-c", program]
    environment = importable_here({"TMPDIR": str(tmp_path)})  # nobody is left to remove the files
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    broker_pid = int(ended.stdout)
    with contextlib.suppress(psutil.NoSuchProcess):  # it was faster than we
        psutil.Process(broker_pid).wait(timeout=10)
    assert not psutil.pid_exists(broker_pid)


def test_who_still_runs_is_known_until_it_is_stopped() -> None:
    with RunningBroker() as broker:
        assert broker.bootstrap in still_running()
    assert broker.bootstrap not in still_running()
