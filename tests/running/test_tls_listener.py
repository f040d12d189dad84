"""A listener with TLS beside the plain one; what a broker says of its settings."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.broker_config import described, otherwise_set
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.tls_listener import self_signed, tls_listener
from zerocopy_lab.running.topic_admin import create_topic

NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program")


@NEEDS_OPENSSL
def test_a_client_that_trusts_the_certificate_is_served_under_tls(tmp_path: Path) -> None:
    listener = tls_listener(self_signed(tmp_path))
    with RunningBroker(**listener.for_the_broker) as broker:
        events = list(flight_events.repeated(300))
        sent = flight_events.produce(listener.bootstrap, "t", events, listener.for_a_client)
        assert flight_events.consume(broker.bootstrap, "t", 300) == sent
        with Wire(broker.host, listener.port) as wire, pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(wire.sock, server_hostname=broker.host)


def test_without_openssl_there_is_no_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="openssl"):
        self_signed(tmp_path)


def test_a_broker_that_is_set_otherwise_than_believed_is_told_from_one_that_is_not() -> None:
    with RunningBroker(settings={"flush.messages": "1", "max.connections": "77"}) as broker:
        create_topic(broker.bootstrap, "t", settings={"compression.type": "lz4"})
        assert described(broker.bootstrap)["log.flush.interval.messages"] == "1"
        believed = {
            "flush.messages": "9",
            "compression.type": "producer",
            "segment.ms": "604800000",
        }
        assert otherwise_set(broker.bootstrap, believed, "t") == [
            "flush.messages of t is 1, not 9",
            "compression.type of t is lz4, not producer",
        ]
        assert otherwise_set(broker.bootstrap, {"max.connections": "77", "not.there": "1"}) == []
        assert otherwise_set(broker.bootstrap, {"max.connections": "1"}) == [
            "max.connections of the broker is 77, not 1"
        ]
