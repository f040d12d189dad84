"""What a turn of a Python loop, one system call and one copied byte cost on this machine.

Three figures explain most of what the labs measure, so they come first:

| contestant | its loop | what the comparison isolates |
|---|---|---|
| `call a function` | `sys.getrecursionlimit()` | a turn of the loop: a call that stays in Python |
| `call it again` | the very same loop | what chance alone makes of two equals |
| `ask the kernel` | `os.getppid()` | the same plus one system call that does nothing else |
| `copy near` | 32 KiB to 32 KiB, again and again | memcpy inside the processor's caches |
| `copy far` | a block larger than the caches | memcpy from and to main memory |

Each runs in processes of its own, in turns (see `experiment`). What is left out: a system call
that does something costs more than this one, and a copy in the kernel uses other instructions.
These are the smallest prices, not the usual ones.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.measuring.experiment import Contestant, Outcome, run_experiment
from zerocopy_lab.measuring.stopwatch import Stopwatch

NEAR_BYTES = 32 << 10
CALL, AGAIN, ASK = "call a function", "call it again", "ask the kernel"
NEAR, FAR = "copy near", "copy far"
_GIB = 1 << 30


class Calibration(NamedTuple):
    """The prices, and the measurements behind them."""

    turn_ns: Spread
    """a turn of a Python loop that calls a function which does nothing else"""
    system_call_ns: Spread
    near_ns_per_kib: Spread
    far_ns_per_kib: Spread
    bytes_per_call: Spread
    """how many bytes are copied (near) in the time of one system call"""
    outcome: Outcome


def calibrate(*, fast: bool, seed: int, with_twin: bool = False) -> Calibration:
    """Measures the loops in turns, the twin (`call it again`) only when asked for.

    Raises ExperimentRefused, ContestantFailed.
    """
    calls, copied_bytes = (300_000, _GIB // 4) if fast else (2_000_000, 4 * _GIB)
    outcome = run_experiment(
        "a system call and a copy",
        [
            Contestant(CALL, call_a_function, {"calls": calls}),
            *([Contestant(AGAIN, call_a_function, {"calls": calls})] if with_twin else []),
            Contestant(ASK, ask_the_kernel, {"calls": calls}),
            Contestant(NEAR, copy, {"block_bytes": NEAR_BYTES, "total_bytes": copied_bytes}),
            Contestant(FAR, copy, {"block_bytes": 128 << 20, "total_bytes": copied_bytes}),
        ],
        repeats=3 if fast else 7,
        warm_ups=0 if fast else 1,
        seed=seed,
    )
    return prices(outcome, calls, copied_bytes)


def prices(outcome: Outcome, calls: int, copied_bytes: int) -> Calibration:
    """The prices from CPU times: round by round, so that a disturbed round stays one round."""
    with_kernel, without = outcome.values(ASK, "cpu_s"), outcome.values(CALL, "cpu_s")
    call_ns = [(a - b) / calls * 1e9 for a, b in zip(with_kernel, without, strict=True)]
    turn_ns = spread(seconds / calls * 1e9 for seconds in without)
    kibs = copied_bytes / 1024
    near = [seconds / kibs * 1e9 for seconds in outcome.values(NEAR, "cpu_s")]
    far = [seconds / kibs * 1e9 for seconds in outcome.values(FAR, "cpu_s")]
    worth = [call / kib * 1024 for call, kib in zip(call_ns, near, strict=True)]
    return Calibration(turn_ns, spread(call_ns), spread(near), spread(far), spread(worth), outcome)


def call_a_function(stopwatch: Stopwatch, calls: int) -> None:
    """Calls a C function that asks nobody."""
    _repeat(stopwatch, sys.getrecursionlimit, calls)


def ask_the_kernel(stopwatch: Stopwatch, calls: int) -> None:
    """Calls a C function that is one system call: getppid(2), which the C library never caches."""
    _repeat(stopwatch, os.getppid, calls)


def _repeat(stopwatch: Stopwatch, function: Callable[[], int], calls: int) -> None:
    with stopwatch:
        for _ in itertools.repeat(None, calls):
            function()


def copy(stopwatch: Stopwatch, block_bytes: int, total_bytes: int) -> None:
    """Copies a block to another place until `total_bytes` have been copied: one memcpy each."""
    source, target = bytearray(b"x") * block_bytes, memoryview(bytearray(block_bytes))
    target[:] = source  # touches every page once, which is not what is measured
    with stopwatch:
        for _ in itertools.repeat(None, total_bytes // block_bytes):
            target[:] = source
