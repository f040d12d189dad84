"""Many messages of one size, one call each, over a unix socket, TCP on the loopback, or a cable.

    costs = small_sends("veth", library, Plan((64, 1024), rounds=3))     # way -> size -> µs, rounds

The loops of `sending_loops`, in C where a library of them is given, in turns, over one connection;
a child takes in what comes, and only the sender's CPU counts. The cable is a veth pair between two
network namespaces (`card_test`).
On loopback and cable the kernel delivers a packet within the call that sent it, so that part of the
receiver's work is in the figures of every way alike.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from zerocopy_lab.measuring.another_python import ask_python
from zerocopy_lab.measuring.card_test import two_hosts
from zerocopy_lab.measuring.sending_loops import LOOPS, loop_in_c
from zerocopy_lab.transfer.connections import Pair, connected_pair

Over = Literal["tcp", "unix", "veth"]
WAYS: Final = ("read_and_send", "map_and_send", "only_sendfile")
_MOST_TURNS: Final = 5000
_MOST_BYTES: Final = 16 << 20
_TIMEOUT_S: Final = 120.0


class Plan(NamedTuple):
    """Sizes in bytes, how often, in which order."""

    sizes: tuple[int, ...]
    rounds: int
    seed: int = 1


Costs = dict[str, dict[int, list[float]]]
"""Way -> size in bytes -> CPU microseconds of a message, round by round."""


def small_sends(over: Over, library: Path | None, plan: Plan) -> Costs:
    """All WAYS at all sizes, in turns. Raises Unavailable where there can be no cable."""
    words = ["-m", __name__, over, str(library or ""), str(plan.rounds), str(plan.seed)]
    words += map(str, plan.sizes)
    said = ask_python(words, "--net" if over == "veth" else "", f"messages over {over}")
    return {
        way: {int(size): rounds for size, rounds in by_size.items()}
        for way, by_size in json.loads(said).items()
    }


# -- in a process of its own -----------------------------------------------------------------------


def _measured(over: Over, library: str, plan: Plan) -> Costs:
    costs: Costs = {way: {size: [] for size in plan.sizes} for way in WAYS}
    turns = [(way, size) for way in WAYS for size in plan.sizes]
    order = random.Random(plan.seed)
    with _connection(over) as pair, tempfile.TemporaryFile() as file:
        pair.sender.setblocking(True)  # the loops in C ask once
        file.write(bytes(_MOST_BYTES))
        file.flush()
        for number in range(plan.rounds + 1):  # the first warms up
            for way, size in order.sample(turns, len(turns)):
                took_us = _turn(pair, way, library, file.fileno(), size)
                if number:
                    costs[way][size].append(took_us)
    return costs


def _connection(over: Over) -> AbstractContextManager[Pair]:
    return two_hosts({}) if over == "veth" else connected_pair(over)


def _turn(pair: Pair, way: str, library: str, file: int, size: int) -> float:
    """CPU microseconds of one message. Raises OSError when not all arrived."""
    length = min(size * _MOST_TURNS, _MOST_BYTES) // size * size
    receiving = os.fork()
    if receiving == 0:
        _take_in(pair.receiver, length)
    loop = loop_in_c(library, way) if library else LOOPS[way]
    try:
        began_ns = time.process_time_ns()
        loop(pair.sender, file, length, size)
        took_ns = time.process_time_ns() - began_ns
    except OSError:
        os.kill(receiving, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(receiving, 0)
    if status:
        raise OSError(f"not all of {length} bytes arrived")
    return took_ns / 1000 / (length // size)


def _take_in(sock: socket.socket, length: int) -> None:
    """Never returns."""
    code = 1
    try:
        sock.settimeout(_TIMEOUT_S)
        while length:
            length -= len(sock.recv(min(length, 1 << 20)))
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    over, library, rounds, seed, *sizes = sys.argv[1:]
    plan = Plan(tuple(map(int, sizes)), int(rounds), int(seed))
    print(json.dumps(_measured(over, library, plan)))  # type: ignore[arg-type]
