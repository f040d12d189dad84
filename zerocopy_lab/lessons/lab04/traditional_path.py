"""Lab 04: what does a loop of read and write cost, and is it the copies or the calls?

Who moves a byte is in `moves`, what it costs in `loop_price`; here are the mode switches, the
widget, the learner's own loop in a broker, and all that the lab concludes.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.kept_parts import is_kept
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box, show_table
from zerocopy_lab.classroom.subject import KERNEL_HERE
from zerocopy_lab.classroom.thresholds import MANY_TIMES
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.system_calls import count_system_calls
from zerocopy_lab.instruments.unavailable import Unmeasured, or_unmeasured
from zerocopy_lab.lessons.lab04 import moves as hops
from zerocopy_lab.lessons.lab04.loop_price import (
    ARTICLES_CHUNK_BYTES,
    CHUNKS,
    LARGE_CHUNK_BYTES,
    LARGE_DIRECT,
    LARGE_LOOP,
    SMALL_LOOP,
    WAYS,
    Sweep,
    cost_finding,
    cost_of,
    run,
)
from zerocopy_lab.lessons.lab04.moves import TOPIC, Moves
from zerocopy_lab.lessons.lab04.traditional_path_exercises import four_ways, two_prices
from zerocopy_lab.measuring.broker_contest import broker_contestant, per_gib
from zerocopy_lab.measuring.experiment import Outcome, run_experiment
from zerocopy_lab.measuring.receivers import RunningReceiver
from zerocopy_lab.measuring.sending_loops import GIB, LOOPS, loop_contestant
from zerocopy_lab.pictures.loop_cost import LoopCost, cost_of_loops
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.flight_events import Traffic
from zerocopy_lab.running.running_broker import RunningBroker, importable_here

__all__ = ["TOPIC", "flight_events", "four_ways", "two_prices"]

YOURS = "loop"
"""The learner's, by the name of its part."""

_CALLS = ("preadv", "preadv2", "sendto", "sendfile")
_CALLS_OVER_BYTES = 4 << 20
_ONE_PASS = "from zerocopy_lab.lessons.lab04 import traditional_path as t; t.one_pass({!r}, {!r})"


# -- mode switches ---------------------------------------------------------------------------------


class Switches(NamedTuple):
    """System calls for each GiB as the loop itself counts them, by way; and by the kernel's count,
    where that can be had.
    """

    counted: dict[str, float]
    by_the_kernel: dict[str, float] | Unmeasured


def switches(counted: dict[str, float]) -> Switches:
    """What the bare loops counted, held against the kernel's own count of two of them."""
    return Switches(counted, _by_the_kernel())


@or_unmeasured()
def _by_the_kernel() -> dict[str, float]:
    return {way: _calls_of(way) for way in (SMALL_LOOP, LARGE_DIRECT)}


def _calls_of(way: str) -> float:
    loop, chunk_bytes = WAYS[way]
    command = [sys.executable, "-c", _ONE_PASS.format(loop, chunk_bytes)]
    calls = count_system_calls(command, _CALLS, env=importable_here({}))
    return sum(calls.of(name) for name in _CALLS) * GIB / _CALLS_OVER_BYTES


def show_switches(counts: Switches, measured: Sweep) -> None:
    """The counts as a table, mode switches and the scheduler's told apart."""
    kernel = counts.by_the_kernel
    seen = {} if isinstance(kernel, Unmeasured) else kernel
    show_table(
        [
            "for each GiB",
            "system calls, by the loop's counter",
            "by the kernel's count",
            "switched by the scheduler: it waited",
            "others had their turn",
        ],
        [
            [
                way.replace(", ", " of "),
                f"{calls:,.0f}",
                f"{seen[way]:,.0f}" if way in seen else "",
                f"{_per_gib(measured, way, 'voluntary_switches').median:,.0f}",
                f"{_per_gib(measured, way, 'involuntary_switches').median:,.0f}",
            ]
            for way, calls in counts.counted.items()
        ],
    )
    if isinstance(kernel, Unmeasured):
        print(f"The kernel's own count is missing: {kernel}")


def switch_finding(counts: Switches, measured: Sweep) -> Finding:
    """Z1: "switches context again and again", as the article means it."""
    loop, direct = counts.counted[SMALL_LOOP], counts.counted[LARGE_DIRECT]
    slept, ousted = (
        [_per_gib(measured, way, kind) for way in (SMALL_LOOP, LARGE_DIRECT)]
        for kind in ("voluntary_switches", "involuntary_switches")
    )
    if isinstance(counts.by_the_kernel, Unmeasured):
        agrees, told = True, f"The kernel's own count is missing: {counts.by_the_kernel}"
    else:
        seen = counts.by_the_kernel
        agrees = all(
            abs(seen[way] / n - 1) < 0.05 for way, n in counts.counted.items() if way in seen
        )
        told = f"The kernel counted {seen[SMALL_LOOP]:,.0f} and {seen[LARGE_DIRECT]:,.0f}."
    return Aspect("Z1", KERNEL_HERE, "it switches context again and again").counted(
        loop > MANY_TIMES * direct if agrees else None,
        f"For a GiB the loop of 4 KiB enters the kernel and returns {loop:,.0f} times, sendfile "
        f"with 1 MiB {direct:,.0f} times: these are mode switches, and the article means them. "
        f"{told} The scheduler, which gives the processor to somebody else, switched the loop "
        f"{slept[0].text()} times because it waited and {ousted[0].text()} times to let others "
        f"run; sendfile {slept[1].text()} and {ousted[1].text()} times.",
        Quantity("system calls, loop of 4 KiB", loop, "per GiB"),
        Quantity("system calls, sendfile with 1 MiB", direct, "per GiB"),
        Quantity("scheduler switches to wait, loop of 4 KiB", slept[0], "per GiB"),
        Quantity("scheduler switches to wait, sendfile with 1 MiB", slept[1], "per GiB"),
    )


def _per_gib(measured: Sweep, way: str, figure: str) -> Spread:
    counts, gib = measured.outcome.values(way, figure), measured.outcome.values(way, "gib")
    return spread(count / moved for count, moved in zip(counts, gib, strict=True))


def one_pass(loop: str, chunk_bytes: int) -> None:
    """A loop over a small file, in a process whose calls are counted."""
    with RunningReceiver("dropping") as receiver, tempfile.TemporaryFile() as file:
        file.write(bytes(_CALLS_OVER_BYTES))
        file.flush()
        LOOPS[loop](receiver.sock, file.fileno(), _CALLS_OVER_BYTES, chunk_bytes)
        receiver.finish()


# -- try it ----------------------------------------------------------------------------------------


def one_chunk_picture(path: Path, lab: Lab, measured: Sweep, chunk: str) -> Picture:
    """Loop and sendfile with one chunk size, measured now."""
    origin = Origin("TIMED", measured.outcome.host.text())
    costs = list(_costs_with(path, lab, measured, chunk))
    return cost_of_loops(costs, origin=origin, title=f"Both ways with chunks of {chunk}")


def one_chunk_words(path: Path, lab: Lab, measured: Sweep, chunk: str) -> str:
    """What that picture shows."""
    loop, direct = _costs_with(path, lab, measured, chunk)
    left, least = (cost.measured.median - cost.parts[0][1] for cost in (loop, direct))
    return (
        f"Chunks of {chunk}: {2 * GIB // CHUNKS[chunk]:,} calls per GiB. The loop took "
        f"{loop.measured.text('s/GiB')}, sendfile {direct.measured.text('s/GiB')}; without the "
        f"turns {left:.2f} and {least:.2f} s."
    )


def _costs_with(path: Path, lab: Lab, measured: Sweep, chunk: str) -> tuple[LoopCost, LoopCost]:
    outcome = _measured_now(path, lab, chunk)
    loop, direct = outcome.contestants
    return cost_of(measured, loop, outcome), cost_of(measured, direct, outcome)


@functools.cache
def _measured_now(path: Path, lab: Lab, chunk: str) -> Outcome:
    return run(
        [
            loop_contestant(f"{name}, {chunk}", loop, CHUNKS[chunk], path)
            for name, loop in (("loop", "read_and_send"), ("sendfile", "only_sendfile"))
        ],
        lab,
    )


# -- the learner's own -----------------------------------------------------------------------------


def show_yours(scratch: Path, lab: Lab) -> None:
    """The kept loop in a broker: the alias test on its answer, and its price beside ours."""
    if not is_kept(YOURS, lab.parts_dir):
        return
    data_dir = scratch / "yours"
    with RunningBroker(data_dir, parts=lab.parts_dir, transfer=YOURS) as broker:
        flight_events.load(broker.bootstrap, TOPIC, fast=lab.fast)
        answer = hops.alias_of_an_answer(broker)
    outcome = run_experiment(
        "fetching through the broker, with your loop",
        [
            broker_contestant(
                name,
                data_dir,
                TOPIC,
                transfer=transfer,
                chunk_bytes=chunk_bytes,
                total_bytes=(64 << 20) if lab.fast else (256 << 20),
                parts=lab.parts_dir if transfer == YOURS else None,
            )
            for name, transfer, chunk_bytes in (
                ("your loop, 4 KiB", YOURS, ARTICLES_CHUNK_BYTES),
                ("your loop, 1 MiB", YOURS, LARGE_CHUNK_BYTES),
                ("the broker's loop, 4 KiB", "read_then_send", ARTICLES_CHUNK_BYTES),
                ("sendfile", "sendfile", None),
            )
        ],
        repeats=3 if lab.fast else 7,
        warm_ups=0,
        seed=lab.seed,
    )
    told = [
        f"{name}: {spread(per_gib(outcome, name, 'broker_cpu_s')).text('s/GiB')}"
        for name in outcome.contestants
    ]
    box(
        "plain",
        "Your loop in a broker, whose own Python comes on top",
        [f"The alias test: {hops.in_words(answer)}.", *told],
    )


# -- conclude --------------------------------------------------------------------------------------


def findings(moves: Moves, measured: Sweep, counts: Switches) -> list[Finding]:
    """Z1 in its parts."""
    return [*hops.findings(moves), cost_finding(measured), switch_finding(counts, measured)]


def invariants(sent: Traffic, received: Traffic, counts: Switches) -> dict[str, bool]:
    """What has to hold whatever the machine."""
    return {
        "what came back is what was sent, byte for byte": sent == received,
        "larger chunks need fewer calls": counts.counted[LARGE_LOOP] < counts.counted[SMALL_LOOP],
    }
