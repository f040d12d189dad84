"""Counting system calls with `perf stat` on the kernel's tracepoints: cheap for the process, but
for root only.

One event per name plus `raw_syscalls:sys_enter` for all together. perf counts tracepoints without
sampling, so the figures are exact, and its own report would show less than 100 % enabled time if an
event had been off for a while: that is checked here. Attaching goes through perf's control
descriptors: the counters are enabled by a command that perf acknowledges, so nothing is missed and
nobody has to sleep until perf "will be ready by now".
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from zerocopy_lab.instruments.unavailable import Unavailable

_TRACEPOINT_OF: Final = {
    "sendfile": "sendfile64",
    "fstat": "newfstat",
    "stat": "newstat",
    "lstat": "newlstat",
}
_NAME_OF: Final = {tracepoint: name for name, tracepoint in _TRACEPOINT_OF.items()}
_NEVER_RETURN: Final = ("exit", "exit_group")
_TRACEPOINTS: Final = Path("/sys/kernel/tracing/events/syscalls")
_END_TIMEOUT_S: Final = 60.0


def command(report: Path, names: Sequence[str]) -> list[str]:
    """The start of a command line that counts what follows after `--`, with a report to a file."""
    wanted = dict.fromkeys((*names, *_NEVER_RETURN))
    tracepoints = [_TRACEPOINT_OF.get(name, name) for name in wanted]
    events = [f"syscalls:sys_enter_{name}" for name in tracepoints if _exists(name)]
    return [
        "perf",
        "stat",
        "-x,",
        "-o",
        str(report),
        "-e",
        ",".join(["raw_syscalls:sys_enter", *events]),
    ]


@contextlib.contextmanager
def attached(pid: int, report: Path, names: Sequence[str]) -> Iterator[None]:
    """Count a running process during the block. Raises Unavailable when perf may not, or the
    process is gone.
    """
    with enabled_during([*command(report, names), "-p", str(pid)]):
        yield


@contextlib.contextmanager
def enabled_during(perf_command: Sequence[str]) -> Iterator[None]:
    """Run an attached perf command with its events enabled during the block only.

    Raises Unavailable when perf does not confirm that it has started.
    """
    with _Control() as control:
        perf = subprocess.Popen(
            [*perf_command, "-D", "-1", "--control", control.option],
            pass_fds=control.far_ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        control.close_far_ends()
        try:
            if not control.tell("enable"):
                said = _in_short(perf.communicate(timeout=_END_TIMEOUT_S)[1])
                remedy = "Run as root, and check that the process is still alive"
                raise Unavailable(" ".join(perf_command[:2]), f"it did not start ({said})", remedy)
            yield
            control.tell("disable")
        finally:
            perf.send_signal(signal.SIGINT)
            perf.communicate(timeout=_END_TIMEOUT_S)


def read_report(text: str) -> dict[str, int]:
    """Counts by name from perf's comma-separated report, `total` included.

    Raises Unavailable when an event was not counted, or only for a part of the time.
    """
    counts: dict[str, int] = {}
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) < 5:
            continue  # the comment with the date, and blank lines
        count, event, enabled_percent = fields[0], fields[2], fields[4]
        name = (
            event.rpartition(":")[2].removeprefix("sys_enter_")
            if event.startswith("sys")
            else "total"
        )
        if not count.isdigit() or float(enabled_percent) < 100:
            raise Unavailable("perf", f"{event} was not counted throughout: {line}", "Use strace")
        counts[_NAME_OF.get(name, name)] = int(count)
    return counts


def _exists(tracepoint: str) -> bool:
    """False for a call that this architecture does not have (arm64 has no `poll`): perf would
    refuse the whole list.
    """
    if not os.path.isdir(_TRACEPOINTS):  # not mounted, or not ours to see: perf will say so itself
        return True
    return os.path.isdir(_TRACEPOINTS / f"sys_enter_{tracepoint}")


def _in_short(complaint: str) -> str:
    """A sentence of the half page with which perf explains a refusal."""
    words = " ".join(complaint.split())
    return "no permission to trace" if "permission" in words.lower() else words[:150]


class _Control:
    """Two pipes to perf: commands one way, acknowledgements the other."""

    def __init__(self) -> None:
        self._commands_out, self._commands_in = os.pipe()
        self._answers_out, self._answers_in = os.pipe()
        self.far_ends = (self._commands_out, self._answers_in)
        self.option = f"fd:{self._commands_out},{self._answers_in}"
        self._open = {self._commands_out, self._commands_in, self._answers_out, self._answers_in}

    def __enter__(self) -> _Control:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close(*self._open)

    def close_far_ends(self) -> None:
        """Keep only our ends, so that reading an answer ends when perf ends."""
        self._close(*self.far_ends)

    def tell(self, word: str) -> bool:
        """Send one command and wait for the acknowledgement; False when perf is gone."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._commands_in, f"{word}\n".encode())
        return os.read(self._answers_out, 64).startswith(b"ack")

    def _close(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            if descriptor in self._open:
                self._open.remove(descriptor)
                os.close(descriptor)
