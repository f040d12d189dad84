"""Lab 00: the prices of a system call and of a copy, and how a verdict comes about.

What the later labs measure is mostly made of three prices: a turn of a Python loop, a system call,
a copied byte. So the learner guesses and measures those first.
"""

from __future__ import annotations

from zerocopy_lab.classroom.evidence import Quantity
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box, show_table
from zerocopy_lab.instruments.capabilities import capabilities
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.lessons.lab00.start_here_exercises import file_to_send, seven_rounds
from zerocopy_lab.measuring.calibration import AGAIN, ASK, CALL, Calibration
from zerocopy_lab.measuring.experiment import compare
from zerocopy_lab.pictures.cost_curves import Curve, crossover
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running import flight_events

__all__ = ["file_to_send", "flight_events", "seven_rounds"]

_LIMITS = (64, 1 << 10, 16 << 10, 256 << 10)
"""Between the notebook's choices, in bytes."""


def bracket(copied_bytes: float) -> int:
    """The number of the notebook's choice that so many bytes belong to."""
    return 1 + sum(copied_bytes >= limit for limit in _LIMITS)


def show_what_this_machine_can_measure(lab: Lab) -> None:
    """A table: what can be found out here, by which instrument, and if not, why."""
    rows = [
        [each.evidence, each.question, each.instrument, each.why_not or "yes"]
        for each in capabilities(lab.out_dir)
    ]
    show_table(["evidence", "what", "by", "here"], rows)


def costs_picture(prices: Calibration) -> Picture:
    """What copying a block costs, by its size, against what one system call costs whatever it
    moves.
    """
    sizes = [2**exponent for exponent in range(6, 21, 2)]
    near, far = prices.near_ns_per_kib, prices.far_ns_per_kib
    curves = [
        Curve("copy, in the caches", tuple((s, _scaled(near, s / 1024)) for s in sizes)),
        Curve("copy, main memory", tuple((s, _scaled(far, s / 1024)) for s in sizes)),
        Curve("one system call", tuple((s, prices.system_call_ns) for s in sizes)),
        Curve("a turn in Python", tuple((s, prices.turn_ns) for s in sizes)),
    ]
    between = (prices.bytes_per_call.low, prices.bytes_per_call.high)
    origin = Origin("TIMED", prices.outcome.host.text())
    title = f"One system call is worth copying {byte_count(prices.bytes_per_call.median)}"
    return crossover(
        curves, unit="ns", origin=origin, between=between, size_of="a block", title=title
    )


def costs_words(prices: Calibration) -> str:
    """The conclusion under that picture."""
    worth = prices.bytes_per_call
    slower = prices.far_ns_per_kib.median / prices.near_ns_per_kib.median
    return (
        f"One system call takes {prices.system_call_ns.text('ns')}. In that time "
        f"{byte_count(worth.median)} can be copied inside the caches ({byte_count(worth.low)} to "
        f"{byte_count(worth.high)}, n = {worth.n}); from main memory a copy takes {slower:.1f} "
        f"times as long. A turn of a Python loop takes {prices.turn_ns.text('ns')}. So for small "
        "pieces the calls are the price, for large pieces the copies."
    )


def loop_seconds_per_gib(
    prices: Calibration, *, chunk_bytes: int, calls: int, copies: int
) -> Spread:
    """What calls and copies alone make a loop cost that moves 1 GiB in chunks: arithmetic on the
    prices, in seconds.
    """
    chunks = (1 << 30) / chunk_bytes
    call_s = _scaled(prices.system_call_ns, chunks * calls / 1e9)
    copy_s = _scaled(prices.near_ns_per_kib, copies * (1 << 20) / 1e9)
    return Spread(
        call_s.median + copy_s.median, call_s.low + copy_s.low, call_s.high + copy_s.high, call_s.n
    )


def loop_picture(prices: Calibration, calls: int, copies: int) -> Picture:
    """The cost of a loop by its chunk size, computed from the prices."""
    chunk_sizes = [2**exponent for exponent in range(8, 23, 2)]

    def curve(name: str, calls: int, copies: int) -> Curve:
        def cost(chunk_bytes: int) -> Spread:
            return loop_seconds_per_gib(prices, chunk_bytes=chunk_bytes, calls=calls, copies=copies)

        return Curve(name, tuple((chunk_bytes, cost(chunk_bytes)) for chunk_bytes in chunk_sizes))

    yours = curve(f"calls: {calls}, copies: {copies}", calls, copies)
    origin = Origin("COMPUTED", f"from prices of {prices.outcome.host.text()}")
    both = [yours, curve("1 call, no copy", 1, 0)]
    title = f"A loop with calls: {calls} and copies: {copies} a chunk, beside 1 call and no copy"
    return crossover(both, unit="s per GiB", origin=origin, size_of="a chunk", title=title)


def loop_words(prices: Calibration, calls: int, copies: int) -> str:
    """The conclusion under that picture, at the article's own chunk size."""
    small, large = (
        loop_seconds_per_gib(prices, chunk_bytes=size, calls=calls, copies=copies).median
        for size in (4 << 10, 1 << 20)
    )
    return (
        f"With calls: {calls} and copies: {copies} per chunk, 1 GiB costs {small:.2f} s in chunks "
        f"of 4 KiB and {large:.2f} s in chunks of 1 MiB: as many copies, fewer calls."
    )


def show_two_verdicts(prices: Calibration) -> None:
    """What the rule for verdicts says about two loops that are the same, and two that are not."""
    box("plain", "The same loop under two names", _verdict_words(prices, AGAIN))
    box("plain", "With and without the kernel", _verdict_words(prices, ASK))


def _verdict_words(prices: Calibration, first: str) -> list[str]:
    """A verdict on one of the loops and the plain call, in sentences."""
    found = compare(prices.outcome, first, CALL, "cpu_s")
    factor = found.ratio.text(digits=3)
    return [
        f"“{first}” took {factor} times the CPU time of “{CALL}”.",
        f"The verdict: {found.verdict}. The reason: {found.why}.",
    ]


def figures(prices: Calibration) -> list[Quantity]:
    """What this lab hands to the report."""
    return [
        Quantity("one turn of a Python loop", prices.turn_ns, "ns"),
        Quantity("one system call", prices.system_call_ns, "ns"),
        Quantity("copying 1 KiB inside the caches", prices.near_ns_per_kib, "ns"),
        Quantity("copying 1 KiB from main memory", prices.far_ns_per_kib, "ns"),
        Quantity("bytes copied in the time of one call", prices.bytes_per_call, "bytes"),
    ]


def _scaled(value: Spread, factor: float) -> Spread:
    return Spread(value.median * factor, value.low * factor, value.high * factor, value.n)
