"""Whoever is ready in one turn of the reactor is answered at its end, all of them together."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from zerocopy_lab.network import reactor as module
from zerocopy_lab.network.connection import Connection, State, Surroundings
from zerocopy_lab.network.inbox import ReceiveBuffers, RequestMemory
from zerocopy_lab.network.quotas import Limits
from zerocopy_lab.network.reactor import Reactor
from zerocopy_lab.protocol.framing import Client, Now, Reply, framed
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.transfer import make
from zerocopy_lab.transfer.connections import Pair, connected_pair, is_ready

PATIENCE_S = 10.0


class Crowd:
    """Connections whose reactor is turned by hand; each request is its own answer."""

    def __init__(self, size: int, until_the_end: ExitStack) -> None:
        self.reactor = Reactor()
        self.memory = RequestMemory(64 << 20)
        self.pairs: list[Pair] = []
        self.connections: list[Connection] = []
        self.handled: list[int] = []
        self.answer: Callable[[bytes], Reply] = lambda frame: Now([framed(frame)])
        shared = Surroundings(
            self.reactor, ReceiveBuffers(self.memory), self._handle, Limits(), lambda _: None
        )
        for number in range(size):
            pair = until_the_end.enter_context(connected_pair("tcp"))
            pair.sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair.sender.setblocking(False)
            pair.receiver.settimeout(PATIENCE_S)
            client = Client(number, "127.0.0.1", 4711)
            self.pairs.append(pair)
            self.connections.append(Connection(pair.sender, client, make("sendfile"), shared))

    def _handle(self, frame: memoryview, client: Client) -> Reply:
        self.handled.append(client.id)
        return self.answer(bytes(frame))

    def ask(self, number: int, *requests: bytes) -> None:
        """Sends, and returns when the reactor can see it."""
        pair = self.pairs[number]
        pair.receiver.sendall(b"".join(map(framed, requests)))
        assert is_ready(PATIENCE_S, read=[pair.sender])

    def sent_bytes(self) -> list[int]:
        """To each connection so far."""
        return [connection.outbox.sent_bytes for connection in self.connections]

    def receives(self, number: int, *answers: bytes) -> None:
        """Exactly these come, and nothing else is on its way."""
        expected = b"".join(map(framed, answers))
        assert self.connections[number].outbox.sent_bytes == len(expected)
        received = b""
        while len(received) < len(expected):
            came = self.pairs[number].receiver.recv(len(expected) - len(received))
            assert came, "hung up"
            received += came
        assert received == expected

    def turn(self) -> None:
        """One turn of the reactor, and what was left for its end."""
        self.reactor._stopping = False
        # Not stop(), whose knock at the reactor's own socket would make one more that is ready.
        self.reactor._soon.append(partial(setattr, self.reactor, "_stopping", True))
        self.reactor.run()

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.reactor.close()


@pytest.fixture
def crowd_of() -> Iterator[Callable[[int], Crowd]]:
    with ExitStack() as until_the_end:

        def make_crowd(size: int) -> Crowd:
            crowd = Crowd(size, until_the_end)
            until_the_end.callback(crowd.close)
            return crowd

        yield make_crowd


def test_all_are_handled_before_the_first_is_answered(crowd_of: Callable[[int], Crowd]) -> None:
    crowd = crowd_of(3)
    sent_meanwhile: list[list[int]] = []

    def answer(frame: bytes) -> Reply:
        sent_meanwhile.append(crowd.sent_bytes())
        return Now([framed(frame)])

    crowd.answer = answer
    for number in range(3):
        crowd.ask(number, b"question %d" % number)
    crowd.turn()
    assert sent_meanwhile == [[0, 0, 0]] * 3
    for number in range(3):
        crowd.receives(number, b"question %d" % number)


def test_who_is_alone_does_not_wait_for_the_end(crowd_of: Callable[[int], Crowd]) -> None:
    crowd = crowd_of(1)
    sent_by_the_end: list[int] = []
    crowd.reactor._soon.append(lambda: sent_by_the_end.extend(crowd.sent_bytes()))
    crowd.ask(0, b"first", b"second")
    crowd.turn()
    assert sent_by_the_end == [len(framed(b"first") + framed(b"second"))]
    crowd.receives(0, b"first", b"second")


def test_nobody_is_left_out_of_turns_that_are_full(crowd_of: Callable[[int], Crowd]) -> None:
    """Those who ask again and again do not keep the others waiting."""
    size = 3 * module._TURN_SOCKETS
    crowd = crowd_of(size)
    for number in range(size):
        crowd.ask(number, b"question")
    for _ in range(3):
        for number in crowd.handled:  # they are ready again
            crowd.ask(number, b"question")
        crowd.turn()
    assert set(crowd.handled) == set(range(size))


def test_one_request_after_the_other_all_the_same(crowd_of: Callable[[int], Crowd]) -> None:
    """Each of a client's requests is answered before its next is handled."""
    crowd = crowd_of(3)
    unsent: list[list[int]] = []

    def answer(frame: bytes) -> Reply:
        unsent.append([len(connection.outbox._pieces) for connection in crowd.connections])
        return Now([framed(frame)])

    crowd.answer = answer
    requests = [b"question %d" % number for number in range(50)]
    for number in range(3):
        crowd.ask(number, *requests)
    crowd.turn()
    assert max(map(max, unsent)) == 1
    for number, client in enumerate(crowd.connections):
        crowd.receives(number, *requests)
        assert client.state is State.READING


def test_a_large_request_gives_its_memory_back_before(crowd_of: Callable[[int], Crowd]) -> None:
    """All of a turn would hold a buffer each, and the next one would have none."""
    crowd = crowd_of(3)
    lent_bytes: list[int] = []

    def answer(frame: bytes) -> Reply:
        lent_bytes.append(crowd.memory.lent_bytes)
        return Now([framed(b"answer")])

    crowd.answer = answer
    for number in range(3):
        crowd.ask(number, bytes(100_000))
    while len(crowd.handled) < 3:
        crowd.turn()
    assert max(lent_bytes) < 3 * 100_000
    assert crowd.memory.lent_bytes == 0


def test_who_is_closed_before_the_end_of_the_turn_gets_nothing(
    crowd_of: Callable[[int], Crowd],
) -> None:
    crowd = crowd_of(3)
    for number in range(3):
        crowd.ask(number, b"question")
    crowd.reactor.call_soon(lambda: crowd.connections[0].close("for a test"))
    crowd.turn()
    assert sorted(crowd.handled) == [0, 1, 2]
    assert crowd.sent_bytes()[0] == 0
    for number in (1, 2):
        crowd.receives(number, b"question")


def test_answers_that_come_later_keep_their_order(crowd_of: Callable[[int], Crowd]) -> None:
    """What a client sent behind a request that waits is handled after its answer."""
    crowd, later = crowd_of(3), Later()

    def answer(frame: bytes) -> Reply:
        return later if frame == b"wait" else Now([framed(frame)])

    crowd.answer = answer
    crowd.ask(0, b"before", b"wait", b"behind")
    for number in (1, 2):
        crowd.ask(number, b"other")
    crowd.turn()
    assert crowd.connections[0].state is State.WAITING
    assert crowd.sent_bytes() == [len(framed(b"before")), *[len(framed(b"other"))] * 2]
    later.complete(Now([framed(b"at last")]))
    for number in (1, 2):
        crowd.ask(number, b"other")
    crowd.turn()
    crowd.receives(0, b"before", b"at last", b"behind")
    for number in (1, 2):
        crowd.receives(number, b"other", b"other")
