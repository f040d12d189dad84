"""Hostile or merely many clients: memory stays within limits, and the others are answered."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import time
from collections.abc import Iterator

import psutil
import pytest

from ci.attacks.hostile import _bomb, _connect, _produce, _receive
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker

QUEUED_BYTES = 64 << 20
#: What the broker holds itself, and what arrives in it at once.
LIMIT_BYTES = (120 << 20) + QUEUED_BYTES
CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, INVALID_RECORD = 2, 10, 87


@pytest.fixture
def broker() -> Iterator[RunningBroker]:
    options = ["--set", f"queued.max.request.bytes={QUEUED_BYTES}", "--log-level", "warning"]
    with RunningBroker(options=options) as broker:
        yield broker
        assert "Traceback" not in broker.log_path.read_text()


def is_answered(broker: RunningBroker) -> bool:
    """Whether a new client can produce."""
    with _connect((broker.host, broker.port)) as sock:
        sock.sendall(_produce("healthy", build_batch([Record(0, 0, b"k", b"v")])))
        return error_code(_receive(sock)) == 0


def error_code(answer: bytes) -> int:
    _, response = messages.decode_response(ApiKey.produce, 7, memoryview(answer))
    return int(response.responses[0].partition_responses[0].error_code)


def memory_bytes(broker: RunningBroker) -> int:
    return int(psutil.Process(broker.pid).memory_info().rss)


@pytest.fixture(autouse=True)
def _topics(broker: RunningBroker) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    packed = NewTopic("packed", 1, 1, config={"compression.type": "gzip"})
    for future in admin.create_topics([NewTopic("healthy", 1, 1), packed]).values():
        future.result(30)


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_two_thousand_idle_connections(broker: RunningBroker) -> None:
    before_bytes = memory_bytes(broker)
    with contextlib.ExitStack() as crowd:
        for _ in range(2000):
            crowd.enter_context(_connect((broker.host, broker.port)))
        assert is_answered(broker)
        assert psutil.Process(broker.pid).num_fds() > 2000
        per_connection_bytes = (memory_bytes(broker) - before_bytes) / 2000
        assert per_connection_bytes < 20_000
    deadline_s = time.monotonic() + 30
    while psutil.Process(broker.pid).num_fds() > 100:
        assert time.monotonic() < deadline_s, "connections that ended are still held"
        assert is_answered(broker)


@pytest.mark.usefixtures("many_files")
def test_a_thousand_that_announce_much_and_send_little(broker: RunningBroker) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(1000):
            sock = crowd.enter_context(_connect((broker.host, broker.port)))
            sock.sendall(struct.pack(">i", 90 << 20) + b"slowly")
        for _ in range(20):
            assert is_answered(broker)
        assert memory_bytes(broker) < LIMIT_BYTES


@pytest.mark.parametrize("length", [(1 << 31) - 1, -(1 << 31), -1, 0x47455420])
def test_an_impossible_length_ends_the_connection(broker: RunningBroker, length: int) -> None:
    with _connect((broker.host, broker.port)) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(struct.pack(">i", length) + bytes(1 << 20))
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    assert is_answered(broker)
    assert memory_bytes(broker) < LIMIT_BYTES


def test_large_requests_of_many_share_a_limited_memory(broker: RunningBroker) -> None:
    length = 40 << 20
    with contextlib.ExitStack() as crowd:
        socks = [crowd.enter_context(_connect((broker.host, broker.port))) for _ in range(10)]
        for sock in socks:
            sock.settimeout(0.01)
            sock.sendall(struct.pack(">i", length))
        for _ in range(length >> 20):
            for sock in socks:
                with contextlib.suppress(OSError):  # its turn has not come
                    sock.sendall(bytes(1 << 20))
        assert is_answered(broker)
        assert memory_bytes(broker) < LIMIT_BYTES


def test_a_compression_bomb(broker: RunningBroker) -> None:
    bomb = _produce("packed", _bomb())
    with _connect((broker.host, broker.port)) as sock:
        for _ in range(5):
            sock.sendall(bomb)
            assert error_code(_receive(sock)) in (
                CORRUPT_MESSAGE,
                MESSAGE_TOO_LARGE,
                INVALID_RECORD,
            )
            assert memory_bytes(broker) < LIMIT_BYTES
    assert is_answered(broker)


def test_a_million_groups_cannot_be_had_for_nothing(broker: RunningBroker) -> None:
    """Members that never come back are forgotten; until then they cost little."""
    before_bytes = memory_bytes(broker)
    types = messages.types_of(ApiKey.join_group, 4, "request")
    from datetime import timedelta

    with socket.create_connection((broker.host, broker.port), timeout=30) as sock:
        for number in range(2000):
            request = types.JoinGroupRequest(
                group_id=f"group-{number}",
                session_timeout=timedelta(seconds=6),
                rebalance_timeout=timedelta(seconds=6),
                member_id="",
                protocol_type="consumer",
                protocols=(types.JoinGroupRequestProtocol(name="range", metadata=b"m"),),
            )
            sock.sendall(messages.encode_request(4, number, "hostile", request))
            _receive(sock)
    assert (memory_bytes(broker) - before_bytes) / 2000 < 10_000
    assert is_answered(broker)
