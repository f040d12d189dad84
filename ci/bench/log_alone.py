"""How the log grows: each cost over several sizes, as a table that shows its growth.

    python -m ci.bench.log_alone [--dir DIR] [append lookup start recovery open_files]

| table | question | what is hoped for |
|---|---|---|
| append | cost of a batch against the length of the log | flat |
| lookup | cost of finding an offset against the number of segments | grows like the logarithm |
| start | time to open against the number of partitions | 10,000 clean: <= 10 s |
| recovery | time to open against the bytes not flushed, of 512 MiB | follows those bytes |
| open_files | descriptors against the number of partitions | bounded, none when idle |

TIMED figures, median and range: CPU time for append and lookup, elapsed time for start and
recovery. The files are in the page cache. Every directory is made anew and removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zerocopy_lab.inspect.segment_info import segments_of
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.log import PartitionLog, TopicSettings
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.record import Record, build_batch

TOPIC = "bench"
MIB = 1 << 20


def batch(values_bytes: int, count: int = 1) -> bytearray:
    now_ms = time.time_ns() // 1_000_000
    return bytearray(
        build_batch([Record(i, now_ms, None, bytes(values_bytes)) for i in range(count)])
    )


@contextmanager
def opened(directory: Path, partitions: int = 0, **overrides: str) -> Iterator[LogDirectories]:
    settings = {name.replace("_", "."): value for name, value in overrides.items()}
    logs = LogDirectories.open([directory], TopicSettings.from_kafka(settings))
    if partitions and TOPIC not in logs.topics():
        logs.create_topic(TOPIC, partitions)
    try:
        yield logs
    finally:
        logs.close()


def unmarked(directory: Path) -> None:
    """As if the broker had been killed instead of stopped."""
    (directory / ".kafka_cleanshutdown").unlink()


def cpu_seconds(work: Callable[[], object]) -> float:
    """User and system time: what the work costs, whatever else the machine is doing."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def shown(timed: Spread, scale: float, unit: str) -> str:
    low, high = timed.low * scale, timed.high * scale
    return f"{timed.median * scale:9.2f} {unit} ({low:.2f} to {high:.2f}, n={timed.n})"


def bench_append(directory: Path) -> None:
    print("\nappend: CPU microseconds per batch of 1 KiB, CRC check and one write(2) included")
    with opened(directory, 1, segment_bytes=str(64 * MIB)) as logs:
        log = logs.find(TOPIC, 0)
        one = batch(1024 - 70)
        for length_mib in (1, 16, 128, 512, 1024):
            while log.size_bytes < length_mib * MIB:
                fill(log, one, 1000)
            timed = spread([cpu_seconds(lambda: fill(log, one, 1000)) / 1000 for _ in range(7)])
            segments = len(segments_of(log))
            print(
                f"  log of {length_mib:5d} MiB, {segments:3d} segments: {shown(timed, 1e6, 'us')}"
            )


def fill(log: PartitionLog, one: bytearray, count: int) -> None:
    for _ in range(count):
        log.append(memoryview(one))


def bench_lookup(directory: Path) -> None:
    print("\nlookup: CPU microseconds per read, at a random offset and at the end")
    chance = random.Random(1)
    with opened(directory, 1, segment_bytes="100000") as logs:
        log = logs.find(TOPIC, 0)
        one = batch(1024 - 70)
        for segments in (10, 100, 1000, 4000):
            while len(log.segments[:-1]) < segments:
                fill(log, one, 97)
            read_all(
                log, random_offsets(log, chance)
            )  # indexes in memory, files open as far as the bound allows
            somewhere = spread([cpu_per_read(log, random_offsets(log, chance)) for _ in range(7)])
            at_end = spread([cpu_per_read(log, [log.log_end_offset - 1] * 2000) for _ in range(7)])
            print(
                f"  {segments:5d} segments: random {shown(somewhere, 1e6, 'us')}   "
                f"end {shown(at_end, 1e6, 'us')}"
            )


def random_offsets(log: PartitionLog, chance: random.Random) -> list[int]:
    return [chance.randrange(log.log_end_offset) for _ in range(2000)]


def cpu_per_read(log: PartitionLog, offsets: list[int]) -> float:
    return cpu_seconds(lambda: read_all(log, offsets)) / len(offsets)


def read_all(log: PartitionLog, offsets: list[int]) -> None:
    for offset in offsets:
        log.read(offset, MIB)


def bench_start(directory: Path) -> None:
    print("\nstart: seconds to open every partition, each with 4 KiB in one segment")
    for partitions in (10, 100, 1000, 10_000):
        where = directory / str(partitions)
        with opened(where, partitions) as logs:
            for partition in range(partitions):
                fill(logs.find(TOPIC, partition), batch(1024 - 70), 4)
        clean = [start_once(where) for _ in range(3)]
        killed = []
        for _ in range(3):
            unmarked(where)
            killed.append(start_once(where))
        print(
            f"  {partitions:6d} partitions: clean {shown(spread(clean), 1, 's')}   "
            f"killed {shown(spread(killed), 1, 's')}"
        )
        shutil.rmtree(where)


def start_once(directory: Path) -> float:
    begin = time.perf_counter()
    with opened(directory):
        return time.perf_counter() - begin


def bench_recovery(directory: Path) -> None:
    print("\nrecovery: seconds to open a log of 512 MiB after a kill")
    one = batch(16 * 1024)
    for unflushed_mib in (0, 8, 64, 256, 512):
        where = directory / str(unflushed_mib)
        with opened(where, 1, segment_bytes=str(32 * MIB)) as logs:
            log = logs.find(TOPIC, 0)
            while log.size_bytes < 512 * MIB:
                fill(log, one, 64)
            point = log.log_end_offset * (512 - unflushed_mib) // 512
        unmarked(where)
        checkpoint = where / "recovery-point-offset-checkpoint"
        timed = []
        for _ in range(5):
            checkpoint.write_text(f"0\n1\n{TOPIC} 0 {point}\n")
            timed.append(start_once(where))
            unmarked(where)
        print(f"  {unflushed_mib:4d} MiB not flushed: {shown(spread(timed), 1, 's')}")
        shutil.rmtree(where)


def bench_open_files(directory: Path) -> None:
    print("\nopen files: descriptors of the process (COUNTED), bound 256")
    for partitions in (10, 100, 1000, 4000):
        where = directory / str(partitions)
        logs = LogDirectories.open([where], max_open_files=256)
        before = descriptors()
        logs.create_topic(TOPIC, partitions)
        for partition in range(partitions):
            log = logs.find(TOPIC, partition)
            fill(log, batch(100), 1)
            log.read(0, 100)
        busy = descriptors() - before
        for later_ms in (30_000, 60_000):
            logs.housekeeping(time.time_ns() // 1_000_000 + later_ms)
        print(
            f"  {partitions:6d} partitions, all just used: {busy:4d}   "
            f"idle: {descriptors() - before:4d}"
        )
        logs.close()
        shutil.rmtree(where)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


BENCHES: dict[str, Callable[[Path], None]] = {
    "append": bench_append,
    "lookup": bench_lookup,
    "start": bench_start,
    "recovery": bench_recovery,
    "open_files": bench_open_files,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dir", type=Path, help="where to make the logs")
    parser.add_argument("benches", nargs="*", choices=[*BENCHES, []], help="which tables")
    arguments = parser.parse_args()
    print(
        f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}"
    )
    for name in arguments.benches or BENCHES:
        with tempfile.TemporaryDirectory(prefix="bench-log-", dir=arguments.dir) as directory:
            BENCHES[name](Path(directory))


if __name__ == "__main__":
    main()
