"""Lab 04, the price: is it the copies or the calls that the loop of 4 KiB loses its time to?

The loop stands alone here (`measuring.sending_loops`): no broker is in it, and what of it is Python
is measured by itself, as turns with nothing to move, and taken off. Two things tell the 4 KiB loop
from one large sendfile, the size of the chunk and the copies, so all four ways are measured, and
each change is judged in both orders. The same loops in C are the control of that account.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity, Verdict, verdict_if
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import KERNEL_HERE
from zerocopy_lab.classroom.thresholds import MOST
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.experiment import Contestant, Outcome, run_experiment
from zerocopy_lab.measuring.recorded import recorded, recorded_words
from zerocopy_lab.measuring.sending_loops import compiled, loop_contestant
from zerocopy_lab.pictures.loop_cost import LoopCost, Order, cost_of_loops
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count

ARTICLES_CHUNK_BYTES: Final = 4096
LARGE_CHUNK_BYTES: Final = 1 << 20
SMALL_LOOP, LARGE_LOOP = "loop, 4 KiB", "loop, 1 MiB"
SMALL_DIRECT, LARGE_DIRECT = "sendfile, 4 KiB", "sendfile, 1 MiB"
FOUR: Final = (SMALL_LOOP, LARGE_LOOP, SMALL_DIRECT, LARGE_DIRECT)
EMPTY_LOOP, EMPTY_DIRECT = "empty turns of the loop", "empty turns of sendfile"
WAYS: Final = {
    SMALL_LOOP: ("read_and_send", ARTICLES_CHUNK_BYTES),
    LARGE_LOOP: ("read_and_send", LARGE_CHUNK_BYTES),
    SMALL_DIRECT: ("only_sendfile", ARTICLES_CHUNK_BYTES),
    LARGE_DIRECT: ("only_sendfile", LARGE_CHUNK_BYTES),
    EMPTY_LOOP: ("read_and_send_nothing", ARTICLES_CHUNK_BYTES),
    EMPTY_DIRECT: ("sendfile_nothing", ARTICLES_CHUNK_BYTES),
}
"""Contestants: which loop, and how many bytes a turn."""

CHUNKS: Final = {byte_count(1 << exponent): 1 << exponent for exponent in (12, 14, 16, 18, 20, 22)}

SHARES_AS = "04 shares in C"
"""What the reference run calls them."""

_IN_C = ", in C"
_COST = "sender_cpu_s_per_gib"


# -- measure ---------------------------------------------------------------------------------------


class Sweep(NamedTuple):
    """The costs, and why there is no loop in C, if there is none."""

    outcome: Outcome
    no_c: str | None

    @property
    def has_c(self) -> bool:
        """Whether the control ran."""
        return self.no_c is None

    def costs(self, name: str) -> list[float]:
        """Of a contestant: CPU seconds per GiB, round by round."""
        return self.outcome.values(name, _COST)

    def pythons_own(self, name: str) -> list[float]:
        """What of a way is Python: its empty turns less the same in C. Without a compiler nobody
        can tell it from the visit to the kernel, and the whole empty turn is taken.
        """
        empty, fewer = _empty_turns_of(name)
        bare = self.costs(empty + _IN_C) if self.has_c else [0.0] * len(self.costs(empty))
        return [fewer * (a - b) for a, b in zip(self.costs(empty), bare, strict=True)]

    def without_python(self, name: str) -> list[float]:
        """What is left of a way when Python is taken off."""
        return [a - b for a, b in zip(self.costs(name), self.pythons_own(name), strict=True)]


def _empty_turns_of(name: str) -> tuple[str, float]:
    """The contestant that makes the same calls with nothing to move, and how many of its turns a
    way such as `loop, 64 KiB` makes for each of them.
    """
    kind, chunk = name.split(", ")
    empty = EMPTY_LOOP if kind == "loop" else EMPTY_DIRECT
    return empty, ARTICLES_CHUNK_BYTES / CHUNKS[chunk]


def sweep(path: Path, lab: Lab) -> Sweep:
    """All ways over the file at `path`, in turns: in Python, and in C where there is a compiler."""
    try:
        library, no_c = compiled(path.parent), None
    except Unavailable as reason:
        library, no_c = None, str(reason)
    contestants = [_contestant(name, path) for name in WAYS]
    if library is not None:
        contestants += [_contestant(name, path, library) for name in WAYS]
    return Sweep(run(contestants, lab), no_c)


def _contestant(name: str, path: Path, library: Path | None = None) -> Contestant:
    loop, chunk_bytes = WAYS[name]
    ending = "" if library is None else _IN_C
    return loop_contestant(name + ending, loop, chunk_bytes, path, library=library)


def run(contestants: Sequence[Contestant], lab: Lab) -> Outcome:
    """All in turns. Raises ContestantFailed."""
    return run_experiment(
        "the loop, alone",
        contestants,
        repeats=3 if lab.fast else 7,
        warm_ups=0,
        runs=2 if lab.fast else 3,
        seed=lab.seed,
    )


# -- copies or calls -------------------------------------------------------------------------------


class Shares(NamedTuple):
    """Of what the small loop costs more than one large sendfile: what each change brings back when
    it is the first that is made, round by round. The other then brings the rest.
    """

    larger_chunks: Spread
    no_copies: Spread

    @property
    def least_of_copies(self) -> Spread:
        """What not copying brings back when the chunks are large already."""
        share = self.larger_chunks
        return Spread(1 - share.median, 1 - share.high, 1 - share.low, share.n)

    def text(self) -> str:
        """Both, in percent."""
        return f"{_percent(self.larger_chunks)} and {_percent(self.no_copies)}"


def shares(measured: Sweep, in_c: bool = False) -> Shares | None:
    """By the loops in Python without what is Python's, or by those in C. None when in some round
    the small loop cost no more than sendfile: there is nothing to share then.
    """
    costs = [measured.costs(way + _IN_C) if in_c else measured.without_python(way) for way in FOUR]
    rounds = list(zip(*costs, strict=True))
    if any(small <= direct for small, _, _, direct in rounds):
        return None
    return Shares(
        spread((small - large) / (small - direct) for small, large, _, direct in rounds),
        spread((small - same) / (small - direct) for small, _, same, direct in rounds),
    )


def worth_answer(measured: Sweep) -> tuple[int | None, str]:
    """The number of the notebook's choice, what larger chunks save of the difference; or why there
    is none.
    """
    found = shares(measured)
    if found is None:
        return None, _shares_in_words(measured)
    return 1 + sum(found.larger_chunks.median >= limit for limit in (1 / 3, 2 / 3)), ""


def price_picture(measured: Sweep) -> Picture:
    """The four ways in their parts, and both orders of taking away."""
    found = shares(measured)
    orders = [] if found is None else [
        Order("larger chunks", "no copies", found.larger_chunks),
        Order("no copies", "larger chunks", found.no_copies),
    ]  # fmt: skip
    return cost_of_loops(
        [cost_of(measured, way) for way in FOUR],
        origin=Origin("TIMED", measured.outcome.host.text()),
        orders=orders,
        control="the same loop in C",
        title=f"Larger chunks bring back {found.larger_chunks.median:.0%}" if found else "",
    )


def cost_of(measured: Sweep, name: str, of: Outcome | None = None) -> LoopCost:
    """A way such as `loop, 64 KiB` in its parts, its total from another outcome if one is given."""
    python = statistics.median(measured.pythons_own(name))
    total = spread((of or measured.outcome).values(name, _COST))
    if not measured.has_c:
        part = ("a turn with nothing to move: Python, and entering the kernel", python)
        return LoopCost(name, total, (part,))
    empty, fewer = _empty_turns_of(name)
    kernel = fewer * statistics.median(measured.costs(empty + _IN_C))
    in_c = None if name + _IN_C not in measured.outcome.contestants else spread(
        measured.costs(name + _IN_C)
    )  # fmt: skip
    return LoopCost(
        name, total, (("Python's turns", python), ("entering the kernel", kernel)), in_c
    )


def price_words(measured: Sweep) -> str:
    """The conclusion under that picture."""
    small, large, same, direct = (spread(measured.costs(way)).median for way in FOUR)
    python = statistics.median(measured.pythons_own(SMALL_LOOP))
    whose = "Python" if measured.has_c else "an empty turn (Python, and entering the kernel)"
    return (
        f"For a GiB the sender took {small:.2f} s with the loop of 4 KiB, {large:.2f} s with 1 "
        f"MiB; sendfile {same:.2f} s with 4 KiB, {direct:.2f} s with 1 MiB. Of the small loop "
        f"{python:.2f} s are {whose}, and are left out from here on. {_shares_in_words(measured)}"
    )


def _shares_in_words(measured: Sweep) -> str:
    found = shares(measured)
    if found is None:
        return "What is left is no more than sendfile takes: there is no difference to explain."
    chunks, copies = found.larger_chunks, found.no_copies
    return (
        f"Make the chunks larger first: that brings back {_percent(chunks)} of the difference, and "
        f"not copying the other {1 - chunks.median:.0%}. Stop copying first: that brings back "
        f"{_percent(copies)}, and larger chunks the other {1 - copies.median:.0%}. (The "
        "two overlap: a sendfile instead of a read and a send is also one call less.) "
        f"{_control_in_words(measured)}"
    )


def _control_in_words(measured: Sweep) -> str:
    if measured.has_c:
        in_c = shares(measured, in_c=True)
        told = "no difference" if in_c is None else in_c.text()
        return f"The same loops in C, where nothing is Python's: {told}."
    there = recorded_words(f"in C the two were {recorded(SHARES_AS)}.")
    return (
        f"There is no control here: {measured.no_c} So entering the kernel, which is a part of "
        f"what small chunks cost, is left out with Python. {there}"
    )


def _percent(share: Spread) -> str:
    return f"{share.median:.0%} ({share.low:.0%} to {share.high:.0%}, n = {share.n})"


def cost_finding(measured: Sweep) -> Finding:
    """Z1: is it the copies that the loop loses its time to? Judged in both orders, and by C."""
    verdicts = {_judged(shares(measured))}
    if measured.has_c:
        verdicts.add(_judged(shares(measured, in_c=True)))
    verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.INCONCLUSIVE
    found = shares(measured)
    given = [] if found is None else [
        Quantity("saved by larger chunks, made first", found.larger_chunks),
        Quantity("saved by not copying, made first", found.no_copies),
    ]  # fmt: skip
    return Aspect("Z1", KERNEL_HERE, "what the loop loses, it loses to copies").timed(
        verdict,
        price_words(measured),
        *[Quantity(f"sender CPU, {way}", spread(measured.costs(way)), "s/GiB") for way in FOUR],
        *given,
    )


def _judged(found: Shares | None) -> Verdict:
    """Copies have their share between two bounds; a bound alone proves nothing."""
    if found is None:
        return Verdict.INCONCLUSIVE
    bounds = (found.least_of_copies, found.no_copies)
    if all(bound.low > MOST for bound in bounds):
        return Verdict.SUPPORTED
    return verdict_if(False if all(bound.high < MOST for bound in bounds) else None)
