"""Where contestants run: one on a processor of its own, and no processor asleep."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from zerocopy_lab.instruments.host import usable_cpus

CPUS = usable_cpus()  # before anything is pinned


def pin(pid: int, cpu: int) -> None:
    """Give a process a core of its own, where the system allows it."""
    if hasattr(os, "sched_setaffinity") and len(CPUS) > 1:
        os.sched_setaffinity(pid, {CPUS[cpu]})


def unpin(pid: int) -> None:
    """Let it run where it likes again."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, CPUS)


_AWAKE = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == int(sys.argv[2]):
    for _ in range(100_000):
        pass
"""


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Keep the processors from halting, by loops that give way to whatever wants to run
    (SCHED_IDLE), until the end of the block.

    Where client and server have a processor each, both of these halt and are woken again at each
    request. On a virtual machine that is the hypervisor's work, and it is cold that they come back:
    a fetch of 64 KiB took 145 to 185 µs so, and 67 kept awake, a bare loop's 105 and 45.
    """
    loops = []
    if hasattr(os, "SCHED_IDLE") and len(CPUS) > 1:
        for cpu in (CPUS[0], CPUS[1]):
            words = [sys.executable, "-c", _AWAKE, str(cpu), str(os.getpid())]
            loops.append(subprocess.Popen(words))
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
