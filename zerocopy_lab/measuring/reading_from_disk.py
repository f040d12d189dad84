"""Reading a file past the page cache, through it, and out of it: who is at work meanwhile?

| way              | the disk                       | the processor                              |
|------------------|--------------------------------|--------------------------------------------|
| `past the cache` | moves each byte to the buffer  | asks, sleeps, is interrupted               |
| `cold`           | moves each byte to the cache   | asks, sleeps, then copies cache -> buffer  |
| `warm`           | nothing                        | copies cache -> buffer                     |

`past the cache` is O_DIRECT (open(2)): no page of the cache takes part, so all that the processor
does is to ask. `cpu_s` far below `wall_s` means that the bytes moved while it slept; the disk's
interrupts are counted beside it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path
from typing import Final

from zerocopy_lab.instruments.eviction import evict
from zerocopy_lab.instruments.interrupts import disk_interrupts
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.experiment import Contestant, Outcome, run_experiment
from zerocopy_lab.measuring.stopwatch import Stopwatch

PAST, COLD, WARM = "past the cache", "cold", "warm"
WAYS: Final = (PAST, COLD, WARM)
CALL_BYTES: Final = 1 << 20


def read_file(stopwatch: Stopwatch, way: str, path: str) -> dict[str, float]:
    """The work of one contestant: the whole file into a buffer, CALL_BYTES a call.

    Raises Unavailable where the file system has no O_DIRECT, NotEvicted.
    """
    file = _open(path, way)
    buffer = mmap.mmap(-1, CALL_BYTES)  # begins at a page, as O_DIRECT wants it
    buffer.write(bytes(CALL_BYTES))  # its own pages are there before the clock runs
    if way == WARM:
        Path(path).read_bytes()
    else:
        evict(Path(path))
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, file)
        before = _interrupts(path)
        with stopwatch:
            read_bytes = 0
            while came := os.preadv(file, [buffer], read_bytes):
                read_bytes += came
        figures = {"read_bytes": float(read_bytes)}
        after = _interrupts(path)
    if before is not None and after is not None:
        figures["interrupts"] = float(after - before)
    return figures


def compare_ways(path: Path, *, repeats: int, seed: int) -> Outcome:
    """All WAYS over the file at `path`, in turns. Raises ContestantFailed, ExperimentRefused."""
    contestants = [Contestant(way, read_file, {"way": way, "path": str(path)}) for way in WAYS]
    return run_experiment(
        "reading from the disk",
        contestants,
        repeats=repeats,
        warm_ups=0,  # they run at the same time, and one would bring back what another evicts
        runs=1,
        seed=seed,
    )


def _open(path: str, way: str) -> int:
    flags = os.O_RDONLY | (os.O_DIRECT if way == PAST else 0)
    try:
        return os.open(path, flags)
    except OSError as error:
        why = f"{path} cannot be opened past the page cache ({error.strerror})"
        raise Unavailable("O_DIRECT", why, "Choose a directory on ext4, xfs or btrfs") from None


def _interrupts(path: str) -> int | None:
    try:
        return disk_interrupts(Path(path))
    except Unavailable:
        return None
