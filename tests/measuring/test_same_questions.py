"""The same questions to any broker: asked of ours, all of them are answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring import same_questions
from zerocopy_lab.measuring.fetch_calls import calls_per_fetch
from zerocopy_lab.measuring.fetching import drop_responses, frames_over
from zerocopy_lab.measuring.held_up import OTHERS, count_held_up, usual_in_a_crowd
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.limited_group import LimitedGroup
from zerocopy_lab.running.passing_topic import a_topic
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.tls_listener import self_signed, tls_listener

MIB = 1 << 20


def test_every_question_has_an_answer_and_what_is_fetched_is_all_there(tmp_path: Path) -> None:
    listener = tls_listener(self_signed(tmp_path))
    with (
        RunningBroker(**listener.for_the_broker) as broker,
        a_topic(broker) as topic,
        a_topic(broker) as steady,
    ):
        events = flight_events.repeated(20_000)
        flight_events.produce(broker.bootstrap, topic, events, {"batch.size": 4096})
        where = (broker.host, broker.port)
        same_questions.warm_up(*where, topic, steady, tls_port=listener.port, mib=1)
        figures = same_questions.ask(
            Stopwatch(), *where, broker.pid, topic, steady, listener.port, (1, 2, 4), 40
        )
        assert figures.keys() == {
            *(f"cpu_{size}_s_per_gib" for size in same_questions.SIZES),
            *("tls_s_per_gib", "fetch_ms", "p50_ms", "p99_ms"),
        }
        assert all(value > 0 for value in figures.values())
        afar = same_questions.ask(Stopwatch(), *where, None, topic, steady, None, (1, 2, 4), 20)
        assert afar.keys() == {"fetch_ms", "p50_ms", "p99_ms"}
        waits = same_questions.waits_at_a_steady_rate(*where, steady, 30)
        assert len(waits) == 30


def test_a_wire_that_dropped_much_may_receive_little(tmp_path: Path) -> None:
    with RunningBroker() as broker, a_topic(broker) as topic:
        flight_events.produce(broker.bootstrap, topic, flight_events.repeated(20_000))
        with Wire(broker.host, broker.port, timeout_s=5) as wire:
            drop_responses(wire.sock, frames_over(wire, topic, MIB, most=2), total_bytes=4 * MIB)
            assert wire.ask(ApiKey.api_versions, 0).api_keys
            assert len(frames_over(wire, topic, 65536, most=3)) == 3


def test_over_tls_a_broker_sends_without_sendfile(tmp_path: Path) -> None:
    listener = tls_listener(self_signed(tmp_path))
    with RunningBroker(**listener.for_the_broker) as broker, a_topic(broker) as topic:
        flight_events.produce(broker.bootstrap, topic, flight_events.repeated(20_000))
        plain = calls_per_fetch(broker, topic)
        over_tls = calls_per_fetch(broker, topic, tls_port=listener.port)
        if not isinstance(plain, dict) or not isinstance(over_tls, dict):
            pytest.skip(str(plain))
        assert plain["sendfile"] >= 1
        assert "sendfile" not in over_tls


def test_who_asks_again_only_after_an_answer_is_reckoned_as_a_crowd() -> None:
    assert usual_in_a_crowd([1.0] * 9) == 1.0
    assert usual_in_a_crowd([1.0, 1.0, 300.0]) > 100  # most who come, come within the 300 ms
    assert usual_in_a_crowd([1.0] * 100 + [50.0]) == 1.0


def test_a_late_reader_holds_all_up_where_they_share_a_thread() -> None:
    """At the broker with one network thread that waits for the device itself; beside a reader from
    memory nobody is held up.
    """
    settings = {"cold.read.threads": "0"}
    with RunningBroker(settings=settings) as broker, a_topic(broker) as topic:
        events = flight_events.repeated(30_000)
        flight_events.produce(broker.bootstrap, topic, events)
        try:
            with LimitedGroup(broker.data_dir, read_bytes_per_s=8 * MIB) as group:
                group.take(broker.pid)
                where = (broker.host, broker.port, str(broker.data_dir))
                seen = count_held_up(Stopwatch(), *where, topic, 8 * MIB)
        except Unavailable as reason:
            pytest.skip(str(reason))
    assert seen["held_up_device"] == seen["others"] == OTHERS
    assert seen["held_up_memory"] < OTHERS
