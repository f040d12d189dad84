"""A broker in a process of its own, to be killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import zerocopy_lab.commands.serve  # noqa: F401 - before the fork: see Broker
from ci.torture.plan import Plan
from zerocopy_lab.__main__ import main

_DIE_WITH_PARENT = 1  # prctl(2), PR_SET_PDEATHSIG


class Broker:
    """`zerocopy_lab serve`, with housekeeping twenty times a second. It may not listen yet.

    It is forked from this process, which has imported all of it: so a start costs milliseconds
    instead of the third of a second that Python takes to read the sources, and a thousand kills
    take minutes. With a `plan`, its file operations in and below `root` follow that.
    """

    def __init__(
        self, data_dirs: Sequence[Path], log_path: Path, root: Path, plan: Plan | None
    ) -> None:
        words = ["serve", "--port", "0", "--log-level", "warning"]
        for path in data_dirs:
            words += ["--data-dir", str(path)]
        words += ["--set", "log.retention.check.interval.ms=50"]
        reader, writer = os.pipe()
        fork = multiprocessing.get_context("fork")
        self._process = fork.Process(target=_serve, args=(words, writer, log_path, root, plan))
        self._process.start()
        os.close(writer)
        self._output = os.fdopen(reader)

    def port(self) -> int | None:
        """Waits until it listens; None when it has ended instead."""
        line = self._output.readline()
        if line.startswith("listening on "):
            return int(line.rpartition(":")[2])
        self._process.join()
        return None

    @property
    def exit_code(self) -> int | None:
        """None as long as it runs; minus the signal that has killed it."""
        return self._process.exitcode

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends before that time is over."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def kill(self) -> None:
        """Kill -9, also one that is gone already."""
        self._process.kill()
        self._process.join()
        self._output.close()

    def kill_in(self, seconds: float) -> threading.Timer:
        """The same in a while, from another thread."""
        assert self._process.pid is not None
        timer = threading.Timer(seconds, os.kill, (self._process.pid, signal.SIGKILL))
        timer.start()
        return timer

    def terminate(self) -> None:
        """Asks for a clean stop (SIGTERM)."""
        self._process.terminate()


def _serve(words: list[str], output: int, log_path: Path, root: Path, plan: Plan | None) -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.dup2(output, 1)
    os.dup2(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    if plan is not None:
        plan.watch(root)
    sys.exit(main(words))
