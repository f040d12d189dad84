"""What a process cost the processor: CPU time in user and kernel mode, context switches and page
faults.

This is the core meter of the kit: it needs no privilege and does not disturb what it measures. Take
a reading before, a reading after, and subtract.

| figure                   | Linux source                       | covers                      |
|--------------------------|------------------------------------|-----------------------------|
| `cpu_s`                  | the process's CPU clock, to the ns | all threads, ended ones too |
| `user_s`, `system_s`     | `/proc/PID/stat` fields 14, 15     | the same, in ticks of 10 ms |
| `minor_`, `major_faults` | `/proc/PID/stat` fields 10, 12     | all threads, ended ones too |
| `…voluntary_switches`    | `/proc/PID/task/*/status`          | living threads only         |

Traps: `/proc/PID/status` itself speaks for the *first* thread only, so the switches are added up
over the threads here, and a thread that ends between two readings takes its switches with it. The
split of user and system time is coarse, the sum is not: compare `cpu_s`. Children of the process
are not included.

Elsewhere than on Linux psutil answers what it can; the rest stays None.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil


class ProcessorUse(NamedTuple):
    """A reading of the meters of one process since its start, or the difference of two readings.
    None: not known.
    """

    cpu_s: float
    user_s: float
    system_s: float
    voluntary_switches: int | None
    involuntary_switches: int | None
    minor_faults: int | None
    major_faults: int | None

    def since(self, earlier: ProcessorUse) -> ProcessorUse:
        """What was used between an earlier reading of the same process and this one."""
        return ProcessorUse(
            self.cpu_s - earlier.cpu_s,
            self.user_s - earlier.user_s,
            self.system_s - earlier.system_s,
            _difference(self.voluntary_switches, earlier.voluntary_switches),
            _difference(self.involuntary_switches, earlier.involuntary_switches),
            _difference(self.minor_faults, earlier.minor_faults),
            _difference(self.major_faults, earlier.major_faults),
        )


def processor_use(pid: int | None = None) -> ProcessorUse:
    """Read the meters of a process, one's own by default, or anybody's: it needs no privilege.

    Raises ProcessLookupError when there is no such process.
    """
    pid = os.getpid() if pid is None else pid
    try:
        return _from_proc(pid) if sys.platform == "linux" else _from_psutil(pid)
    except (FileNotFoundError, psutil.NoSuchProcess):
        raise ProcessLookupError(
            f"no process has the pid {pid}: it has ended, or never was"
        ) from None


def cpu_seconds(pid: int | None = None) -> float:
    """Only the CPU time, user and system together: on Linux to the nanosecond.

    The clock id of another process's CPU clock is its complemented pid, shifted, with the kind of
    clock in the lowest bits (2: scheduler time); that is what clock_getcpuclockid(3) computes.
    """
    pid = os.getpid() if pid is None else pid
    if sys.platform != "linux":
        return processor_use(pid).cpu_s
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        raise ProcessLookupError(
            f"no process has the pid {pid}: it has ended, or never was"
        ) from None


def _from_proc(pid: int) -> ProcessorUse:
    # The command in field 2 may hold spaces and brackets, so fields are counted from the last
    # closing bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    voluntary, involuntary = _switches_of_living_threads(pid)
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return ProcessorUse(
        cpu_seconds(pid),
        int(fields[11]) * tick_s,
        int(fields[12]) * tick_s,
        voluntary,
        involuntary,
        minor_faults=int(fields[7]),
        major_faults=int(fields[9]),
    )


def _switches_of_living_threads(pid: int) -> tuple[int, int]:
    voluntary = involuntary = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended between the listing and the reading
        voluntary += int(lines["voluntary_ctxt_switches"])
        involuntary += int(lines["nonvoluntary_ctxt_switches"])
    return voluntary, involuntary


def _from_psutil(pid: int) -> ProcessorUse:
    process = psutil.Process(pid)
    times, memory = process.cpu_times(), process.memory_info()
    switches = process.num_ctx_switches()
    return ProcessorUse(
        times.user + times.system,
        times.user,
        times.system,
        switches.voluntary,
        # macOS counts all switches together and psutil calls them voluntary, with 0 beside them.
        switches.involuntary if sys.platform != "darwin" else None,
        getattr(memory, "pfaults", None),
        getattr(memory, "pageins", None),
    )


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier
