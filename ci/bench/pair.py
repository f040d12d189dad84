"""This broker and, where it can run, a real Kafka: started together, asked in turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ci.bench.contest import Figure, Round
from ci.bench.figures import Figures
from zerocopy_lab.running import apache_kafka
from zerocopy_lab.running.running_broker import Kind, RunningBroker

WARM_UPS = 3
"""Rounds that do not count: Kafka's compiler warms up."""

Player = Callable[[RunningBroker], Round]


class Pair(NamedTuple):
    """Both brokers; None where there is no Kafka."""

    ours: RunningBroker
    kafka: RunningBroker | None

    def both(self) -> list[RunningBroker]:
        """Those that are there."""
        return [self.ours] if self.kafka is None else [self.ours, self.kafka]

    def take_turns(
        self, player: Player, rounds: int, warm_ups: int = WARM_UPS
    ) -> tuple[list[Round], list[Round] | None]:
        """The rounds of both that count."""
        played = [[player(broker) for broker in self.both()] for _ in range(warm_ups + rounds)]
        sides = [list(side) for side in zip(*played[warm_ups:], strict=True)]
        return sides[0], sides[1] if len(sides) > 1 else None


def kinds() -> list[Kind]:
    """Ours, and Kafka where it can run."""
    return ["zerocopy_lab"] if apache_kafka.unavailable() else ["zerocopy_lab", "kafka"]


@contextlib.contextmanager
def running_pair(workspace: Path, settings: Mapping[str, str] | None = None) -> Iterator[Pair]:
    """Both as they come, on empty directories, until the end of the block."""
    with contextlib.ExitStack() as until_the_end:
        brokers = [
            until_the_end.enter_context(
                RunningBroker(workspace / kind, kind=kind, settings=settings)
            )
            for kind in kinds()
        ]
        if len(brokers) == 1:
            print(f"  no Kafka to compare with: {apache_kafka.unavailable()}")
        yield Pair(brokers[0], brokers[1] if len(brokers) > 1 else None)


def add(
    figures: Figures,
    table: str,
    name: str,
    unit: str,
    rounds: tuple[list[Round], list[Round] | None],
    figure: Figure,
    *,
    goal: float | None = None,
    at_most: bool = False,
) -> None:
    """A row of one figure of the rounds of both."""
    ours, theirs = rounds
    figures.add(
        table,
        name,
        unit,
        list(map(figure, ours)),
        None if theirs is None else list(map(figure, theirs)),
        goal=goal,
        at_most=at_most,
    )
