"""How many of which system call a process makes: exact counts, never together with a timing.

| meter                     | who           | price                                               |
|---------------------------|---------------|-----------------------------------------------------|
| `perf stat -e syscalls:*` | root          | hardly slows the process; 40 ms per name at the end |
| `strace -c -f`            | own processes | two stops per call: 0.4 s may become 19 s           |

perf is preferred where it is allowed. Because the kernel takes its time to let go of a tracepoint,
perf counts by name only what one asks for (`names`, by default the calls that move or wait for
data) and everything together in one more event; what is left appears as `other`. Both meters follow
threads and children.

Traps
- Counting is a pass of its own. Never take a duration from a process that is being counted.
- The tracepoints carry names of kernel functions (`sendfile64`, `newfstat`), strace those of the
  manual. Counts here have the manual's names.
- `exit` and `exit_group` never return, so strace cannot count them; they are left out of `other`
  with perf too. So is the execve that starts a command.
- Unprivileged `perf stat -e context-switches:u` and its like answer 0 instead of refusing. So a
  meter counts as available only after it has counted something known.
- Attaching to a running process that sleeps in a call (`epoll_wait`, `read`) misses the entry of
  that one call with perf, and has it counted by strace when it returns.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Final, Literal

from zerocopy_lab.instruments import perf_meter, strace_meter
from zerocopy_lab.instruments.unavailable import Unavailable

MeterName = Literal["perf", "strace"]
METERS: Final[dict[MeterName, ModuleType]] = {"perf": perf_meter, "strace": strace_meter}

DATA_PATH_CALLS: Final = (
    "read", "pread64", "readv", "preadv", "preadv2", "write", "pwrite64", "writev", "pwritev",
    "sendto", "sendmsg", "recvfrom", "recvmsg", "sendfile", "splice", "tee", "vmsplice",
    "copy_file_range", "mmap", "munmap", "fsync", "fdatasync", "poll", "epoll_wait", "select",
)  # fmt: skip
"""What labs ask about: calls that move payload, map it, force it to the device, or wait."""


@dataclass
class SystemCalls:
    """Counts by the manual's names, and `other`; filled when the counting has ended, without 0s."""

    meter: MeterName
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> int:
        """How often `name` was called. 0 is a true count: meters that cannot count raise."""
        return self.counts.get(name, 0)

    @property
    def total(self) -> int:
        """All calls, named or not."""
        return sum(self.counts.values())


def count_system_calls(
    command: Sequence[str],
    names: Sequence[str] = DATA_PATH_CALLS,
    *,
    meter: MeterName | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 300.0,
) -> SystemCalls:
    """Run a command to its end and count the calls of all its threads and children, from the start.

    Its standard output is thrown away. Raises Unavailable when no meter works here,
    CalledProcessError (which holds the stderr) when the command or the meter fails, TimeoutExpired.
    """
    chosen: MeterName = meter or available_meter()
    environment = {**(os.environ if env is None else env), "LC_ALL": "C"}
    with tempfile.TemporaryDirectory(prefix="system-calls-") as directory:
        report = Path(directory, "report")
        subprocess.run(
            [*METERS[chosen].command(report, names), "--", *command],
            check=True,
            env=environment,
            timeout=timeout_s,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        counts = METERS[chosen].read_report(report.read_text())
    counts.pop("execve", None)  # the one that starts the command: only strace sees it
    return SystemCalls(chosen, _named_and_other(counts, names))


@contextlib.contextmanager
def counting_system_calls(
    pid: int, names: Sequence[str] = DATA_PATH_CALLS, *, meter: MeterName | None = None
) -> Iterator[SystemCalls]:
    """Count the calls of a running process (all its threads) while the `with` block lasts.

    The block starts only when the meter has confirmed that it is attached. The counts are there
    after the block. Raises Unavailable when no meter works here or none may attach to this process.
    """
    chosen: MeterName = meter or available_meter()
    calls = SystemCalls(chosen)
    with tempfile.TemporaryDirectory(prefix="system-calls-") as directory:
        report = Path(directory, "report")
        with METERS[chosen].attached(pid, report, names):
            yield calls
        calls.counts.update(_named_and_other(METERS[chosen].read_report(report.read_text()), names))


@functools.cache
def available_meter() -> MeterName:
    """The better of the meters that have proved to work here; Unavailable holds both reasons."""
    reasons: dict[MeterName, str] = {}
    for name in METERS:
        reason = why_no_meter(name)
        if reason is None:
            return name
        reasons[name] = reason
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise Unavailable(
        "counting system calls", why, "Install strace, which needs no root, or run perf as root"
    )


def why_no_meter(name: MeterName) -> str | None:
    """None when the meter counts correctly here, or the reason why not. Tries it on `cat
    /dev/null`, which must read.

    Trying beats reading settings: capabilities, paranoia levels, seccomp filters and containers all
    have a say.
    """
    if shutil.which(name) is None:
        return f"there is no {name} on PATH"
    try:
        calls = count_system_calls(["cat", "/dev/null"], ("read",), meter=name, timeout_s=30.0)
    except subprocess.CalledProcessError as error:
        return f"it may not trace here (exit status {error.returncode})"
    except (Unavailable, OSError, subprocess.TimeoutExpired) as error:
        return f"it failed: {error}"
    return None if calls.of("read") else "it answered 0 reads for a program that reads"


def _named_and_other(counts: dict[str, int], names: Sequence[str]) -> dict[str, int]:
    """The counts one asked for, and the sum of the rest, so that both meters answer alike."""
    named = {name: counts[name] for name in names if counts.get(name)}
    never_return = counts.get("exit", 0) + counts.get("exit_group", 0)
    other = counts.get("total", sum(counts.values())) - sum(named.values()) - never_return
    return {**named, "other": other} if other else named
