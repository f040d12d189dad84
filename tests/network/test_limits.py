"""Limits: what happens to those who go beyond them, and that nobody else notices."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import AbstractContextManager, suppress

import pytest

from tests.network.conftest import serving
from zerocopy_lab import transfer
from zerocopy_lab.network.inbox import RequestMemory
from zerocopy_lab.network.quotas import ConnectionQuotas, Limits
from zerocopy_lab.network.server import ListenerSettings, NetworkServer
from zerocopy_lab.network.tls import TlsSocket
from zerocopy_lab.protocol.framing import Client, Now, Reply
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.transfer.anonymous_tls import anonymous_contexts

LARGE_BYTES = 100_000  # of a frame that does not fit in a connection's small buffer


class HeldAnswers:
    """Answers every frame with its length; never, when it says "wait"; with so many bytes, when it
    says "much".
    """

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)

    def __call__(self, frame: memoryview, client: Client) -> Reply:
        if bytes(frame) == b"wait":
            self.waiting.release()
            return Later(on_abandon=self.waiting.release)
        if bytes(frame).startswith(b"much"):
            return Now([b"x" * int(frame[4:])])
        return Now([struct.pack(">ii", 4, len(frame))])


def limited(**limits: int) -> AbstractContextManager[NetworkServer]:
    """A network with these limits."""
    return serving(HeldAnswers(), limits=Limits(**limits))


def limited_behind(
    listener: ListenerSettings, **limits: int
) -> AbstractContextManager[NetworkServer]:
    """The same with this door and no other."""
    doors = {"plaintext": False, "more_listeners": (listener,)}
    return serving(HeldAnswers(), limits=Limits(**limits), **doors)


def connect(server: NetworkServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=20)


def frame(length: int) -> bytes:
    return struct.pack(">i", length) + b"x" * length


def answered(client: socket.socket) -> int:
    """The length that the server has received, or -1 when it has hung up."""
    try:
        answer = client.recv(8, socket.MSG_WAITALL)
    except ConnectionResetError:
        return -1
    return struct.unpack(">ii", answer)[1] if answer else -1


def test_connections_beyond_the_limit_are_closed_and_room_is_given_back() -> None:
    with limited(max_connections=2) as server:
        first, second = connect(server), connect(server)
        for client in (first, second):
            client.sendall(frame(1))
            assert answered(client) == 1
        with connect(server) as third:
            assert answered(third) == -1
        first.close()
        while True:  # until the server has noticed
            with connect(server) as fourth:
                fourth.sendall(frame(2))
                if answered(fourth) == 2:
                    break
        second.sendall(frame(3))
        assert answered(second) == 3
        assert server.counters().connections_refused["max.connections"] >= 1
        second.close()


def test_connections_of_one_address_have_a_limit_of_their_own() -> None:
    quotas = ConnectionQuotas(Limits(max_connections=3, max_connections_per_ip=2))
    assert [quotas.admit("a"), quotas.admit("a")] == [None, None]
    assert quotas.admit("a") == "max.connections.per.ip=2"
    assert quotas.admit("b") is None
    assert quotas.admit("c") == "max.connections=3"
    quotas.release("a")
    assert quotas.admit("c") is None


def test_who_says_nothing_is_disconnected_who_waits_for_us_is_not() -> None:
    with limited(connections_max_idle_ms=300) as server:
        idle, waiting = connect(server), connect(server)
        waiting.sendall(struct.pack(">i", 4) + b"wait")
        assert answered(idle) == -1
        waiting.settimeout(0.5)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        assert server.counters().connections_cut_off == {"connections.max.idle.ms": 1}
        waiting.close()
        idle.close()


def test_a_request_that_trickles_in_is_cut_off() -> None:
    with limited(request_arrival_max_ms=300, connections_max_idle_ms=60_000) as server:
        with connect(server) as slow:
            slow.settimeout(0.02)
            try:
                slow.sendall(frame(LARGE_BYTES)[:-1000])
                while True:
                    slow.sendall(b"x")  # far too slowly for a thousand bytes in 0.3 s
                    try:
                        if not slow.recv(1):
                            break
                    except TimeoutError:
                        continue
            except (BrokenPipeError, ConnectionResetError):
                pass  # cut off: what is expected
        assert server.counters().connections_cut_off == {"request.arrival.max.ms": 1}


def test_large_requests_wait_for_memory_and_small_ones_do_not() -> None:
    with limited(queued_max_request_bytes=2 * LARGE_BYTES) as server:
        clients = [connect(server) for _ in range(5)]
        for client in clients:
            client.sendall(frame(LARGE_BYTES)[: LARGE_BYTES // 2])
        with connect(server) as small:
            small.sendall(frame(7))
            assert answered(small) == 7
        while server.counters().requests_without_memory < 3:
            assert answered_after_a_small_request(server) == 1
        for client in clients:
            client.sendall(frame(LARGE_BYTES)[LARGE_BYTES // 2 :])
        assert [answered(client) for client in clients] == [LARGE_BYTES] * 5
        for client in clients:
            client.close()


def answered_after_a_small_request(server: NetworkServer) -> int:
    with connect(server) as client:
        client.sendall(frame(1))
        return answered(client)


def test_who_hangs_up_while_it_waits_for_memory_leaves_the_queue() -> None:
    memory = RequestMemory(100)
    granted: list[str] = []

    def first() -> None:
        granted.append("first")

    def second() -> None:
        granted.append("second")

    assert memory.take(80, first)
    assert not memory.take(80, first)
    assert not memory.take(20, second)
    memory.leave_queue(80, first)
    assert granted == ["second"]
    memory.give_back(20)
    memory.give_back(80)
    assert memory.lent_bytes == 0


def test_who_hangs_up_as_its_turn_comes_gives_the_memory_to_the_next() -> None:
    memory = RequestMemory(100)
    granted: list[str] = []
    assert memory.take(100, lambda: None)
    late = lambda: granted.append("late")  # noqa: E731
    assert not memory.take(100, late)
    assert not memory.take(50, lambda: granted.append("next"))
    memory.give_back(100)
    assert granted == ["late"]
    memory.leave_queue(100, late)
    assert granted == ["late", "next"]
    memory.give_back(50)
    assert memory.lent_bytes == 0


def test_a_request_larger_than_all_memory_comes_in_alone() -> None:
    memory = RequestMemory(100)
    assert memory.take(1000, lambda: None)
    assert not memory.take(1, lambda: None)
    memory.give_back(1000)
    assert memory.lent_bytes == 1


@pytest.mark.parametrize("most_bytes", [524_288, 100_000])
def test_who_has_not_said_who_it_is_has_little_to_say(
    most_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler here authenticates nobody; 512 KiB are Kafka's default."""
    door = ListenerSettings("SASL_PLAINTEXT", "127.0.0.1", 0, lambda: transfer.make("sendfile"))
    given = {} if most_bytes == 524_288 else {"sasl_server_max_receive_size": most_bytes}
    with limited_behind(door, **given) as server:
        with connect(server) as client:
            client.sendall(frame(most_bytes))
            assert answered(client) == most_bytes
        with connect(server) as client:
            client.sendall(struct.pack(">i", most_bytes + 1))  # what it announces is enough
            assert answered(client) == -1
    assert f"over sasl.server.max.receive.size={most_bytes}" in caplog.text


def test_a_handshake_that_does_not_end_is_cut_off() -> None:
    context, _ = anonymous_contexts()
    context.sslsocket_class = TlsSocket
    door = ListenerSettings(
        "SSL", "127.0.0.1", 0, lambda: transfer.make("encrypt_then_send"), context
    )
    with limited_behind(door, request_arrival_max_ms=300) as server:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of a ClientHello of 512 bytes
        for said in (b"", hello):
            with connect(server) as half_open:
                half_open.sendall(said)
                assert answered(half_open) == -1
        assert server.counters().connections_cut_off == {"request.arrival.max.ms": 2}


def test_a_handshake_that_has_ended_is_no_request() -> None:
    server_side, client_side = anonymous_contexts()
    server_side.sslsocket_class = TlsSocket
    door = ListenerSettings(
        "SSL", "127.0.0.1", 0, lambda: transfer.make("encrypt_then_send"), server_side
    )
    limits = {"request_arrival_max_ms": 200, "connections_max_idle_ms": 60_000}
    with limited_behind(door, **limits) as server:
        with connect(server) as plain, client_side.wrap_socket(plain) as client:
            with connect(server) as half_open:  # outlives the limit
                assert answered(half_open) == -1
            client.sendall(frame(7))
            assert struct.unpack(">ii", client.recv(8))[1] == 7
        assert server.counters().connections_cut_off == {"request.arrival.max.ms": 1}


def test_who_leaves_the_most_answers_unread_is_cut_off() -> None:
    """Records wait in their file; other answers do so in memory."""
    with limited(queued_max_response_bytes=20 << 20, connections_max_idle_ms=-1) as server:
        few, most = connect(server), connect(server)
        with few, most:
            for client, much in ((few, b"much%d" % (12 << 20)), (most, b"much%d" % (24 << 20))):
                client.sendall(struct.pack(">i", len(much)) + much)
            with suppress(ConnectionResetError):
                while server.counters().connections_cut_off != {"queued.max.response.bytes": 1}:
                    most.recv(1, socket.MSG_PEEK)
            assert received_bytes(most, 24 << 20) < 24 << 20
            assert received_bytes(few, 12 << 20) == 12 << 20


def received_bytes(client: socket.socket, most_bytes: int) -> int:
    """How many came, until those or the end of the connection."""
    received = 0
    with suppress(ConnectionResetError):
        while received < most_bytes and (chunk := client.recv(1 << 20)):
            received += len(chunk)
    return received
