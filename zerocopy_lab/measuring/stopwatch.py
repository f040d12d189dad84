"""The bracket around the work that counts: CPU, wall time, switches and faults of exactly that.

A contestant's function prepares what it needs, brackets the work with `with stopwatch:`, and tidies
up. Only the bracket is measured. Processes that work along with it (a receiver, a broker) are named
with `also`, because TCP moves work between the two ends: a sender may look cheap while the pair
does not.

| figure                                          | of                                            |
|-------------------------------------------------|-----------------------------------------------|
| `wall_s`                                        | the bracket                                   |
| `cpu_s`, `user_s`, `system_s`                   | this process, all its threads (getrusage(2))  |
| `voluntary_switches`, `involuntary_switches`    | the same                                      |
| `minor_faults`, `major_faults`                  | the same                                      |
| `ROLE_cpu_s`                                    | a process named with `also(ROLE, pid)`        |
| `children_cpu_s`                                | children that were started and waited for     |
| `total_cpu_s`                                   | the sum of all of these processes             |

Where the operating system allows it, the thread that enters the bracket is pinned to one processor
and the processes named with `also` to the others, so that none pushes another from its caches;
afterwards all may run everywhere again. macOS does not allow it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import Self

from zerocopy_lab.instruments.host import usable_cpus
from zerocopy_lab.instruments.processor import cpu_seconds


class Stopwatch:
    """Measures the body of a `with` statement; `figures` holds the result afterwards."""

    def __init__(self, cpu: int | None = None) -> None:
        """`cpu`: the processor to pin to inside the bracket; None leaves it to the scheduler."""
        self.figures: dict[str, float] = {}
        self._cpu = cpu
        self._pids: dict[str, int] = {}
        self._before: dict[str, float] = {}

    def also(self, role: str, pid: int) -> None:
        """Meter another process too, as `ROLE_cpu_s` and in the total. Call before the bracket."""
        self._pids[role] = pid

    def __enter__(self) -> Self:
        """Pin, and read all meters: the clock last, so that reading the others costs nothing."""
        self._pin()
        self._before = self._read()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Read all meters again and unpin."""
        after = self._read_backwards()
        self._unpin()
        self.figures = {name: value - self._before[name] for name, value in after.items()}
        others = [f"{role}_cpu_s" for role in (*self._pids, "children")]
        self.figures["total_cpu_s"] = sum(self.figures[name] for name in ("cpu_s", *others))

    def _read(self) -> dict[str, float]:
        readings = self._of_others()
        readings.update(_of_this_process())
        readings["wall_s"] = time.perf_counter()
        return readings

    def _read_backwards(self) -> dict[str, float]:
        wall_s = time.perf_counter()
        readings = _of_this_process()
        readings.update(self._of_others())
        return {**readings, "wall_s": wall_s}

    def _of_others(self) -> dict[str, float]:
        readings = {f"{role}_cpu_s": cpu_seconds(pid) for role, pid in self._pids.items()}
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**readings, "children_cpu_s": children.ru_utime + children.ru_stime}

    def _pin(self) -> None:
        if self._cpu is None:
            return
        self._usable = usable_cpus()
        others = [cpu for cpu in self._usable if cpu != self._cpu] or self._usable
        os.sched_setaffinity(0, {self._cpu})
        for pid in self._pids.values():
            _set_processors(pid, others)

    def _unpin(self) -> None:
        if self._cpu is None:
            return
        os.sched_setaffinity(0, self._usable)
        for pid in self._pids.values():
            _set_processors(pid, self._usable)


def pinning_unavailable() -> str | None:
    """None when processes can be pinned here, or the reason why not."""
    if not hasattr(os, "sched_setaffinity"):
        return "this system lets no process choose its processor"
    if len(usable_cpus()) < 2:
        return "only one processor may be used, so all processes share it"
    return None


def _of_this_process() -> dict[str, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_s": time.process_time(),
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "voluntary_switches": usage.ru_nvcsw,
        "involuntary_switches": usage.ru_nivcsw,
        "minor_faults": usage.ru_minflt,
        "major_faults": usage.ru_majflt,
    }


def _set_processors(pid: int, cpus: list[int]) -> None:
    """All threads of a process: the affinity of a pid alone is that of its first thread."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may have ended meanwhile; another user's process stays where it is.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.sched_setaffinity(int(task.name), cpus)
