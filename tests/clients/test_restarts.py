"""Real producers and consumers carry on when the broker dies, and nothing acknowledged is lost.

The producer is idempotent, as modern clients are by default, so "once and in order" has to hold
through every retry: the broker must remember the producer's last batches across its own death.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from tests.clients.real_clients import confluent_read
from zerocopy_lab.running.running_broker import RunningBroker

ROUNDS = 4
RECORDS_PER_ROUND = 3_000


class SteadyProducer:
    """Sends the numbers from 0 on without a pause, and notes which were acknowledged."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.acknowledged: list[int] = []
        self.sent = 0
        self._topic = topic
        self._stop = threading.Event()
        self._grown = threading.Condition()
        self._failures: list[Any] = []
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "log_level": 0,
                "batch.num.messages": 50,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "message.timeout.ms": 60_000,
            }
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_for(self, acknowledged: int) -> None:
        """Until so many were acknowledged."""
        with self._grown:
            came = self._grown.wait_for(lambda: len(self.acknowledged) >= acknowledged, timeout=60)
        assert came, (
            f"{len(self.acknowledged)} of {acknowledged} acknowledged; {self._failures[:1]}"
        )

    def stop(self) -> None:
        """Send nothing more, and wait for everything that was sent."""
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(60) == 0
        assert not self._failures, self._failures[0]

    def _run(self) -> None:
        while not self._stop.is_set():
            number = b"%d" % self.sent
            try:
                self._producer.produce(self._topic, number, on_delivery=self._delivered)
                self.sent += 1
            except BufferError:  # the broker is away and the client's queue is full
                self._producer.poll(0.1)
            self._producer.poll(0)

    def _delivered(self, error: Any, message: Any) -> None:
        with self._grown:
            if error is not None:
                self._failures.append(error)
            else:
                self.acknowledged.append(int(message.value()))
            self._grown.notify_all()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_producer_carries_on_through_deaths_of_the_broker(end: str, tmp_path: Path) -> None:
    port = _free_port()
    options = ["--set", "segment.bytes=200000"]  # deaths shall also meet rolls
    producer: SteadyProducer | None = None
    try:
        for _ in range(ROUNDS):
            with RunningBroker(tmp_path / "data", port=port, options=options) as broker:
                producer = producer or SteadyProducer(broker.bootstrap, "numbers")
                producer.wait_for(len(producer.acknowledged) + RECORDS_PER_ROUND)
                getattr(broker, end)()
        assert producer is not None
        with RunningBroker(tmp_path / "data", port=port, options=options) as broker:
            producer.wait_for(len(producer.acknowledged) + 1)
            producer.stop()
            found = [int(v) for v in confluent_read(broker.bootstrap, "numbers", producer.sent)]
    finally:
        if producer is not None:
            producer._stop.set()
    numbers = list(range(producer.sent))
    assert found == numbers, "every record once and in order"
    assert sorted(producer.acknowledged) == numbers
    assert len(list((tmp_path / "data" / "numbers-0").glob("*.log"))) > 1


def test_a_consumer_carries_on_where_it_was(tmp_path: Path) -> None:
    """It has read half when the broker dies; it reads the other half from the next one."""
    port = _free_port()
    lines = [b"%d" % number for number in range(20_000)]
    with RunningBroker(tmp_path / "data", port=port) as broker:
        producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
        for line in lines[:10_000]:
            producer.produce("t", line)
        assert producer.flush(30) == 0
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": "unused",
                "reconnect.backoff.max.ms": 100,
            }
        )
        consumer.assign([confluent_kafka.TopicPartition("t", 0, 0)])
        found = [message.value() for message in consumer.consume(10_000, timeout=30)]
        broker.kill()
    with RunningBroker(tmp_path / "data", port=port) as broker:
        for line in lines[10_000:]:
            producer.produce("t", line)
        assert producer.flush(30) == 0
        while len(found) < len(lines):
            messages = consumer.consume(len(lines) - len(found), timeout=30)
            assert messages, f"{len(found)} of {len(lines)}"
            found += [message.value() for message in messages if message.error() is None]
        consumer.close()
    assert found == lines
