"""The connection's states: the table, the diagram that explains it, and what an end lets go of."""

from __future__ import annotations

import gc
import re
import socket
import weakref
from pathlib import Path

import pytest

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.network import connection as module
from zerocopy_lab.network.connection import (
    INTEREST,
    TRANSITIONS,
    Connection,
    Event,
    State,
    Surroundings,
)
from zerocopy_lab.network.inbox import ReceiveBuffers, RequestMemory
from zerocopy_lab.network.outbox import CALL_BYTES, TURN_BYTES, Outbox
from zerocopy_lab.network.quotas import Limits
from zerocopy_lab.network.reactor import READ, WRITE, Reactor
from zerocopy_lab.protocol.framing import Client, Now, Reply, framed
from zerocopy_lab.protocol.later import Later
from zerocopy_lab.transfer import make
from zerocopy_lab.transfer.connections import connected_pair

SELECTOR = {"read": READ, "write": WRITE, "-": None}


def test_the_diagram_shows_the_table() -> None:
    table: dict[tuple[State, Event], State] = {}
    interest: dict[State, int | None] = {}
    state = State.CLOSED
    for line in (module.__doc__ or "").splitlines():
        begins = re.match(r" {4}([a-z]+) {2,}.*? {2,}(read|write|-) {2,}", line)
        if begins:
            state = State[begins[1].upper()]
            interest[state] = SELECTOR[begins[2]]
        before, arrow, after = line.partition(" --> ")
        if arrow and after != "state":
            event = re.split(" {2,}", before.strip())[-1]
            table[state, Event[event.replace(" ", "_").upper()]] = State[after.upper()]
    assert table == TRANSITIONS
    assert interest == {each: INTEREST.get(each) for each in State if each is not State.CLOSED}


def test_every_state_can_be_reached_and_left() -> None:
    assert {after for _, after in TRANSITIONS.items()} == set(State) - {State.CLOSED}
    assert {before for before, _ in TRANSITIONS} == set(State) - {State.CLOSED}


class Alone:
    """One connection whose reactor is turned by hand."""

    def __init__(self, reply: Reply, buffer_bytes: int | None = None) -> None:
        self.reactor = Reactor()
        self.pair = connected_pair("tcp", buffer_bytes)
        self.pair.sender.setblocking(False)
        self.closed: list[bool] = []
        shared = Surroundings(
            self.reactor,
            ReceiveBuffers(RequestMemory(1 << 20)),
            lambda frame, client: reply,
            Limits(),
            lambda _: self.closed.append(True),
        )
        client = Client(1, "127.0.0.1", 4711)
        self.connection: Connection | None = Connection(
            self.pair.sender, client, make("sendfile"), shared
        )

    def turn(self) -> None:
        """One round of the reactor."""
        self.reactor.call_soon(self.reactor.stop)
        self.reactor._stopping = False
        self.reactor.run()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("state", [State.READING, State.WAITING, State.SENDING])
def test_an_end_lets_go_of_everything_without_a_collector(state: State, tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(bytes(32 << 20))
    file = OpenFile.open(path)
    fd = file.fd
    reply: Reply = Now([b"head", FileSlice(file, 0, 32 << 20)])
    abandoned: list[bool] = []
    if state is State.WAITING:
        reply = Later(on_abandon=lambda: abandoned.append(True))
    del file
    alone = Alone(reply, buffer_bytes=16_384)
    reply = None  # type: ignore[assignment]
    connection = alone.connection
    assert connection is not None
    if state is not State.READING:
        alone.pair.receiver.sendall(framed(b"request"))
        while connection.state is State.READING:
            alone.turn()
    assert connection.state is state
    is_held = weakref.ref(connection)
    connection._shared.__dict__["handler"] = None  # it held the reply
    connection._handler = None  # type: ignore[assignment]
    alone.connection = None
    alone.pair.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    alone.pair.receiver.close()
    del connection
    while not alone.closed:
        alone.turn()
    assert abandoned == [True] * (state is State.WAITING)
    assert is_held() is None, gc.get_referrers(is_held())
    assert not Path(f"/proc/self/fd/{fd}").is_file()
    alone.reactor.close()


def test_a_response_of_many_pieces_gives_the_others_their_turn() -> None:
    with connected_pair("tcp") as pair:
        pair.sender.setblocking(True)
        outbox = Outbox(pair.sender, make("sendfile"))
        calls = TURN_BYTES // CALL_BYTES
        outbox.put([b"x"] * (calls + 1))
        assert not outbox.drain()
        assert outbox.sent_bytes == calls
        assert outbox.drain()
