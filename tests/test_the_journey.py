"""The journey of one byte is short, and the map of it tells the truth.

One plain Produce and one plain Fetch go through a real socket while a profile function writes down
every call. The files that ran are those that `zerocopy_lab.JOURNEY` names, in whatever order they
are read there; together they stay short enough for an afternoon, and the reader who follows the
calls turns from file to file only so often.
"""

from __future__ import annotations

import itertools
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest

import zerocopy_lab
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.broker_thread import BrokerThread

PACKAGE = Path(zerocopy_lab.__file__).parent
NETWORK_THREAD = "broker"
MOST_FILES = 20
MOST_LINES = 3200
MOST_MOVES = {"produce": 30, "fetch": 18}
RECORDS = [Record(number, 1_700_000_000_000, None, b"x" * 900) for number in range(10)]


class Call(NamedTuple):
    """One function call, by the package's files."""

    caller: str
    callee: str
    function: str


class Tracer:
    """Writes down the calls of a broker's network thread while `calls` is a list."""

    def __init__(self) -> None:
        self.calls: list[Call] | None = None

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Handed to the interpreter; see sys.setprofile."""
        if self.calls is None or event != "call" or frame.f_back is None:
            return
        caller, callee = (_place(f.f_code.co_filename) for f in (frame.f_back, frame))
        if callee and threading.current_thread().name == NETWORK_THREAD:
            self.calls.append(Call(caller, callee, frame.f_code.co_qualname))


def _place(filename: str) -> str:
    path = Path(filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else ""


def trace() -> dict[str, list[Call]]:
    """The calls of a Produce of 9 KiB and of the Fetch of the same bytes."""
    tracer = Tracer()
    before = threading.getprofile()
    threading.setprofile(tracer)
    try:
        with BrokerThread() as running, Wire(running.server.host, running.server.port) as wire:
            assert wire.ask_for_topic("flights") == 0
            frames = {
                "produce": produce_frame(wire, "flights", 0, build_batch(RECORDS)),
                "fetch": fetch_frame(wire, "flights", 0, 0),
            }
            return {  # of five, since the ticks of housekeeping do not fall into all of them
                name: min((_calls_of(tracer, running, wire, frame) for _ in range(5)), key=len)
                for name, frame in frames.items()
            }
    finally:
        threading.setprofile(before)


def _calls_of(tracer: Tracer, running: BrokerThread, wire: Wire, frame: bytes) -> list[Call]:
    """What the network thread calls from the arrival of a request until it sleeps again."""
    is_over = threading.Event()

    def end() -> None:
        tracer.calls = None
        is_over.set()

    calls: list[Call] = []
    tracer.calls = calls
    wire.send_frame(frame)
    wire.receive_frame()
    running.server.reactor.call_soon(end)
    assert is_over.wait(10)
    while calls and calls[-1].callee == "network/reactor.py":  # our own knock at the door
        calls.pop()
    assert calls, "the network thread was not traced"
    return calls


@pytest.fixture(scope="module")
def journeys() -> dict[str, list[Call]]:
    """Both journeys, travelled once for all tests."""
    return trace()


def core(journeys: dict[str, list[Call]]) -> set[str]:
    """The files that ran, callers included."""
    calls = itertools.chain(*journeys.values())
    return {place for call in calls for place in (call.caller, call.callee) if place}


def moves(calls: list[Call]) -> int:
    """How often the next function called stands in another file than the one before."""
    return sum(one.callee != other.callee for one, other in itertools.pairwise(calls))


def lines(places: set[str]) -> int:
    """Lines of these files, blank ones and comments included: all of it is read."""
    return sum(len((PACKAGE / place).read_text(encoding="utf-8").splitlines()) for place in places)


def test_the_map_names_the_files_that_run(journeys: dict[str, list[Call]]) -> None:
    """No stop is left out, and none is on the map that nothing passes."""
    assert core(journeys) == set(zerocopy_lab.JOURNEY)
    assert len(zerocopy_lab.JOURNEY) == len(set(zerocopy_lab.JOURNEY))


def test_the_core_is_read_in_an_afternoon(journeys: dict[str, list[Call]]) -> None:
    """Few files, few lines."""
    places = core(journeys)
    assert len(places) <= MOST_FILES, sorted(places)
    assert lines(places) <= MOST_LINES, sorted((lines({place}), place) for place in places)


@pytest.mark.parametrize("request_name", MOST_MOVES)
def test_the_reader_seldom_turns_to_another_file(
    journeys: dict[str, list[Call]], request_name: str
) -> None:
    """Calls follow each other within a file."""
    calls = journeys[request_name]
    shown = "\n".join(f"{call.caller} -> {call.callee} {call.function}" for call in calls)
    assert moves(calls) <= MOST_MOVES[request_name], shown


if __name__ == "__main__":  # the figures, for whoever shortens the journey; -v shows the calls
    seen = trace()
    for name, calls in seen.items():
        places = core({name: calls})
        print(f"{name}: {len(places)} files, {lines(places)} lines, {len(calls)} calls,", end=" ")
        print(f"{moves(calls)} moves (at most {MOST_MOVES[name]})")
        for call in calls if "-v" in sys.argv else ():
            print(f"  {call.caller} -> {call.callee} {call.function}")
    print(*(f"{lines({place}):5} {place}" for place in sorted(core(seen))), sep="\n")
    print(f"{lines(core(seen)):5} in {len(core(seen))} files")
