"""The memory of the machine: what is free, what is not yet on a device, and who waited for it.

| source                 | figure                                                          |
|------------------------|-----------------------------------------------------------------|
| `/proc/meminfo`        | Cached, Dirty, Writeback, MemAvailable; system-wide, for anyone |
| `cachestat`, per file  | dirty and writeback pages of the files one names                |
| `/proc/sys/vm/dirty_*` | when the kernel starts to write back by itself                  |
| `/proc/pressure/*`     | PSI: microseconds in which tasks waited for io, memory or cpu   |

Traps: Dirty falls when writeback *starts* and Writeback when it ends, so only their sum is what a
power cut would take. PSI counts everybody's waiting; read it before and after on a quiet machine.
Inside a container these files show the host.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from zerocopy_lab.instruments.page_residency import PageCounts, page_counts
from zerocopy_lab.instruments.unavailable import Unavailable


class SystemMemory(NamedTuple):
    """System-wide, in bytes. None: this system does not say."""

    available_bytes: int
    cached_bytes: int | None
    dirty_bytes: int | None
    writeback_bytes: int | None


class Pressure(NamedTuple):
    """Microseconds since the start in which some task, or every task, waited for a resource."""

    some_us: int
    full_us: int

    def since(self, earlier: Pressure) -> Pressure:
        """The waiting between an earlier reading and this one."""
        return Pressure(self.some_us - earlier.some_us, self.full_us - earlier.full_us)


class DirtySample(NamedTuple):
    """One look at what still has to be written: the system, and each file by its path."""

    elapsed_ms: float
    system: SystemMemory
    files: dict[Path, PageCounts]


@dataclass
class DirtyWatch:
    """Samples in order of time; `stopped_by` says what ended the watch early, or is None."""

    samples: list[DirtySample] = field(default_factory=list)
    stopped_by: Exception | None = None


def system_memory() -> SystemMemory:
    """Read the memory figures of the machine."""
    memory = psutil.virtual_memory()
    if sys.platform != "linux":
        return SystemMemory(memory.available, None, None, None)
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kib = {fields[0].rstrip(":"): int(fields[1]) for fields in lines}
    return SystemMemory(
        memory.available, kib["Cached"] * 1024, kib["Dirty"] * 1024, kib["Writeback"] * 1024
    )


def pressure(resource: Literal["io", "memory", "cpu"]) -> Pressure:
    """Read the stalls for a resource. Raises Unavailable where the kernel does not count them."""
    try:
        lines = Path("/proc/pressure", resource).read_text().splitlines()
    except OSError as error:
        why = f"/proc/pressure/{resource} cannot be read ({error.strerror})"
        raise Unavailable(
            "PSI", why, "Use Linux >= 4.20 with CONFIG_PSI, booted with psi=1"
        ) from None
    totals = {line.split()[0]: int(line.rpartition("=")[2]) for line in lines}
    full_us = totals.get("full", 0)  # cpu had no such line before Linux 5.13
    return Pressure(totals["some"], full_us)


def writeback_settings() -> dict[str, int]:
    """The kernel's thresholds for writeback by name (`dirty_expire_centisecs`, …).

    Raises Unavailable off Linux. A ratio of 0 means that the `…_bytes` setting beside it rules
    (Linux, Documentation/admin-guide/sysctl/vm.rst).
    """
    settings = {
        path.name: int(path.read_text()) for path in Path("/proc/sys/vm").glob("dirty*_[brce]*")
    }
    if not settings:
        raise Unavailable(
            "writeback settings", "there is no /proc/sys/vm", "Run this part on Linux"
        )
    return dict(sorted(settings.items()))


@contextlib.contextmanager
def watching_dirty_pages(
    paths: Sequence[Path] = (), interval_ms: float = 50.0
) -> Iterator[DirtyWatch]:
    """Sample dirty and writeback pages in a thread while the `with` block lasts, and at its end.

    Files may appear and vanish meanwhile (segments do): a sample holds those that exist. Raises
    Unavailable at once when the pages of a file cannot be counted here.
    """
    watch = DirtyWatch()
    started_ns = time.monotonic_ns()
    watch.samples.append(_look(paths, started_ns))
    ended = threading.Event()
    thread = threading.Thread(
        target=_sample_until,
        args=(ended, watch, paths, started_ns, interval_ms),
        name="dirty-pages",
        daemon=True,
    )
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
        watch.samples.append(_look(paths, started_ns))


def _sample_until(
    ended: threading.Event,
    watch: DirtyWatch,
    paths: Sequence[Path],
    started_ns: int,
    interval_ms: float,
) -> None:
    while not ended.wait(interval_ms / 1000):
        try:
            watch.samples.append(_look(paths, started_ns))
        except (OSError, Unavailable) as error:
            watch.stopped_by = error
            return


def _look(paths: Sequence[Path], started_ns: int) -> DirtySample:
    files = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            files[path] = page_counts(path)
    return DirtySample((time.monotonic_ns() - started_ns) / 1e6, system_memory(), files)
