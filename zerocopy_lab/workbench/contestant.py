"""A contestant of an experiment, and how one sample of it is taken in a process of its own.

A contestant is a function at the top level of a module, called as `work(stopwatch, **settings)`. It
may return further figures by name (bytes sent, for instance), which become part of the sample. Each
sample starts a *new* process: a process keeps the luck of its memory layout for life, so two
samples from one process are less independent than they look, and two identical contestants with
one process each would differ systematically.

The process is an ordinary command that one can run by hand. It reads its orders from stdin and
writes the figures to stdout, both JSON:

    echo '{"work": "my_module:my_function", "settings": {}, "warm_ups": 1, "cpu": null}' |
        python -m zerocopy_lab.workbench.contestant
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zerocopy_lab.workbench.stopwatch import Stopwatch

Work = Callable[..., Mapping[str, float] | None]


class ContestantFailed(RuntimeError):
    """A contestant's process failed, or was not ready in time; the message has its last words."""


@dataclass(frozen=True)
class Contestant:
    """A name for tables, the work, and its settings (plain values that JSON can hold)."""

    name: str
    work: Work
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """`module:function`, by which another process finds the work. ValueError if none can."""
        module, function = self.work.__module__, self.work.__qualname__
        if module == "__main__" or not function.isidentifier():
            raise ValueError(
                f"{module}.{function} cannot be found by another process: put it at the top level"
                " of a module file (in a notebook, begin the cell with %%writefile my_work.py)"
            )
        return f"{module}:{function}"


def command_contestant(name: str, command: Sequence[str]) -> Contestant:
    """A contestant that is a command; its CPU time, program start included, is `children_cpu_s`."""
    return Contestant(name, run_command, {"command": list(command)})


def run_command(stopwatch: Stopwatch, command: Sequence[str]) -> None:
    """The work of a command contestant. Raises CalledProcessError when the command fails."""
    with stopwatch:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def take_sample(
    contestant: Contestant, *, warm_ups: int, cpu: int | None, timeout_s: float
) -> dict[str, float]:
    """The figures of one run, after `warm_ups` runs that are not counted, in a new process.

    Raises ContestantFailed. Whatever happens, no process is left behind.
    """
    orders = {
        "work": contestant.reference,
        "settings": dict(contestant.settings),
        "warm_ups": warm_ups,
        "cpu": cpu,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        start_new_session=True,  # so that the receivers it starts can be ended with it
    )
    try:
        figures, complaints = process.communicate(json.dumps(orders), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ContestantFailed(f"{contestant.name} did not end within {timeout_s:.0f} s") from None
    finally:
        _end_session(process)
    if process.returncode != 0:
        raise ContestantFailed(f"{contestant.name} failed:\n{complaints[-2000:]}")
    return {name: float(value) for name, value in json.loads(figures).items()}


def _end_session(process: subprocess.Popen[str]) -> None:
    """End what the contestant left running, if anything; its session holds nobody else."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, as it should be
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _run_orders() -> None:
    """The other side: what the new process does."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the work prints must not be mistaken for figures
    orders = json.load(sys.stdin)
    module, _colon, function = orders["work"].partition(":")
    work: Work = getattr(importlib.import_module(module), function)
    for _ in range(orders["warm_ups"]):
        work(Stopwatch(orders["cpu"]), **orders["settings"])
    stopwatch = Stopwatch(orders["cpu"])
    returned = dict(work(stopwatch, **orders["settings"]) or {})
    if not stopwatch.figures:
        raise ValueError(f"{orders['work']} measured nothing: it needs a `with stopwatch:`")
    if doubled := returned.keys() & stopwatch.figures.keys():
        raise ValueError(f"{orders['work']} returns figures of the stopwatch: {sorted(doubled)}")
    with answer:
        json.dump({**stopwatch.figures, **returned}, answer)


if __name__ == "__main__":
    _run_orders()
