"""Outcomes of experiments that nobody ran, with chosen figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.measuring.experiment import Outcome, Sample

GIB = float(1 << 30)
EVERY_SAMPLE = {"dropped_bytes": GIB, "wall_s": 1.0, "broker_sleeps": 1.0, "broker_switches": 1.0}


def outcome_of(figures: Mapping[str, Sequence[Mapping[str, float]]]) -> Outcome:
    """contestant -> figures of each round; everybody moved 1 GiB in a second."""
    samples = tuple(
        Sample(name, number, {**EVERY_SAMPLE, **each})
        for name, rounds in figures.items()
        for number, each in enumerate(rounds, 1)
    )
    return Outcome(
        "made up", samples, {name: {} for name in figures}, {}, (), describe_host(), {}, ""
    )
