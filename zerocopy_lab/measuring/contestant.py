"""A contestant of an experiment, and the process in which it runs.

A contestant is a function at the top level of a module, called as `work(stopwatch, **settings)`. It
prepares, brackets what counts with `with stopwatch:`, tidies up, and may return further figures by
name (bytes sent, for instance), which become part of the sample. What all its runs of a round have
in common can be prepared once, in `prepare(**settings)`.

Its process is an ordinary command that one can try by hand. It takes its orders from the first line
of stdin, prepares, warms up, says `ready`, and then answers every further line with the figures of
one run:

    (echo '{"work": "my_module:my_work", "settings": {}, "warm_ups": 1, "cpu": null}'; echo run) |
        python -m zerocopy_lab.measuring.contestant

The other end of that conversation is `entrant`.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from zerocopy_lab.measuring.stopwatch import Stopwatch

Work = Callable[..., Mapping[str, float] | None]

READY: Final = "ready"


@dataclass(frozen=True)
class Contestant:
    """A name for tables, the work, and its settings (plain values that JSON can hold)."""

    name: str
    work: Work
    settings: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[..., object] | None = None

    def orders(self) -> dict[str, Any]:
        """What its process needs to know about it. ValueError if it cannot find the functions."""
        return {
            "work": _reference(self.work),
            "prepare": self.prepare and _reference(self.prepare),
            "settings": dict(self.settings),
        }


def _reference(function: Callable[..., object]) -> str:
    """`module:function`, by which another process finds it. ValueError if none can."""
    module, name = function.__module__, function.__qualname__
    if module == "__main__" or not name.isidentifier():
        raise ValueError(
            f"{module}.{name} cannot be found by another process: put it at the top level"
            " of a module file (in a notebook, begin the cell with %%writefile my_work.py)"
        )
    return f"{module}:{name}"


def command_contestant(name: str, command: Sequence[str]) -> Contestant:
    """A contestant that is a command; its CPU time, program start included, is `children_cpu_s`."""
    return Contestant(name, run_command, {"command": list(command)})


def run_command(stopwatch: Stopwatch, command: Sequence[str]) -> None:
    """The work of a command contestant. Raises CalledProcessError when the command fails."""
    with stopwatch:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _follow_orders() -> None:
    """What the process does. An exception ends it, and its traceback on stderr is the answer."""
    # Open until the process ends: for the other end, the end of the answers is its end.
    answers = os.fdopen(os.dup(1), "w", closefd=False)
    os.dup2(2, 1)  # whatever the work prints must not be mistaken for figures
    orders = json.loads(sys.stdin.readline())
    work: Work = _find(orders["work"])
    if prepare := orders.get("prepare"):
        _find(prepare)(**orders["settings"])
    for _ in range(orders["warm_ups"]):
        _run_once(work, orders)
    print(READY, file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(_run_once(work, orders)), file=answers, flush=True)


def _find(reference: str) -> Callable[..., Any]:
    module, _colon, name = reference.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _run_once(work: Work, orders: dict[str, Any]) -> dict[str, float]:
    stopwatch = Stopwatch(orders["cpu"])
    returned = dict(work(stopwatch, **orders["settings"]) or {})
    if not stopwatch.figures:
        raise ValueError(f"{orders['work']} measured nothing: it needs a `with stopwatch:`")
    if doubled := returned.keys() & stopwatch.figures.keys():
        raise ValueError(f"{orders['work']} returns figures of the stopwatch: {sorted(doubled)}")
    return {**stopwatch.figures, **returned}


if __name__ == "__main__":
    _follow_orders()
