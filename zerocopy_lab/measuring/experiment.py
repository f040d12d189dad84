"""Experiments: contestants take turns, many times, in shuffled order, under checked conditions.

    outcome = run_experiment("64 KiB pieces", [Contestant(...), Contestant(...)], repeats=9)
    outcome.spread_of("sendfile", "cpu_s").text("s")
    compare(outcome, "sendfile", "read_then_send", "total_cpu_s").verdict   # cheaper, dearer, ...

A round starts a new process per contestant, warms all up, and then lets them take turns: each runs
`runs` times, in an order shuffled from the seed. The round's figures of a contestant are those of
its least disturbed run, because the same work never becomes cheaper by accident: what disturbs it
(a neighbour on the sibling hardware thread may double it) only adds. Taking turns within a fraction
of a second gives all the same neighbours.

Before every round the preconditions are asked again, and the experiment is refused the moment one
does not hold: a figure measured under wrong conditions is worse than none. What comes out is plain
data with host, versions and settings; `recorded` saves and loads it.
"""

from __future__ import annotations

import contextlib
import operator
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from zerocopy_lab.instruments.host import HostDescription, describe_host, usable_cpus
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.measuring.contestant import Contestant
from zerocopy_lab.measuring.entrant import ContestantFailed, Entrant
from zerocopy_lab.measuring.stopwatch import pinning_unavailable

__all__ = [
    "Comparison",
    "Contestant",
    "ContestantFailed",
    "ExperimentRefused",
    "Outcome",
    "compare",
    "run_experiment",
]

Precondition = Callable[[], str | None]
"""Answers None when the condition holds, or why the experiment must not be run."""


class ExperimentRefused(RuntimeError):
    """Preconditions do not hold; `reasons` says which. Labs show this as "not testable here"."""

    def __init__(self, title: str, reasons: Sequence[str]) -> None:
        super().__init__(f"'{title}' was not measured: {'; '.join(reasons)}")
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Sample:
    """One run of one contestant: its figures by name, units as suffixes."""

    contestant: str
    round_number: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """All that an experiment found, and under which circumstances."""

    title: str
    samples: tuple[Sample, ...]
    contestants: Mapping[str, Mapping[str, Any]]
    """name -> settings, in the order of a table"""
    settings: Mapping[str, Any]
    """repeats, warm_ups, runs, seed, the processor that the work was pinned to (None:
    not pinned)
    """
    notes: tuple[str, ...]
    """what a reader should know, for instance why nothing was pinned"""
    host: HostDescription
    versions: Mapping[str, str]
    measured_at: str
    recorded: bool = False
    """True: loaded from a file, and perhaps measured on another machine. Say so."""

    def values(self, contestant: str, figure: str) -> list[float]:
        """One figure of one contestant, round by round. KeyError names what there is."""
        samples = [sample for sample in self.samples if sample.contestant == contestant]
        if not samples:
            raise KeyError(f"no contestant {contestant!r}; there are {list(self.contestants)}")
        if figure not in samples[0].figures:
            raise KeyError(f"{contestant} has no figure {figure!r}, but {list(samples[0].figures)}")
        return [sample.figures[figure] for sample in samples]

    def spread_of(self, contestant: str, figure: str) -> Spread:
        """Median and range of one figure of one contestant."""
        return spread(self.values(contestant, figure))

    def provenance(self) -> str:
        """Where the figures come from, for captions."""
        said = "RECORDED, not measured here" if self.recorded else "measured"
        return f"{said}: {self.measured_at} on {self.host.text()}"


def run_experiment(
    title: str,
    contestants: Sequence[Contestant],
    *,
    repeats: int = 9,
    warm_ups: int = 1,
    runs: int = 3,
    seed: int = 1,
    preconditions: Sequence[Precondition] = (),
    notes: Sequence[str] = (),
    timeout_s: float = 120.0,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Measure all contestants in `repeats` rounds (>= 7 for a test, 3 in fast mode).

    `timeout_s` is for one run (or all warm-ups of one round); `notes`
    go to the outcome; `progress` is told each round in
    words. Raises ExperimentRefused, ContestantFailed, ValueError for names that occur twice.
    """
    if len({contestant.name for contestant in contestants}) < len(contestants):
        raise ValueError(f"contestants share a name: {[each.name for each in contestants]}")
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    no_pinning = pinning_unavailable()
    cpu = None if no_pinning else usable_cpus()[-1]  # the first one serves most interrupts
    order, samples = random.Random(seed), []
    for round_number in range(1, repeats + 1):
        _refuse_if_needed(title, preconditions)
        if progress is not None:
            progress(f"round {round_number} of {repeats}")
        with contextlib.ExitStack() as stack:
            entrants = {
                contestant.name: stack.enter_context(Entrant(contestant, warm_ups, cpu, timeout_s))
                for contestant in contestants
            }
            for entrant in entrants.values():
                entrant.get_ready()
            samples += _take_turns(round_number, entrants, runs, order)
    return Outcome(
        title,
        tuple(samples),
        {contestant.name: dict(contestant.settings) for contestant in contestants},
        {
            "repeats": repeats,
            "warm_ups": warm_ups,
            "runs": runs,
            "seed": seed,
            "pinned_to_cpu": cpu,
        },
        (*notes, *((f"not pinned: {no_pinning}",) if no_pinning else ())),
        describe_host(),
        _versions(),
        measured_at,
    )


def _take_turns(
    round_number: int, entrants: Mapping[str, Entrant], runs: int, order: random.Random
) -> list[Sample]:
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in entrants}
    for _ in range(runs):
        for name in order.sample(list(entrants), len(entrants)):
            taken[name].append(entrants[name].run())
    least_disturbed = operator.itemgetter("total_cpu_s")
    return [Sample(name, round_number, min(taken[name], key=least_disturbed)) for name in entrants]


def compare(outcome: Outcome, first: str, second: str, figure: str = "cpu_s") -> Comparison:
    """Is `first` cheaper or dearer than `second` in `figure`, or is it inconclusive?"""
    pairs = zip(outcome.values(first, figure), outcome.values(second, figure), strict=True)
    return compare_pairs(first, second, figure, list(pairs))


def _refuse_if_needed(title: str, preconditions: Sequence[Precondition]) -> None:
    reasons = [reason for precondition in preconditions if (reason := precondition()) is not None]
    if reasons:
        raise ExperimentRefused(title, reasons)


def _versions() -> dict[str, str]:
    try:
        package = metadata.version("zerocopy_lab")
    except metadata.PackageNotFoundError:
        package = "source tree"
    return {"zerocopy_lab": package, "user": "root" if os.geteuid() == 0 else "ordinary user"}
