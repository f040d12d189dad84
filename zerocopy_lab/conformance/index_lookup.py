"""Part `index_lookup` (lab 02): from a relative offset to the position where a reader begins.

The sparse index of a segment is two ascending columns: the last relative offset of some batches,
and where in the `.log` file each of these batches starts. Asked for an offset, the answer is the
position of the last entry whose offset is not beyond it, and 0 before the first entry.

The exam's oracle walks through all entries. The function is given columns that count how often
they are asked: a segment of 1 GiB has 262,144 entries, and whoever walks through them for each
fetch has no use for an index. Source of the rule: Kafka's `OffsetIndex.lookup`.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import overload

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part, require_argument_kept
from zerocopy_lab.conformance.plain_values import plain

IndexLookup = Callable[[Sequence[int], Sequence[int], int], int]

_CASES = 400
_INDEX_INTERVAL_BYTES = 4096


def index_lookup(
    relative_offsets: Sequence[int], positions: Sequence[int], relative_offset: int
) -> int:
    """Ours: one bisection."""
    entry = bisect_right(relative_offsets, relative_offset)
    return positions[entry - 1] if entry else 0


class CountedColumn(Sequence[int]):
    """A column that counts how many of its entries were looked at."""

    def __init__(self, values: Sequence[int]) -> None:
        self._values = tuple(values)
        self.looks = 0

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> list[int]: ...
    def __getitem__(self, at: int | slice) -> int | list[int]:
        found = self._values[at]
        if isinstance(found, tuple):
            self.looks += len(found)
            return list(found)
        self.looks += 1
        return found

    def __iter__(self) -> Iterator[int]:
        for value in self._values:
            self.looks += 1
            yield value


def drawn_index(draw: random.Random, most_entries: int) -> tuple[list[int], list[int]]:
    """The columns of an index as a broker may have written them."""
    offsets: list[int] = []
    positions: list[int] = []
    offset, position = draw.randrange(-1, 50), 0
    for _ in range(draw.randrange(most_entries + 1)):
        offset += draw.choice((1, 1, 7, draw.randrange(1, 5000)))
        position += _INDEX_INTERVAL_BYTES + draw.randrange(1, 70_000)
        offsets.append(offset)
        positions.append(position)
    return offsets, positions


def by_walking(offsets: Sequence[int], positions: Sequence[int], wanted: int) -> int:
    """The oracle: through all entries, in the order in which they were written."""
    answer = 0
    for offset, position in zip(offsets, positions, strict=True):
        if offset <= wanted:
            answer = position
    return answer


def _exam(lookup: IndexLookup, draw: random.Random) -> str:
    for number in range(_CASES):
        offsets, positions = drawn_index(draw, 6 if number < 100 else 300)
        wanted = _wanted(offsets, draw)
        _try(lookup, offsets, positions, wanted)
    looks, entries = _try_on_a_large_one(lookup, draw)
    return (
        f"{_CASES} indexes nobody had seen, and one with {entries:,} entries in which it looked "
        f"at {looks}."
    )


def _wanted(offsets: Sequence[int], draw: random.Random) -> int:
    """On an entry, beside one, between two, before all, behind all."""
    if not offsets:
        return draw.randrange(100)
    near = draw.choice(offsets) + draw.choice((-1, 0, 0, 1))
    gaps = [low + (high - low) // 2 for low, high in pairwise(offsets)] or [near]
    return max(0, draw.choice((near, near, draw.choice(gaps), 0, offsets[-1] + 10_000)))


def _try(
    lookup: IndexLookup, offsets: Sequence[int], positions: Sequence[int], wanted: int
) -> None:
    given = list(offsets), list(positions)
    answer = plain(lookup(*given, wanted))
    if answer is None:
        raise NotBegun
    require_argument_kept(given == (list(offsets), list(positions)), "the index")
    right = by_walking(offsets, positions, wanted)
    if type(answer) is int and answer == right:
        return
    shown = f"relative_offsets={list(offsets)[:8]}, positions={list(positions)[:8]}"
    raise NotConforming(f"Asked for {wanted} in {shown}: {answer!r}. {_hint(answer, right)}")


def _hint(answer: object, right: int) -> str:
    if type(answer) is not int:
        return "The answer is a position: a whole number of bytes."
    if right == 0:
        return "Before the first entry there is still the beginning of the file: position 0."
    if answer > right:
        return "That batch begins behind the offset: a reader cannot walk backwards."
    return "A later entry is not beyond the offset either: begin there, the walk is shorter."


def _try_on_a_large_one(lookup: IndexLookup, draw: random.Random) -> tuple[int, int]:
    count = draw.randrange(60_000, 90_000)
    offsets = CountedColumn(sorted(draw.sample(range(1 << 24), count)))
    positions = CountedColumn(range(0, count * 4097, 4097))
    wanted = draw.randrange(1 << 24)
    right = by_walking(offsets, positions, wanted)
    offsets.looks = positions.looks = 0
    if plain(lookup(offsets, positions, wanted)) != right:
        raise NotConforming("Right in small indexes, wrong in a large one: does it end too early?")
    looks = offsets.looks + positions.looks
    most = 3 * math.ceil(math.log2(count)) + 8
    if looks > most:
        raise NotConforming(
            f"The right answers, but it scans: it looked at {looks:,} entries of {count:,}. The "
            f"offsets ascend: halving what is left takes {math.ceil(math.log2(count))} looks."
        )
    return looks, count


PART = Part(
    "index_lookup",
    "02",
    "from an offset to the position where a reader begins",
    "index_lookup(relative_offsets, positions, relative_offset) -> position",
    index_lookup,
    _exam,
)
