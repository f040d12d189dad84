"""A directory of parts, put where a broker's own mechanisms would be.

`take_seats` reads the directory, makes sure that each part has passed its exam as it stands (a part
that `keep` has just examined need not sit again: its digest says so), and seats its function. What
does not pass is refused with its name and what its exam found: a broker must not find out by a
hang. A seat is a process's: a broker is a process.

A part that decides is held against ours at each decision. If it raises or decides otherwise, that
request fails with PartFailed, that round of retention deletes nothing, or that partition stays
offline with its files as they were, and the log names the part: nothing is skipped, deleted or lost
over it. A part that moves bytes is held to how many it
may have moved; if it raises, its connection is closed, as for any strategy.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zerocopy_lab.conformance.child import in_words
from zerocopy_lab.conformance.part import Part, PartFunction, examine
from zerocopy_lab.conformance.parts import PARTS, kept_in, load
from zerocopy_lab.conformance.retention import SegmentFacts
from zerocopy_lab.conformance.sending import loop_of, transfer_of
from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log import partition_log
from zerocopy_lab.log.indexes import OffsetIndex
from zerocopy_lab.log.startup.open_directories import seat_choice
from zerocopy_lab.log.startup.recovery import seat_recovery
from zerocopy_lab.log.upkeep.retention import seat_rule
from zerocopy_lab.transfer.strategy import Transfer

EXAMINED_SUFFIX = ".examined"
"""Of a file beside a part that says: it passed its exam as it stands."""

_LOGGER = logging.getLogger(__name__)


class PartRefused(ValueError):
    """A part does not pass its exam, or cannot be loaded."""


class PartFailed(KafkaError):
    """A part that was seated in a broker raised, or decided otherwise than the broker would."""


def take_seats(directory: Path) -> dict[str, type[Transfer]]:
    """Seats the parts of a directory in this process, before a broker opens its logs.

    Returns the transfers among them, by the part's name, which is also what `--transfer` takes.
    Raises PartRefused, NoSuchPart, OSError.
    """
    functions = {name: _examined(name, path) for name, path in kept_in(directory).items()}
    for name, function in functions.items():
        if name in _OF_CLIENTS:
            continue
        _LOGGER.info("part %s takes its seat: %s", name, directory / f"{name}.py")
        if name in _SEATS:
            _SEATS[name](function)
    ways: dict[str, Callable[[PartFunction], type[Transfer]]] = {
        "transfer": transfer_of,
        "loop": loop_of,
    }
    return {name: ways[name](functions[name]) for name in ways if name in functions}


def _seat_lookup(lookup: PartFunction) -> None:
    held = partial(_held_to_ours, PARTS["index_lookup"], lookup)

    def position_before(self: OffsetIndex, relative_offset: int) -> int:
        return held(self.relative_offsets, self.positions, relative_offset)

    # For this whole process; what is replaced costs nothing where nothing is.
    OffsetIndex.position_before = position_before  # type: ignore[method-assign]


def _seat_choice(choose: PartFunction) -> None:
    seat_choice(partial(_least_of_all, choose))


def _seat_rule(rule: PartFunction) -> None:
    seat_rule(partial(_kept_if_in_doubt, rule))


def _seat_recovery(recover: PartFunction) -> None:
    seat_recovery(partial(_held_to_ours, PARTS["recovery"], recover))


def _seat_stamp(stamp: PartFunction) -> None:
    # The name by which an append calls it: nothing is looked up where nothing is seated.
    partition_log.assign_offsets = partial(_stamped_as_by_ours, stamp)  # type: ignore[attr-defined]


_OF_CLIENTS = {"accumulator", "follower"}
"""Parts of a producer and of a replica: a broker lets them be."""

_SEATS: dict[str, Callable[[PartFunction], None]] = {
    "index_lookup": _seat_lookup,
    "placement": _seat_choice,
    "recovery": _seat_recovery,
    "retention": _seat_rule,
    "stamp": _seat_stamp,
}


def examined(directory: Path, name: str) -> PartFunction | None:
    """The part of that name for whoever uses it outside a broker, if it is in the directory.
    Raises as `take_seats` does.
    """
    path = kept_in(directory).get(name)
    return None if path is None else _examined(name, path)


def examined_or_ours(directory: Path | None, name: str) -> PartFunction:
    """The part of that name: from the directory where it holds one, else ours. Raises as
    `take_seats` does.
    """
    return (directory and examined(directory, name)) or PARTS[name].ours


def mark_examined(path: Path) -> None:
    """Notes that this file, as it stands, has passed its exam."""
    path.with_suffix(EXAMINED_SUFFIX).write_text(_digest(path))


def _examined(name: str, path: Path) -> PartFunction:
    marked = path.with_suffix(EXAMINED_SUFFIX)
    if not marked.exists() or marked.read_text() != _digest(path):
        found = examine(PARTS[name], lambda: load(path))
        if not found.passed:
            raise PartRefused(f"part {name} ({path}) does not pass its exam: {found.words}")
        mark_examined(path)
    try:
        return load(path)
    except Exception as error:  # it passed in a child, and does not even load here
        raise PartRefused(f"part {name} ({path}) cannot be loaded: {error!r}") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _held_to_ours(part: Part, decide: PartFunction, *arguments: object) -> int:
    """The part's decision, if it is ours as well. Raises PartFailed."""
    answer = _asked(part.name, decide, *arguments)
    ours: int = part.ours(*arguments)
    if type(answer) is not int or answer != ours:
        raise _failure(f"part {part.name} answered {answer!r} where {ours} is right")
    return ours


def _kept_if_in_doubt(rule: PartFunction, segments: Sequence[Any], *limits: int) -> int:
    """The part's decision if it is ours as well; nothing goes when it is not."""
    facts = [SegmentFacts(*segment) for segment in segments]
    try:
        return _held_to_ours(PARTS["retention"], rule, facts, *limits)
    except PartFailed:
        return 0


def _least_of_all(choose: PartFunction, partition_counts: Sequence[int]) -> int:
    """The part's choice, if none has fewer. Raises PartFailed."""
    answer = _asked("placement", choose, partition_counts)
    if type(answer) is not int or not 0 <= answer < len(partition_counts):
        raise _failure(f"part placement answered {answer!r} to {list(partition_counts)}")
    if partition_counts[answer] > min(partition_counts):
        raise _failure(f"part placement took {answer} of {list(partition_counts)}: not the least")
    return answer


def _stamped_as_by_ours(
    stamp: PartFunction, batch: memoryview, base_offset: int, leader_epoch: int
) -> None:
    """The part stamps, ours a copy: they must be alike. The batch is as it was after PartFailed."""
    sent, right = bytes(batch), bytearray(batch)
    PARTS["stamp"].ours(memoryview(right), base_offset, leader_epoch)
    try:
        _asked("stamp", stamp, batch, base_offset, leader_epoch)
        if batch != right:
            raise _failure(f"part stamp put a batch elsewhere than at offset {base_offset}")
    except PartFailed:
        batch[:] = sent
        raise


def _asked(name: str, decide: PartFunction, *arguments: object) -> object:
    try:
        return decide(*arguments)
    except Exception as error:
        raise _failure(f"part {name} raised {in_words(error)}") from error


def _failure(words: str) -> PartFailed:
    _LOGGER.error("%s", words)
    return PartFailed(words)
