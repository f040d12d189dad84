"""What must be in a partition, whatever was killed: the ledger that a torture is judged by.

Two things are known about a partition: what the broker acknowledged, and what was read from it
after an earlier kill. A process that dies takes nothing out of the page cache, so all of it must
still be there after the next kill: at the same offset, once, in order. There are two ways out:

    retention    records before the log start offset
    compaction   a record with a newer one of the same key behind it

Every record carries in a header the name of its writer and the writer's own number, and a writer's
numbers only grow: so a record that is there twice, or out of order, has a number that does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from zerocopy_lab.records.record import Record


class Item(NamedTuple):
    """A record's identity."""

    writer: str
    number: int
    key: bytes | None


class Wrong(AssertionError):
    """The log is not what it must be."""


def identity(record: Record) -> Item:
    """Who wrote a record, and as what. Raises Wrong when it is nobody's."""
    for name, value in record.headers:
        if name == "id" and value is not None:
            writer, _, number = value.decode().partition(":")
            return Item(writer, int(number), record.key)
    raise Wrong(f"offset {record.offset} has no identity: {record}")


class Ledger:
    """One partition's. `may_begin_late`: retention is on; `may_have_gaps`: compaction is."""

    def __init__(self, name: str, *, may_begin_late: bool, may_have_gaps: bool) -> None:
        self.name = name
        self.may_begin_late = may_begin_late
        self.may_have_gaps = may_have_gaps
        self.known: dict[int, Item] = {}  # by offset
        self.begins_at = 0  # the log start offset that was seen last
        self.seen_end = 0  # what lies before this offset was read before
        self.highest: dict[str, int] = {}  # by writer: its last number before `seen_end`
        self.acknowledged = 0

    def acknowledge(self, base_offset: int, items: Sequence[Item]) -> None:
        """The broker has said that it stored these, from this offset on. Raises Wrong."""
        for offset, item in enumerate(items, base_offset):
            before = self.known.setdefault(offset, item)
            if before != item:
                raise Wrong(f"{self.name}: {item} acknowledged at {offset}, where {before} is")
        self.acknowledged += len(items)

    def check(self, records: Iterable[Record], log_start: int, end: int) -> None:
        """Compare with all that was read, from the log's start to its end. Raises Wrong."""
        found = {
            record.offset: identity(record) for record in records if record.offset >= log_start
        }
        self._check_range(list(found), log_start, end)
        self._check_known(found, log_start)
        self._check_order(found)
        self.known = found
        self.begins_at, self.seen_end = log_start, end

    def _check_range(self, offsets: list[int], log_start: int, end: int) -> None:
        last_known = max(self.known, default=-1)
        if end <= last_known or end < self.seen_end:
            raise Wrong(f"{self.name}: ends at {end}; {last_known} was acknowledged or read before")
        if log_start > 0 and not self.may_begin_late:
            raise Wrong(f"{self.name}: begins at {log_start}, but nothing was to be deleted")
        if offsets != sorted(offsets):
            raise Wrong(f"{self.name}: offsets go back")
        if not self.may_have_gaps and offsets != list(range(log_start, end)):
            missing = sorted(set(range(log_start, end)) - set(offsets))
            raise Wrong(f"{self.name}: between {log_start} and {end} are missing {missing[:9]}")

    def _check_known(self, found: dict[int, Item], log_start: int) -> None:
        newest = {item.key: offset for offset, item in found.items()}
        for offset, item in self.known.items():
            there = found.get(offset)
            replaced = self.may_have_gaps and there is None and newest.get(item.key, -1) > offset
            if offset >= log_start and there != item and not replaced:
                raise Wrong(f"{self.name}: {item} was at offset {offset}, now there is {there}")

    def _check_order(self, found: dict[int, Item]) -> None:
        for offset, item in found.items():
            if offset >= self.seen_end:
                highest = self.highest.get(item.writer, -1)
                if item.number <= highest:
                    raise Wrong(f"{self.name}: {item} at {offset} comes after number {highest}")
                self.highest[item.writer] = item.number
