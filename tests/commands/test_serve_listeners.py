"""Which doors `serve` opens, and what it says about those that anybody may use."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest
from confluent_kafka import Producer

from zerocopy_lab.commands.serve import _warn_of_an_open_door
from zerocopy_lab.network.server import ListenerSettings
from zerocopy_lab.running.running_broker import BrokerNotRunning, RunningBroker
from zerocopy_lab.transfer import make

REQUIRING = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
REQUIRING.verify_mode = ssl.CERT_REQUIRED
ASKING = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ASKING.verify_mode = ssl.CERT_OPTIONAL


@pytest.mark.parametrize(
    ("protocol", "tls", "host", "is_said"),
    [
        ("PLAINTEXT", None, "0.0.0.0", True),
        ("PLAINTEXT", None, "192.0.2.1", True),
        ("PLAINTEXT", None, "::", True),
        ("PLAINTEXT", None, "127.0.0.1", False),
        ("PLAINTEXT", None, "::1", False),
        ("SSL", ASKING, "0.0.0.0", True),
        ("SSL", REQUIRING, "0.0.0.0", False),
        ("SASL_PLAINTEXT", None, "0.0.0.0", False),
        ("SASL_SSL", ASKING, "0.0.0.0", False),
    ],
)
def test_a_door_without_a_password_is_said_aloud(
    protocol: str,
    tls: ssl.SSLContext | None,
    host: str,
    is_said: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = ListenerSettings(protocol, host, 9092, lambda: make("sendfile"), tls)
    with caplog.at_level(logging.WARNING):
        _warn_of_an_open_door(listener, host, 9092)
    assert (f"{host}:9092 may read, write and delete" in caplog.text) is is_said


def test_the_plain_listener_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("alice:secret\n")
    options = ["--no-plaintext", "--listen", "SASL_PLAINTEXT://127.0.0.1:0"]
    options += ["--sasl-users", str(tmp_path / "users")]
    with RunningBroker(options=options) as broker:
        producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.username": "alice",
                "sasl.password": "secret",
            }
        )
        brokers = producer.list_topics(timeout=20).brokers.values()
        assert [f"{one.host}:{one.port}" for one in brokers] == [broker.bootstrap]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--no-plaintext"], "leaves no listener"),
        (["--listen", "SASL_PLAINTEXT://127.0.0.1:0"] * 2, "one listener for each protocol"),
    ],
)
def test_doors_that_make_no_sense_stop_the_start(options: list[str], says: str) -> None:
    with pytest.raises(BrokerNotRunning) as caught, RunningBroker(options=options):
        pass
    assert says in str(caught.value)
