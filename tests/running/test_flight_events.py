"""Flight events through a topic that somebody else has used before."""

from __future__ import annotations

from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker


def test_a_round_trip_begins_where_the_topic_ended() -> None:
    with RunningBroker() as broker:
        flight_events.produce(broker.bootstrap, "flights", [b"somebody else's"] * 3)
        for _ in range(2):
            sent, received = flight_events.round_trip(broker.bootstrap, "flights", 500)
            assert sent == received
        all_of_it = flight_events.consume(broker.bootstrap, "flights", 1003)
    assert all_of_it.payload_bytes == 3 * len(b"somebody else's") + 2 * sent.payload_bytes
