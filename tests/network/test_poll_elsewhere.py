"""The reactor on a system without epoll(7)."""

from __future__ import annotations

import select
import socket

import pytest

from tests.network.conftest import serving
from zerocopy_lab.network.poll_elsewhere import PollElsewhere
from zerocopy_lab.protocol.framing import Client, Now, Reply, framed


def test_a_network_serves_by_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests, an answer larger than the socket's buffer, and an end."""
    monkeypatch.delattr(select, "epoll", raising=False)

    def answer(frame: memoryview, _client: Client) -> Reply:
        return Now([framed(bytes(frame) * 100)])

    with serving(answer, send_buffer_bytes=16_384) as server:
        assert type(server.reactor._poll) is PollElsewhere
        with socket.create_connection((server.host, server.port), timeout=10) as client:
            for length in (1, 4000, 40_000):
                frame = b"x" * length
                client.sendall(framed(frame))
                expected = 4 + 100 * length
                came = client.recv(4, socket.MSG_WAITALL)
                while len(came) < expected:
                    came += client.recv(1 << 20)
                assert came == framed(frame * 100)
                assert server.counters().would_blocks or length == 1
