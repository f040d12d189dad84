"""Which congestion control a connection from this machine gets."""

from __future__ import annotations

import logging
import socket

import pytest

from tests.network.conftest import serving
from zerocopy_lab.network import loopback
from zerocopy_lab.network import server as network_server
from zerocopy_lab.network.loopback import congestion_control, is_here, unpaced_control
from zerocopy_lab.network.server import THE_SYSTEMS, NetworkServer
from zerocopy_lab.protocol.framing import Client, Now, Reply, framed

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_CONGESTION"), reason="this system has one congestion control"
)


def echo(frame: memoryview, _client: Client) -> Reply:
    return Now([framed(bytes(frame))])


def control_of_a_connection(server: NetworkServer) -> str:
    """What the server's end of a new connection has once it has answered."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(framed(b"x"))
        assert client.recv(5, socket.MSG_WAITALL) == framed(b"x")
        (connection,) = server.connections()
        return congestion_control(connection._sock)


def systems() -> str:
    with socket.socket() as sock:
        return congestion_control(sock)


@pytest.fixture
def a_pacing_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it has is taken for one that paces."""
    monkeypatch.setattr(loopback, "_PACING", (systems(),))
    if unpaced_control() is None:
        pytest.skip(f"{systems()} is all that may be chosen here")


@pytest.mark.usefixtures("a_pacing_system")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_where_the_system_paces_peers_here_get_another_one(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), serving(echo, host=host) as server:
        assert control_of_a_connection(server) in {"cubic", "reno"} - {systems()}
    assert sum("peers on this machine" in message for message in caplog.messages) == 1


@pytest.mark.usefixtures("a_pacing_system")
def test_peers_elsewhere_have_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_server, "is_here", lambda _: False)
    with serving(echo) as server:
        assert control_of_a_connection(server) == systems()


@pytest.mark.usefixtures("a_pacing_system")
def test_the_setting_leaves_the_systems() -> None:
    with serving(echo, congestion_control=THE_SYSTEMS) as server:
        assert control_of_a_connection(server) == systems()


@pytest.mark.usefixtures("a_pacing_system")
def test_a_name_is_for_everybody() -> None:
    with serving(echo, congestion_control="reno") as server:
        assert control_of_a_connection(server) == "reno"


def test_a_system_that_does_not_pace_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "congestion_control", lambda _: "cubic")
    assert unpaced_control() is None


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("fe80::1%lo", False),
    ],
)
def test_who_is_on_this_machine(host: str, here: bool) -> None:
    assert is_here(host) is here
