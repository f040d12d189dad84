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
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from zerocopy_lab.classroom.lab import KAFKA, OURS, Lab
from zerocopy_lab.classroom.subject import Subject, about
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.lessons.lab12 import load
from zerocopy_lab.lessons.lab12.load import CLIENTS, Client, LoadOrder, LoadRun, SeenBroker
from zerocopy_lab.lessons.lab12.rungs import (
    ALL,
    AS_IT_COMES,
    BATCHING,
    DIRECTIONS,
    PLAIN,
    RUNGS,
    WHOLE,
    ZERO_COPY,
    Direction,
    Mechanism,
    WayToAsk,
)
from zerocopy_lab.running.broker_config import otherwise_set
from zerocopy_lab.running.existing_cluster import ExistingCluster, broker_for
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.running.tls_listener import TlsListener, self_signed, tls_listener
from zerocopy_lab.running.topic_admin import create_topic, delete_topic

SIZES: Final = (100, 1024)
SMALL: Final = SIZES[0]
_WITH_LIBRDKAFKA: Final = (BATCHING, PLAIN, ZERO_COPY, ALL)
_MUCH_BYTES: Final = 1 << 30
_SINGLE: Final = 9000
"""Messages in a log without batches: more than our broker remembers the places of."""


class Cell(NamedTuple):
    """What is asked: one figure of the ladder."""

    direction: Direction
    client: Client
    message_bytes: int
    way: WayToAsk


class Amounts(NamedTuple):
    """How much of it."""

    rounds: int
    warm_ups: int
    log_bytes: int
    singles: int

    def messages(self, cell: Cell) -> int:
        """In one run: what takes longer gets fewer."""
        repacks = "compression.type" in dict(cell.way.topic)
        if not cell.way.batched:
            return self.singles // (4 if repacks or cell.way.jumps else 1)
        half = 1 if cell.client == "ours" else 2  # librdkafka takes longer
        return self.log_bytes // cell.message_bytes // (8 if repacks else half)


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


class NotAsBelieved(RuntimeError):
    """The broker is set otherwise than the lab believes; each difference is a sentence."""


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
    with (
        _stand(which, parts) as (broker, brokers),
        _loader() as loader,
        ExitStack() as stack,
    ):
        why_not = _why_not(rungs, brokers, which)
        there = [each for each in rungs if each.name not in why_not]
        cells = [cell for cell in _cells(there, clients, lab) if cell.message_bytes in sizes]
        topics = stack.enter_context(_Topics(broker, brokers, amounts, loader))
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
    return Amounts(7, warm_ups + 1, 60_000_000, 4000)


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

Stand = tuple[RunningBroker | ExistingCluster, dict[str, SeenBroker]]


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


def _seen(broker: RunningBroker | ExistingCluster, listener: TlsListener | None) -> SeenBroker:
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


# -- topics ----------------------------------------------------------------------------------------


class _Topics:
    """Topics by what they are for: made, checked and filled when they are first asked for."""

    def __init__(
        self,
        broker: RunningBroker | ExistingCluster,
        brokers: Mapping[str, SeenBroker],
        amounts: Amounts,
        loader: ProcessPoolExecutor,
    ) -> None:
        self._brokers, self._amounts, self._loader = brokers, amounts, loader
        self._logs: dict[tuple[SeenBroker, str], int] = {}
        self._produced: dict[tuple[SeenBroker, str], int] = {}
        self._made: list[tuple[SeenBroker, str]] = []
        self._is_a_cluster = isinstance(broker, ExistingCluster)
        self._generation = time.time_ns() if self._is_a_cluster else 0  # among others' topics

    def ask(self, cell: Cell) -> LoadRun:
        """One run of it."""
        broker = self._brokers["copies" if cell.way.copies else ""]
        messages = self._amounts.messages(cell)
        if cell.direction == "produce":
            topic = self._topic(cell.way, cell.message_bytes, "in")
            if (broker, topic) not in self._produced:
                self._make(broker, topic, cell.way)
            order = LoadOrder(broker, cell.client, topic, cell.way, cell.message_bytes, messages)
            ran: LoadRun = self._loader.submit(load.produce, order).result()
            produced_bytes = ran.messages * cell.message_bytes
            self._produced[broker, topic] = self._produced.get((broker, topic), 0) + produced_bytes
            return ran
        topic, held = self._log(broker, cell)
        order = LoadOrder(broker, cell.client, topic, cell.way, cell.message_bytes, messages, held)
        return self._loader.submit(load.consume, order).result()

    def _log(self, broker: SeenBroker, cell: Cell) -> tuple[str, int]:
        """The topic that a way consumes, and how many messages it holds."""
        stored = cell.way._replace(copies=False, tls=False, evicts=False, jumps=False)
        topic = self._topic(stored, cell.message_bytes, "out")
        if (broker, topic) not in self._logs:
            self._make(broker, topic, stored)
            count = self._amounts.log_bytes // cell.message_bytes
            if not cell.way.batched:
                count = _SINGLE if cell.message_bytes == SMALL else self._amounts.singles
            filling = LoadOrder(broker, "ours", topic, stored, cell.message_bytes, count)
            self._logs[broker, topic] = self._loader.submit(load.produce, filling).result().messages
        return topic, self._logs[broker, topic]

    def _make(self, broker: SeenBroker, topic: str, way: WayToAsk) -> None:
        """With the way's settings, and no others. Raises NotAsBelieved."""
        bootstrap = broker.bootstrap(WHOLE)
        create_topic(bootstrap, topic, settings={**dict(way.topic), "file.delete.delay.ms": "0"})
        self._made.append((broker, topic))
        believed = {**AS_IT_COMES, **dict(way.topic)}
        if different := otherwise_set(bootstrap, believed, topic):
            raise NotAsBelieved("; ".join(different))

    def forget_if_much(self) -> None:
        """After a round: what was produced is read by nobody, and takes room in memory."""
        if sum(self._produced.values()) > _MUCH_BYTES:
            self._delete(list(self._produced))
            self._produced.clear()
            self._generation += 1

    def _delete(self, topics: Sequence[tuple[SeenBroker, str]]) -> None:
        for broker, topic in topics:
            delete_topic(broker.bootstrap(WHOLE), topic)
            self._made.remove((broker, topic))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """A cluster of others is left as it was; ours goes with its files."""
        if self._is_a_cluster:
            self._delete(self._made.copy())

    def _topic(self, way: WayToAsk, message_bytes: int, use: str) -> str:
        """A name for what is set for it, and how it is filled."""
        told = [
            way.codec,
            "batches" if way.batched else "singles",
            *(name for name, _ in way.topic),
        ]
        told += [name for name in ("tls", "evicts") if getattr(way, name)]
        generation = self._generation if use == "in" or self._is_a_cluster else 0
        return "-".join(["zerocopy-lab", *told, str(message_bytes), use, str(generation)])
