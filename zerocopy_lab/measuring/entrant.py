"""A contestant that has entered a round: its process, started, warmed up, and run when told to.

Every round starts *new* processes. A process keeps the luck of its memory layout for life, so two
samples from one process are less independent than they look, and two identical contestants with one
process each would differ systematically.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Self

from zerocopy_lab.measuring.contestant import READY, Contestant


class ContestantFailed(RuntimeError):
    """A contestant's process failed, or was not ready in time; the message has its last words."""


class Entrant:
    """The process of one contestant in one round; `with` ends it and whatever it started.

    It starts at once, so that several can get ready side by side.
    """

    def __init__(self, contestant: Contestant, warm_ups: int, cpu: int | None, timeout_s: float):
        """Start the process. `timeout_s` is for all warm-ups together, and then for each run."""
        orders = {**contestant.orders(), "warm_ups": warm_ups, "cpu": cpu}
        self._name = contestant.name
        self._timeout_s = timeout_s
        self._timed_out = False
        self._last_words = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "zerocopy_lab.measuring.contestant"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._last_words,
            text=True,
            env={**os.environ, "PYTHONPATH": _import_path()},
            start_new_session=True,  # so that the receivers it starts can be ended with it
        )
        self._say(json.dumps(orders))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        """Let the process tidy up, unless somebody is impatient (Ctrl-C); then end it and, in case
        it left any running, the processes of its session.
        """
        if kind in (None, ContestantFailed):
            self._let_tidy_up()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # of an order that nobody read
                pipe.close()
        self._last_words.close()

    def get_ready(self) -> None:
        """Wait until it is warmed up. Raises ContestantFailed."""
        if self._await_line() != READY:
            raise self._failure()

    def _let_tidy_up(self) -> None:
        """The end of its orders ends it; the end of its answers says that it has."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self._process.stdin.close()
        self._await_line()

    def run(self) -> dict[str, float]:
        """The figures of one run. Raises ContestantFailed."""
        self._say("run")
        answer = self._await_line()
        if not answer:
            raise self._failure()
        return {name: float(value) for name, value in json.loads(answer).items()}

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: there will be no answer
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _await_line(self) -> str:
        """The next answer; empty when the process has ended or had to."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(self._timeout_s, self._give_up)
        watchdog.start()
        try:
            return self._process.stdout.readline().strip()
        finally:
            watchdog.cancel()

    def _give_up(self) -> None:
        self._timed_out = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _failure(self) -> ContestantFailed:
        if self._timed_out:
            return ContestantFailed(f"{self._name} did not end within {self._timeout_s:.0f} s")
        self._process.wait()
        self._last_words.seek(0)
        return ContestantFailed(f"{self._name} failed:\n{self._last_words.read()[-2000:]}")


def _import_path() -> str:
    """What this process can import, the new one can too, whatever its working directory."""
    return os.pathsep.join(path or os.getcwd() for path in sys.path)
