"""Where the rungs of lab 12 are raced: brokers, topics, one process that makes the loads, and
rounds in which each way takes its turn, in shuffled order.

    ladder = measure("zerocopy_lab", lab)         ours; "kafka"; HOST:PORT
    ladder = measure("zerocopy_lab", lab, parts=lab.parts_dir)

One broker serves all ways but one: `read_then_send` is a broker's setting, so it has another. Each
topic is asked how it is set before anything is timed: a Kafka that flushes or repacks of its own
accord would be another contestant than the one that the lab talks about.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.lab import KAFKA, OURS, Lab
from zerocopy_lab.classroom.subject import Subject, about
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.lessons.lab12.orders import CLIENTS, Client, LoadRun, SeenBroker
from zerocopy_lab.lessons.lab12.raced_topics import SIZES, SMALL, Amounts, Cell, RacedTopics
from zerocopy_lab.lessons.lab12.rungs import (
    ALL,
    BATCHING,
    DIRECTIONS,
    PLAIN,
    RUNGS,
    ZERO_COPY,
    Mechanism,
)
from zerocopy_lab.running.existing_cluster import AnyBroker, broker_for
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.running.tls_listener import TlsListener, self_signed, tls_listener

_WITH_LIBRDKAFKA: Final = (BATCHING, PLAIN, ZERO_COPY, ALL)


class Ladder(NamedTuple):
    """What was measured: runs of each cell, round by round; and what could not be, with reasons."""

    subject: Subject
    runs: Mapping[Cell, Sequence[LoadRun]]
    why_not: Mapping[str, str]
    """of rungs that this broker cannot be asked, by name"""

    def seconds(self, cell: Cell) -> list[float]:
        """Of the wall, a million messages."""
        return [1e6 * run.wall_s / run.messages for run in self.runs[cell]]

    def rates(self, cell: Cell) -> list[float]:
        """Messages a second."""
        return [run.messages / run.wall_s for run in self.runs[cell]]

    def broker_cpu_s(self, cell: Cell) -> list[float] | None:
        """Of the broker's processor, a million messages; None where it cannot be seen."""
        used = [run.broker.cpu_s / run.messages * 1e6 for run in self.runs[cell] if run.broker]
        return used if len(used) == len(self.runs[cell]) else None


def measure(
    which: str,
    lab: Lab,
    *,
    rungs: Sequence[Mechanism] = RUNGS,
    clients: Sequence[Client] = CLIENTS,
    sizes: Sequence[int] = SIZES,
    parts: Path | None = None,
) -> Ladder:
    """All rungs on the broker that BROKER names; with `parts`, on ours with these in their seats.

    Raises NotAsBelieved, NotDelivered, BrokerNotRunning.
    """
    amounts = _amounts(which, lab)
    with _stand(which, parts) as (broker, brokers), _loader() as loader, ExitStack() as stack:
        why_not = _why_not(rungs, brokers, which)
        there = [each for each in rungs if each.name not in why_not]
        cells = [cell for cell in _cells(there, clients, lab) if cell.message_bytes in sizes]
        topics = stack.enter_context(RacedTopics(broker, brokers, amounts, loader))
        runs: dict[Cell, list[LoadRun]] = {cell: [] for cell in cells}
        order = lab.random("order")
        for number in range(amounts.warm_ups + amounts.rounds):
            for cell in order.sample(cells, len(cells)):
                ran = topics.ask(cell)
                if number >= amounts.warm_ups:
                    runs[cell].append(ran)
            topics.forget_if_much()
        return Ladder(about(broker), runs, why_not)


def _amounts(which: str, lab: Lab) -> Amounts:
    warm_ups = 4 if which == KAFKA else 0  # a JVM compiles what it does often
    if lab.fast:
        return Amounts(3, warm_ups, 12_000_000, 400)
    return Amounts(7, warm_ups, 40_000_000, 1200)


def _cells(rungs: Sequence[Mechanism], clients: Sequence[Client], lab: Lab) -> Iterator[Cell]:
    """Each once. Who jumps is our client, with small messages; in fast mode librdkafka has these
    alone, and the rungs that change the client's work.
    """
    seen = set()
    for direction in DIRECTIONS:
        for rung in rungs:
            for way, client, size in itertools.product(rung.ways(direction) or (), clients, SIZES):
                cell = Cell(direction, client, size, way)
                small_alone = way.jumps or (lab.fast and client != "ours")
                ours_alone = way.jumps or (lab.fast and rung.name not in _WITH_LIBRDKAFKA)
                if cell in seen or (small_alone and size != SMALL):
                    continue
                if client == "ours" or not ours_alone:
                    seen.add(cell)
                    yield cell


# -- brokers ---------------------------------------------------------------------------------------

Stand = tuple[AnyBroker, dict[str, SeenBroker]]


@contextmanager
def _stand(which: str, parts: Path | None) -> Iterator[Stand]:
    """The broker that is judged, and by what name which one is asked: "", "copies"."""
    with ExitStack() as stack:
        listener = None
        if which in (OURS, KAFKA):
            scratch = stack.enter_context(ScratchDirectory("12"))
            with suppress(Unavailable):
                listener = tls_listener(self_signed(scratch.path))
        told: dict[str, Any] = dict(listener.for_the_broker) if listener else {}
        mine: dict[str, Any] = {"parts": parts} if parts else {}
        broker = broker_for(which, **told, **mine)
        with broker:
            brokers = {"": _seen(broker, listener)}
            if which == OURS:
                copying = RunningBroker(transfer="read_then_send", **mine)
                brokers["copies"] = _seen(stack.enter_context(copying), None)
            yield broker, brokers


def _seen(broker: AnyBroker, listener: TlsListener | None) -> SeenBroker:
    try:
        pid, data_dir = broker.pid, str(broker.data_dir)
    except Unavailable:
        return SeenBroker(broker.host, broker.port)
    if listener is None:
        return SeenBroker(broker.host, broker.port, None, None, pid, data_dir)
    return SeenBroker(broker.host, broker.port, listener.port, str(listener.pem), pid, data_dir)


def _why_not(
    rungs: Sequence[Mechanism], brokers: Mapping[str, SeenBroker], which: str
) -> dict[str, str]:
    """Rungs that cannot be asked of this broker."""
    reasons = {}
    for rung in rungs:
        ways = [way for direction in DIRECTIONS for way in rung.ways(direction) or ()]
        if any(way.copies for way in ways) and "copies" not in brokers:
            reasons[rung.name] = f"{which} has no setting for it; TLS takes it along"
        elif any(way.evicts for way in ways) and brokers[""].data_dir is None:
            reasons[rung.name] = "its files are not seen from here"
        elif any(way.tls for way in ways) and brokers[""].pem is None:
            reasons[rung.name] = (
                "no listener with TLS could be made (openssl, a broker of one's own)"
            )
    return reasons


@contextmanager
def _loader() -> Iterator[ProcessPoolExecutor]:
    """The process that makes the loads: nothing is timed inside a notebook's kernel."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as loader:
        yield loader
