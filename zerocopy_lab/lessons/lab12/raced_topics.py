"""What is asked on the rungs of lab 12, how much of it, and the topics for it: made, checked,
filled and, on a cluster of others, deleted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final, NamedTuple, Self

from zerocopy_lab.lessons.lab12 import load
from zerocopy_lab.lessons.lab12.orders import Client, LoadOrder, LoadRun, SeenBroker
from zerocopy_lab.lessons.lab12.rungs import AS_IT_COMES, WHOLE, Direction, WayToAsk
from zerocopy_lab.running.broker_config import otherwise_set
from zerocopy_lab.running.existing_cluster import AnyBroker, ExistingCluster
from zerocopy_lab.running.topic_admin import create_topic, delete_topic

SIZES: Final = (100, 1024)
SMALL: Final = SIZES[0]
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


class NotAsBelieved(RuntimeError):
    """The broker is set otherwise than the lab believes; each difference is a sentence."""


class RacedTopics:
    """Topics by what they are for: made, checked and filled when they are first asked for."""

    def __init__(
        self,
        broker: AnyBroker,
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
