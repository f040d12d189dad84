from __future__ import annotations

import socket

import pytest

from tests.instruments.conftest import needs_linux
from zerocopy_lab.instruments import network
from zerocopy_lab.instruments.network import (
    congestion_control_of,
    congestion_controls,
    network_cards,
)


@needs_linux
def test_a_socket_tells_what_was_set() -> None:
    default, loaded = congestion_controls()
    assert default in loaded
    with socket.socket() as sock:
        assert congestion_control_of(sock) == default
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        assert congestion_control_of(sock) == "reno"


def test_a_unix_socket_has_none() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert congestion_control_of(one) is None


def test_elsewhere_a_socket_has_none_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_CONGESTION", raising=False)
    with socket.socket() as sock:
        assert congestion_control_of(sock) is None


@needs_linux
def test_loopback_claims_every_feature_and_has_no_dma() -> None:
    loopback = next(card for card in network_cards() if card.name == "lo")
    assert loopback.dma == "none"
    assert loopback.driver is None
    assert loopback.features["tx-scatter-gather"]


def test_an_interface_that_is_not_there_has_no_features() -> None:
    assert network._features("nonexistent0") == {}
