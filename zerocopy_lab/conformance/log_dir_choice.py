"""Part `placement` (lab 01): the log directory in which a new partition is made.

    placement(partition_counts) -> number of the directory

`partition_counts` says how many partitions each log directory holds; the answer is the place in
that list. Kafka takes one with the fewest, whatever their bytes (`LogManager.nextLogDirs`); which
of several with equally few is left open, and the exam accepts each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part, require_argument_kept
from zerocopy_lab.conformance.plain_values import plain

LogDirChoice = Callable[[Sequence[int]], int]

_CASES = 300


def placement(partition_counts: Sequence[int]) -> int:
    """Ours: the first with the fewest."""
    return min(range(len(partition_counts)), key=partition_counts.__getitem__)


def _exam(choose: LogDirChoice, draw: random.Random) -> str:
    for _ in range(_CASES):
        most = draw.choice((1, 3, 1000))
        counts = [draw.randrange(most + 1) for _ in range(draw.randrange(1, 12))]
        _try(choose, counts)
    _fill(choose, draw)
    return f"{_CASES} brokers nobody had seen, and one that was filled partition by partition."


def _try(choose: LogDirChoice, counts: list[int]) -> int:
    given = list(counts)
    answer = plain(choose(given))
    if answer is None:
        raise NotBegun
    require_argument_kept(given == counts, "the list of counts")
    if type(answer) is not int or not 0 <= answer < len(counts):
        raise NotConforming(
            f"With {counts} the answer was {answer!r}: a place in the list is wanted, 0 to "
            f"{len(counts) - 1}."
        )
    if any(count < counts[answer] for count in counts):
        raise NotConforming(
            f"With {counts} you chose directory {answer}, which holds {counts[answer]}; there is "
            "one with fewer."
        )
    return answer


def _fill(choose: LogDirChoice, draw: random.Random) -> None:
    """The oracle that needs no rule: whoever always takes the emptiest ends up even."""
    counts = [0] * draw.randrange(2, 8)
    for _ in range(draw.randrange(50, 200)):
        counts[_try(choose, counts)] += 1
    if max(counts) - min(counts) > 1:
        raise NotConforming(f"One after the other, partitions were spread unevenly: {counts}.")


PART = Part(
    "placement",
    "01",
    "the log directory in which a new partition is made",
    "placement(partition_counts) -> number of the directory",
    placement,
    _exam,
)
