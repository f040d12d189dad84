from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from zerocopy_lab.running import flight_events
from zerocopy_lab.running.broker_thread import BrokerThread


def test_a_real_client_is_served_and_the_insides_are_there_to_be_seen(tmp_path: Path) -> None:
    with BrokerThread(tmp_path) as running:
        sent = flight_events.produce(running.bootstrap, "flights", flight_events.repeated(300))
        assert flight_events.consume(running.bootstrap, "flights", 300) == sent
        log = running.broker.logs.get("flights", 0)
        assert log is not None
        assert (log.log_start_offset, log.high_watermark) == (0, 300)


def test_at_the_end_thread_port_and_temporary_files_are_gone() -> None:
    with BrokerThread(transfer_name="read_then_send") as running:
        address, data_dir = (running.server.host, running.server.port), running.data_dir
    assert not [thread for thread in threading.enumerate() if thread.name == "broker"]
    assert not data_dir.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(address) != 0


def test_what_was_written_is_there_for_the_next(tmp_path: Path) -> None:
    with BrokerThread(tmp_path) as running:
        sent = flight_events.produce(running.bootstrap, "flights", flight_events.repeated(50))
    with BrokerThread(tmp_path) as running:
        assert flight_events.consume(running.bootstrap, "flights", 50) == sent


def test_a_transfer_that_there_is_not_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="by_pigeon"), BrokerThread(transfer_name="by_pigeon"):
        pytest.fail("it should not have started")
