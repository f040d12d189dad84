"""Part `recovery` (lab 11): how much of a damaged log is good.

    recovery(log, next_offset) -> good_bytes

`log` is a read-only view of a segment's bytes, `next_offset` the smallest offset that its first
batch may have. A batch is good when it is whole, its magic is 2, its CRC holds and its base offset
is not below the end of the batch before. The answer is where the first batch begins that is not:
there the log is cut, and whatever lies behind is lost, good or not. Two things nobody can see at a
batch itself: another leader epoch, and a base offset that is too large (the CRC covers neither).

The exam damages logs whose batches it knows, and never asks a CRC: a batch is as it was written, or
it is not. Source: Kafka's `LogSegment.recover`, `DefaultRecordBatch.ensureValid`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from crc32c import crc32c

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part
from zerocopy_lab.conformance.plain_values import plain
from zerocopy_lab.records.batch import CRC_START, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC

Recovery = Callable[[memoryview, int], int]

_DRAWN_CASES = 300
_LEAST_LENGTH = HEADER_BYTES - LENGTH_PREFIX_BYTES
_BIG_RECORDS_BYTES = 200_000


def recovery(log: memoryview, next_offset: int) -> int:
    """Ours, for one cell: from batch to batch as long as each is good."""
    position = 0
    while len(log) - position >= HEADER_BYTES:
        base_offset, length, _, magic, crc, _, delta = struct.unpack_from(">qiibIhi", log, position)
        end = position + LENGTH_PREFIX_BYTES + length
        if length < _LEAST_LENGTH or end > len(log) or magic != MAGIC or base_offset < next_offset:
            break
        if crc32c(log[position + CRC_START : end]) != crc:
            break
        position, next_offset = end, base_offset + delta + 1
    return position


class WrittenLog(NamedTuple):
    """A segment as it was written: its batches, and the offset that its first one may have."""

    batches: tuple[bytes, ...]
    next_offset: int

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return b"".join(self.batches)


class Damage(NamedTuple):
    """What a crash left, in words, with the hint for whoever keeps too much of it."""

    left: bytes
    words: str
    hint: str


def drawn_log(
    draw: random.Random, most_records_bytes: int = 120, *, next_offset: int | None = None
) -> WrittenLog:
    """Two to six batches as a broker may have stored them; what they hold is noise."""
    offset = draw.choice((0, draw.randrange(1 << 40))) if next_offset is None else next_offset
    first, batches = offset, []
    for _ in range(draw.randrange(2, 7)):
        delta = draw.choice((0, draw.randrange(40)))
        batches.append(_batch(offset, delta, draw.randbytes(draw.randrange(1, most_records_bytes))))
        offset += delta + 1 + draw.choice((0, 0, 0, draw.randrange(5)))  # compaction leaves gaps
    return WrittenLog(tuple(batches), first)


def _batch(base_offset: int, delta: int, records: bytes) -> bytes:
    fields = struct.pack(">hiqqqhii", 0, delta, 0, 0, -1, -1, -1, delta + 1)
    covered = fields + records
    head = struct.pack(">qiibI", base_offset, 9 + len(covered), 0, MAGIC, crc32c(covered))
    return head + covered


def by_comparing(written: WrittenLog, left: bytes) -> int:
    """The oracle: batch by batch, is it what was written? (But for what nobody can see.)"""
    position, next_offset = 0, written.next_offset
    for batch in written.batches:
        there = left[position : position + len(batch)]
        base_offset = int.from_bytes(there[:8], "big", signed=True)
        as_written = there[8:12] == batch[8:12] and there[16:] == batch[16:]
        if len(there) < len(batch) or not as_written or base_offset < next_offset:
            break
        position += len(batch)
        next_offset = base_offset + int.from_bytes(batch[23:27], "big") + 1
    return position


def damages(written: WrittenLog, draw: random.Random) -> list[Damage]:
    """One of each kind that a crash can leave."""
    log = written.content
    starts = _starts(written)
    cut = draw.randrange(len(log) + 1)
    page = draw.choice(starts)
    stale = drawn_log(draw, next_offset=max(0, written.next_offset - draw.randrange(1, 99)))
    return [
        Damage(log, "A whole log", "Nothing is wrong with it."),
        torn_at(log, cut),
        flipped(written, draw.randrange(len(log)), draw.randrange(8)),
        Damage(log + bytes(draw.randrange(1, 400)), "Behind the log the file goes on with zeros",
               "zeros are no batch: the file had grown, and its pages were never written."),
        Damage(log[:page] + bytes(len(log) - page), f"From byte {page} on all bytes are 0",
               "pages that never reached the disk read as zeros."),
        Damage(log + stale.content, "Behind the log lies an older one",
               "offsets only grow: a batch from before, with a CRC that holds, is not the next."),
    ]  # fmt: skip


def torn_at(log: bytes, position: int) -> Damage:
    """The file ends at a byte, wherever that is."""
    return Damage(log[:position], f"A log of {len(log)} bytes was cut at byte {position}",
                  "a batch whose end is not there is not whole: compare its length with what is "
                  "left.")  # fmt: skip


def flipped(written: WrittenLog, position: int, bit: int) -> Damage:
    """One bit is another."""
    left = bytearray(written.content)
    left[position] ^= 1 << bit
    at = position - max(start for start in _starts(written) if start <= position)
    if at < 8:
        hint = "its offset is below the end of the batch before."
    elif at == 16:
        hint = "a batch of this format has magic 2."
    else:
        hint = "only the CRC notices that: it covers a batch from byte 21 to its end."
    return Damage(bytes(left), f"A bit was flipped in byte {at} of a batch", hint)


def _starts(written: WrittenLog) -> list[int]:
    ends, position = [0], 0
    for batch in written.batches[:-1]:
        position += len(batch)
        ends.append(position)
    return ends


def _exam(function: Recovery, draw: random.Random) -> str:
    small = drawn_log(draw)
    log = small.content
    for position in range(len(log) + 1):
        _try(function, small, torn_at(log, position))
    for position in reversed(range(len(log))):  # what records hold first: the plainest case
        _try(function, small, flipped(small, position, draw.randrange(8)))
    for _ in range(_DRAWN_CASES // 6):
        written = drawn_log(draw, 500)
        for damage in damages(written, draw):
            _try(function, written, damage)
    large = drawn_log(draw, _BIG_RECORDS_BYTES)
    _try(function, large, flipped(large, len(large.content) - 1, 3))
    return f"A log cut at each of its {len(log)} bytes, with a bit flipped in each, and " \
           f"{_DRAWN_CASES} other damages."  # fmt: skip


def _try(function: Recovery, written: WrittenLog, damage: Damage) -> None:
    answer = plain(function(memoryview(damage.left), written.next_offset))
    if answer is None:
        raise NotBegun
    right = by_comparing(written, damage.left)
    if type(answer) is int and answer == right:
        return
    raise NotConforming(f"{damage.words}: {right} bytes are good, yours says {answer!r}. "
                        + _hint(written, damage, answer, right))  # fmt: skip


def _hint(written: WrittenLog, damage: Damage, answer: object, right: int) -> str:
    if type(answer) is not int or not 0 <= answer <= len(damage.left):
        return "The answer is a number of bytes: where the first batch begins that is not good."
    if answer not in (*_starts(written), len(written.content)):
        return "A log is cut between two batches, never inside one."
    if answer > right:
        return f"The batch at {right} is not good: {damage.hint}"
    if damage.left[answer + 12 : answer + 16] != bytes(4):
        return (
            f"The batch at {answer} has another leader epoch, in bytes 12-15: nothing of it says "
            "that this is damage, so it stays."
        )
    return f"The batch at {answer} is whole, and its CRC holds: somebody's good records are lost."


PART = Part(
    "recovery",
    "11",
    "how much of a damaged log is good",
    "recovery(log, next_offset) -> good_bytes",
    recovery,
    _exam,
)
