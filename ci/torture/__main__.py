"""Kills the broker at random moments under load, a thousand times, and looks for what got lost.

    python -m ci.torture [--kills 1000] [--seconds S] [--seed 1] [--dir DIR]

A round: start the broker (sometimes it is killed while it still recovers), compare every partition
with its ledger, `verify` the log directory, let the writers write, `kill -9`. Segments are short
and housekeeping comes round all the time, so something is always rolled, deleted or compacted.

| topic | writers | what may go |
|---|---|---|
| plain | an idempotent and another one | nothing |
| kept | an idempotent and another one | old segments: retention.bytes |
| table | idempotent, fifty keys, tombstones | replaced records: cleanup.policy=compact |
| both | idempotent, fifty keys, tombstones | both: cleanup.policy=compact,delete |

A killed process leaves its page cache behind. So whatever the moment, nothing that was acknowledged
may be missing, be there twice or out of order, and no log may fail `verify`. (What a power cut may
take is another matter, and another test.) After every 25 kills the topics are read and verified
once more, deeply, and deleted, and new ones begin.

Prints its figures. At the first fault it stops with exit code 1, and the directory is kept.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci.torture.broker import Broker, create_topic, delete_topic, read_all
from ci.torture.ledger import Ledger, Wrong
from ci.torture.writers import Writer
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.inspect.files import stored_batches
from zerocopy_lab.inspect.verification import verify

KILLS_PER_GENERATION = 25
LONGEST_LOAD_S = 0.5
LONGEST_START_S = 0.2
KILLED_WHILE_STARTING = 0.2  # of all kills
VERIFY_ATTEMPTS = 20

SHORT_SEGMENTS = {
    "segment.bytes": "300000",
    "index.interval.bytes": "512",
    "file.delete.delay.ms": "100",
    "retention.ms": "-1",
}
COMPACT = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
RETENTION_BYTES = 1_000_000
RETAIN = {"retention.bytes": str(RETENTION_BYTES)}
KINDS = {
    "plain": SHORT_SEGMENTS,
    "kept": {**SHORT_SEGMENTS, **RETAIN},
    "table": {**SHORT_SEGMENTS, **COMPACT},
    "both": {**SHORT_SEGMENTS, **COMPACT, **RETAIN, "cleanup.policy": "compact,delete"},
}


TRACES = {  # what a kill leaves behind when it interrupts something
    ".cleaned": "kills that met a compaction at work",
    ".swap": "kills that met a compaction in its swap",
    ".deleted": "kills that met segments waiting to be removed",
}


class Generation:
    """Four topics, their ledgers and their writers."""

    def __init__(self, number: int, seed: int) -> None:
        self.ledgers: dict[str, Ledger] = {}
        self.writers: list[Writer] = []
        for kind in KINDS:
            topic = f"{kind}-{number}"
            ledger = Ledger(
                topic,
                may_begin_late=kind in ("kept", "both"),
                may_have_gaps=kind in ("table", "both"),
            )
            self.ledgers[topic] = ledger
            keys = 50 if ledger.may_have_gaps else 0
            for idempotent in (True,) if keys else (True, False):
                name = f"{topic}-{'idempotent' if idempotent else 'plain'}"
                writer = Writer(name, topic, ledger, idempotent=idempotent, keys=keys, seed=seed)
                self.writers.append(writer)

    def create(self, wire: Wire) -> None:
        """The topics that are not there yet: a kill may have come while they were created."""
        for topic in self.ledgers:
            create_topic(wire, topic, KINDS[topic.partition("-")[0]])

    def delete(self, wire: Wire) -> None:
        """All of it, and nothing of it comes back."""
        for topic in self.ledgers:
            delete_topic(wire, topic)


class Torture:
    """The rounds, and what was counted."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.data_dir = directory / "data"
        self.broker_log = directory / "broker.log"
        self.figures: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._seed = seed
        self._generation: Generation | None = None
        self._renew_at = 0  # kills

    def run(self, kills: int, seconds: float) -> None:
        """That many kills, or as many as fit, then a clean stop. Raises Wrong, RuntimeError."""
        end = time.monotonic() + seconds
        while self.figures["kills"] < kills and time.monotonic() < end:
            if self.figures["kills"] and self._random.random() < KILLED_WHILE_STARTING:
                self._kill_while_starting()
            else:
                self._round()
        with self._broker() as broker:
            self._count(self._look_after(broker.port(), deep=True))
            if exit_code := broker.stop():
                raise Wrong(f"the broker stopped with exit code {exit_code}")
        self._verify(deep=True)  # at rest now, its checkpoints and indexes written

    @contextmanager
    def _broker(self) -> Iterator[Broker]:
        broker = Broker(self.data_dir, self.broker_log)
        try:
            yield broker
        finally:
            broker.kill()
        self._count_traces()

    def _kill_while_starting(self) -> None:
        with self._broker() as broker:
            if broker.ends_within(self._random.uniform(0, LONGEST_START_S)):
                raise Wrong("the broker ended by itself, see its log")
            self._count_kill("kills while it started")

    def _round(self) -> None:
        with self._broker() as broker:
            port = broker.port()
            writers = self._look_after(port).writers
            threads = [threading.Thread(target=writer.run, args=(port,)) for writer in writers]
            for thread in threads:
                thread.start()
            ended = broker.ends_within(self._random.uniform(0, LONGEST_LOAD_S))
            broker.kill()
            for thread in threads:
                thread.join()
            if ended:
                raise Wrong("the broker ended by itself, see its log")
            self._count_kill("kills under load")
        for writer in writers:
            if writer.failure is not None:
                raise writer.failure

    def _count_kill(self, kind: str) -> None:
        self.figures["kills"] += 1
        self.figures[kind] += 1

    def _look_after(self, port: int, *, deep: bool = False) -> Generation:
        """Checks what the last kill left; returns the topics that are written to now."""
        with Wire("127.0.0.1", port) as wire:
            generation = self._generation
            if generation is not None:
                is_old = self.figures["kills"] >= self._renew_at
                for topic, ledger in generation.ledgers.items():
                    ledger.check(*read_all(wire, topic))
                self._check_retention(generation)
                self._verify(deep=deep or is_old)
                if not is_old:
                    return generation
                self._count(generation)
                generation.delete(wire)
            print(f"{self.figures['kills']} kills, nothing lost", file=sys.stderr, flush=True)
            self.figures["generations of topics"] += 1
            self._renew_at = self.figures["kills"] + KILLS_PER_GENERATION
            self._generation = Generation(self.figures["generations of topics"], self._seed)
            self._generation.create(wire)
            return self._generation

    def _check_retention(self, generation: Generation) -> None:
        """Retention by size never leaves less than it should."""
        for topic, ledger in generation.ledgers.items():
            if topic.startswith("kept") and ledger.begins_at > 0:
                logs = (self.data_dir / f"{topic}-0").glob("*.log")
                kept_bytes = sum(path.stat().st_size for path in logs)
                if kept_bytes < RETENTION_BYTES:
                    raise Wrong(f"{topic}: only {kept_bytes} bytes were kept")

    def _verify(self, *, deep: bool) -> None:
        """A fault counts when it stays: housekeeping goes on meanwhile and may move a file."""
        for attempt in range(VERIFY_ATTEMPTS):
            try:
                found = verify(self.data_dir, deep=deep)
            except FileNotFoundError:
                continue
            if not found.faults:
                self.figures["verified batches"] += found.batches
                self.figures["verified again, after housekeeping moved files"] += attempt
                return
        raise Wrong("\n".join(map(str, found.faults)))

    def _count_traces(self) -> None:
        """What the kill interrupted, as the files show before anything is repaired."""
        names = [path.name for path in self.data_dir.glob("*-0/*")]
        for suffix, meaning in TRACES.items():
            self.figures[meaning] += any(name.endswith(suffix) for name in names)
        for partition in self.data_dir.glob("*-0"):
            logs = sorted(partition.glob("*.log"))
            self.figures["torn ends"] += bool(logs) and _is_torn(logs[-1])

    def _count(self, generation: Generation) -> None:
        for writer in generation.writers:
            self.figures.update(writer.figures)


def _is_torn(log: Path) -> bool:
    try:
        return any(found.damage for found in stored_batches(log))
    except CorruptMessage:
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop earlier than that")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--dir", type=Path, help="where to work (default: a temporary directory)")
    options = parser.parse_args()
    directory = options.dir or Path(tempfile.mkdtemp(prefix="zerocopy-lab-torture-"))
    directory.mkdir(parents=True, exist_ok=True)
    torture = Torture(directory, options.seed)
    began = time.monotonic()
    try:
        torture.run(options.kills, options.seconds)
    except Exception as error:
        print(f"FAULT after {torture.figures['kills']} kills (seed {options.seed}): {error}")
        print(f"the files are in {directory}")
        return 1
    for meaning, count in torture.figures.items():
        print(f"{count:>12,}  {meaning}")
    print(f"{0:>12,}  records lost, doubled or out of order; 0 logs that fail verify")
    print(f"{time.monotonic() - began:>12,.0f}  seconds, seed {options.seed}")
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
