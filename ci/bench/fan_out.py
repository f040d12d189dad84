"""Section `fan_out`: one producer, and meanwhile so many consumers of what it sends.

All are at the end of the log together, as far as they can follow. The producer sends batches of 1
MiB as fast as they are taken; the round ends when every consumer has all of them. The broker's CPU
is that for taking the data, too, over the bytes that were *delivered*.
"""

from __future__ import annotations

import select
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ci.bench.contest import (
    MIB,
    Asker,
    Round,
    batch_of,
    connected,
    cpu_s_per_gib,
    gib_per_s,
    make_topic,
)
from ci.bench.figures import Figures
from ci.bench.pair import add, running_pair
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.running.running_broker import RunningBroker

TABLE = "fan-out"
TOPIC = "fan"
BATCHES = {1: 256, 4: 256, 16: 128, 64: 64}
"""Consumers, and how many batches each gets in a round."""

MOST_ROUNDS = 3
_WAIT_MS = 500


def bench_fan_out(workspace: Path, figures: Figures, rounds: int) -> None:
    """1, 4, 16 and 64 consumers beside a producer."""
    print("one producer of batches of 1 MiB, acks=all, and consumers of the same data beside it")
    batch = batch_of(MIB)
    with running_pair(workspace) as pair:
        for broker in pair.both():
            make_topic(broker, TOPIC)
        for fan in BATCHES:

            def together(broker: RunningBroker, *, fan: int = fan) -> Round:
                return beside_a_producer(broker, TOPIC, batch, fan, BATCHES[fan])

            found = pair.take_turns(together, min(rounds, MOST_ROUNDS), warm_ups=1)
            title = f"{fan} {'consumer' if fan == 1 else 'consumers'} beside a producer"
            add(figures, TABLE, title, "GiB/s", found, gib_per_s, goal=1.0)
            cpu = f"{title}, CPU for what is delivered"
            add(figures, TABLE, cpu, "s/GiB", found, cpu_s_per_gib, goal=0.6, at_most=True)


def beside_a_producer(
    broker: RunningBroker, topic: str, batch: bytes, fan: int, batches: int
) -> Round:
    """Until `fan` consumers have `batches` batches each that are produced meanwhile; the payload is
    what was delivered. Raises AssertionError when a batch is refused.
    """
    with Wire(broker.host, broker.port) as wire, ThreadPoolExecutor(1) as producer:
        code, offset = produce(wire, topic, 0, batch)
        assert code == 0, f"a batch was refused: Kafka's error {code}"
        limits = {"min_bytes": 1, "max_wait_ms": _WAIT_MS, "max_bytes": len(batch)}
        offsets = range(offset + 1, offset + 1 + batches)
        frames = [fetch_frame(Frames(), topic, 0, each, **limits) for each in offsets]

        def send_all() -> None:
            for each in offsets:
                assert produce(wire, topic, 0, batch) == (0, each), "not the only producer"

        waiting = {sock.fileno(): Asker(sock, frames) for sock in connected(broker.port, fan)}
        with select.epoll() as epoll:
            for asker in waiting.values():
                epoll.register(asker.sock, select.EPOLLIN)
            cpu_before, before = cpu_seconds(broker.pid), time.perf_counter()
            for asker in waiting.values():
                asker.ask()
            sent = producer.submit(send_all)
            while waiting:
                for fd, _ in epoll.poll():
                    asker = waiting[fd]
                    if not asker.has_answer():
                        continue
                    if asker.answer_bytes < len(batch):  # nothing came while it waited
                        assert not (sent.done() and sent.exception()), sent.exception()
                        asker.ask_again()
                    elif asker.asked < batches:
                        asker.ask()
                    else:
                        waiting.pop(fd).sock.close()
            seconds = time.perf_counter() - before
            cpu_s = cpu_seconds(broker.pid) - cpu_before
        sent.result()
    return Round(seconds, cpu_s, batches * fan, batches * fan * len(batch))
