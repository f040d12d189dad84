"""Counting system calls with `strace -c -f`: exact and allowed to anyone for their own processes,
but ruinous for timing.

Every call stops the process twice, so that strace can look. Where the kernel restricts ptrace to
descendants (Yama, `/proc/sys/kernel/yama/ptrace_scope` = 1, the default of Ubuntu), an ordinary
user can count commands that strace starts, but cannot attach to a running process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from zerocopy_lab.instruments.unavailable import Unavailable

_END_TIMEOUT_S: Final = 60.0


def command(report: Path, names: Sequence[str]) -> list[str]:
    """The start of a command line that counts what follows after `--` and writes its summary to a
    file.

    All calls are counted whatever the names, because strace has them anyway; -f follows threads and
    children.
    """
    return ["strace", "-c", "-f", "-o", str(report)]


@contextlib.contextmanager
def attached(pid: int, report: Path, names: Sequence[str]) -> Iterator[None]:
    """Count a running process during the block. Raises Unavailable when strace may not, or the
    process is gone.
    """
    strace = subprocess.Popen(
        [*command(report, names), "-p", str(pid)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert strace.stderr is not None
    try:
        _wait_until_attached(pid, strace.stderr)
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate(timeout=_END_TIMEOUT_S)


def read_report(text: str) -> dict[str, int]:
    """Counts by name from strace's summary table, in which the errors column may be empty.

    A process that made no call at all leaves an empty summary: no counts, and that is a result.
    """
    counts: dict[str, int] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) in (5, 6) and fields[3].isdigit() and fields[-1] != "total":
            counts[fields[-1]] = int(fields[3])
    return counts


def _wait_until_attached(pid: int, messages: IO[str]) -> None:
    said: list[str] = []
    for line in messages:
        if "attached" in line:
            return
        said.append(line.strip())
    why = " ".join(said)[:200] or "it ended without a word"
    remedy = (
        "Run as root, set kernel.yama.ptrace_scope to 0, or count a command instead of attaching"
    )
    raise Unavailable(f"strace on process {pid}", why, remedy)
