"""Half an hour of ordinary life, and whether anything piles up in the broker.

    python -m ci.soak [--minutes 30]

All the time: a topic is written to while retention deletes it, consumers wait at its end in long
polls, others hang up in the middle of an answer or a long poll, topics are made, written to and
deleted, groups are joined and left (by leaving, and by vanishing). At five points the broker's
process is looked at, each time the least of twenty looks within two seconds, since a request that
is on its way holds what it needs.

Prints the five points. The exit code is 1 when a figure has grown by more than `BOUNDS` allows
since the first of them, or when a deleted file is open for longer than it takes to remove it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ci.torture.questions import create_topic, delete_topic
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker

POINTS = 5
KEPT = "kept"
SETTINGS = {
    "segment.bytes": "1048576",
    "retention.bytes": "4194304",
    "retention.ms": "-1",  # the records are old
    "file.delete.delay.ms": "1000",
}
BATCH = build_batch([Record(n, n, None, random.Random(n).randbytes(1_000)) for n in range(64)])
PAUSE_S = 0.05


class Point(NamedTuple):
    """What the broker's process held."""

    descriptors: int
    deleted_files_open: int
    threads: int
    resident_mib: float
    data_mib: float

    @classmethod
    def of(cls, broker: RunningBroker) -> Point:
        """As of now."""
        process = Path(f"/proc/{broker.pid}")
        open_files = []
        for descriptor in (process / "fd").iterdir():
            try:
                open_files.append(os.readlink(descriptor))
            except FileNotFoundError:
                continue  # closed meanwhile
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return cls(
            len(open_files),
            sum(name.endswith(" (deleted)") for name in open_files),
            int(status["Threads"]),
            int(status["VmRSS"].split()[0]) / 1024,
            _size_bytes(broker.data_dir) / (1 << 20),
        )

    @classmethod
    def least(cls, broker: RunningBroker) -> Point:
        """The least of each figure within two seconds."""
        looks = []
        for _ in range(20):
            looks.append(cls.of(broker))
            time.sleep(0.1)
        return cls(*map(min, zip(*looks, strict=True)))


BOUNDS = Point(descriptors=16, deleted_files_open=4, threads=2, resident_mib=16, data_mib=8)


def _size_bytes(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # retention was here
                total += os.stat(os.path.join(parent, name)).st_size
    return total


class Life:
    """What goes on beside each other, and how often."""

    def __init__(self, host: str, port: int) -> None:
        self.figures: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        self._address = (host, port)
        self._over = threading.Event()
        self._vanished = 0
        parts = [self.write, self.hang_up, self.change_topics, self.join_and_leave, self.vanish]
        parts += [self.poll] * 4
        self._threads = [threading.Thread(target=self._live, args=(part,)) for part in parts]

    def __enter__(self) -> Life:
        with Wire(*self._address) as wire:
            create_topic(wire, KEPT, SETTINGS)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _live(self, part: Callable[[random.Random], None]) -> None:
        chance = random.Random(part.__name__)
        try:
            while not self._over.is_set():
                part(chance)
                self.figures[part.__name__] += 1
        except BaseException as failure:
            self.failures.append(failure)
            self._over.set()

    def write(self, _: random.Random) -> None:
        """64 KB every now and then: a segment a second."""
        with Wire(*self._address) as wire:
            for _turn in range(20):
                error_code, _offset = produce(wire, KEPT, 0, BATCH)
                if error_code:
                    raise RuntimeError(f"writing ended in error {error_code}")
                self._over.wait(PAUSE_S)

    def poll(self, _: random.Random) -> None:
        """A consumer at the end of the topic, in long polls."""
        with Wire(*self._address) as wire:
            offset = fetch(wire, KEPT, 0, 0).high_watermark
            for _turn in range(50):
                answer = fetch(wire, KEPT, 0, max(offset, 0), min_bytes=1 << 20, max_wait_ms=300)
                offset = answer.high_watermark
                if self._over.is_set():
                    return

    def hang_up(self, chance: random.Random) -> None:
        """In the middle of an answer, or of a long poll; politely, or with a reset."""
        wire = Wire(*self._address)
        try:
            end = fetch(wire, KEPT, 0, 0, max_bytes=1).high_watermark
            back = chance.choice([0, 1_000, 3_000])  # 0: at the end, so it waits
            wire.send_frame(
                fetch_frame(wire, KEPT, 0, max(end - back, 0), max_bytes=4 << 20, max_wait_ms=5_000)
            )
            if back:
                wire.sock.recv(chance.choice([1, 10_000]))
            if chance.random() < 0.5:
                linger = struct.pack("ii", 1, 0)
                wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        finally:
            wire.close()
        self._over.wait(PAUSE_S)

    def change_topics(self, chance: random.Random) -> None:
        """Made, written to, read, and deleted."""
        with Wire(*self._address) as wire:
            topic = f"short-lived-{chance.randrange(3)}"
            create_topic(wire, topic, SETTINGS, partitions=3)
            for partition in range(3):
                produce(wire, topic, partition, BATCH)
                fetch(wire, topic, partition, 0)
            delete_topic(wire, topic)
        self._over.wait(4 * PAUSE_S)

    def join_and_leave(self, chance: random.Random) -> None:
        """A real client: joins, reads, commits, leaves."""
        consumer = self._consumer(f"group-{chance.randrange(3)}")
        try:
            consumer.consume(100, 5)
            consumer.commit(asynchronous=False)
        except Exception as error:
            if "NO_OFFSET" not in str(error):  # nothing came in time
                raise
        finally:
            consumer.close()

    def vanish(self, chance: random.Random) -> None:
        """A member of whom nothing is heard any more: the group's timer has to notice."""
        consumer = self._consumer(f"group-{chance.randrange(3)}", leaves=False)
        consumer.consume(10, 3)
        consumer.unsubscribe()
        del consumer

    def _consumer(self, group: str, *, leaves: bool = True) -> Any:
        from confluent_kafka import Consumer

        host, port = self._address
        settings = {
            "bootstrap.servers": f"{host}:{port}",
            "group.id": group,
            "session.timeout.ms": 6_000,
            "auto.offset.reset": "latest",
            "log_level": 0,
        }
        if not leaves:  # static members do not say goodbye
            self._vanished += 1
            settings["group.instance.id"] = f"static-{self._vanished}"
        consumer = Consumer(settings)
        consumer.subscribe([KEPT])
        return consumer


def grown(points: list[Point]) -> list[str]:
    """What grew by more than it may, in words."""
    first = points[0]
    found = []
    for name, bound in BOUNDS._asdict().items():
        most = max(getattr(point, name) for point in points[1:])
        # Deleted files are bounded as they are: whatever is open at the first point is no excuse.
        least = 0 if name == "deleted_files_open" else getattr(first, name)
        if most - least > bound:
            found.append(f"{name}: from {least:.0f} to {most:.0f}, over {bound}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ci.soak", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=30)
    minutes = parser.parse_args().minutes
    points: list[Point] = []
    options = ["--log-level", "warning", "--set", "log.retention.check.interval.ms=500"]
    with RunningBroker(options=options) as broker, Life(broker.host, broker.port) as life:
        print("| minute | descriptors | of deleted files | threads | resident MiB | data MiB |")
        print("|---|---|---|---|---|---|")
        for number in range(1, POINTS + 1):
            end = time.monotonic() + minutes * 60 / POINTS
            while time.monotonic() < end and not life.failures:
                time.sleep(0.2)
            point = Point.least(broker)
            points.append(point)
            cells = [f"{minutes * number / POINTS:.1f}", *(f"{figure:.0f}" for figure in point)]
            print(f"| {' | '.join(cells)} |", flush=True)
    print("; ".join(f"{name} {count:,} times" for name, count in sorted(life.figures.items())))
    wrong = [f"{type(error).__name__}: {error}" for error in life.failures] + grown(points)
    for line in wrong:
        print(f"WRONG {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
