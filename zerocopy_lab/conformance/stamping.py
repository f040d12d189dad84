"""Part `stamp` (lab 08): a batch is given its place in the log, where it lies.

    stamp(batch, base_offset, leader_epoch)     writes into `batch` and returns nothing

`batch` is a writable memoryview of what a producer sent. Bytes 0-7 become the base offset, 12-15
the leader epoch, big-endian; no other byte changes. The CRC covers the bytes from 21 on, so it
still holds, and nobody has to read the batch: that is the whole of what a broker does to it.

The exam compares with batches that are put together anew from their fields, and asks the CRC.
Source: Kafka's `DefaultRecordBatch.setLastOffset` and `setPartitionLeaderEpoch`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from crc32c import crc32c

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part
from zerocopy_lab.records.batch import CRC_START, HEADER_BYTES, assign_offsets

Stamp = Callable[[memoryview, int, int], object]
"""Returns None; what else comes back is looked at by nobody."""

_CASES = 300
_MOST_RECORDS_BYTES = 4000
_CRC = slice(17, 21)


def stamp(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    """Ours: two `pack_into`."""
    assign_offsets(batch, base_offset, leader_epoch)


def drawn_batch(draw: random.Random) -> bytes:
    """A batch as a producer may have sent it: base offset 0, no epoch, a right CRC; what it holds
    is noise, for nobody is to look.
    """
    covered = draw.randbytes(draw.randrange(HEADER_BYTES - CRC_START, _MOST_RECORDS_BYTES))
    length = (9 + len(covered)).to_bytes(4, "big")  # epoch, magic and CRC count as well
    return bytes(8) + length + b"\xff" * 4 + b"\x02" + crc32c(covered).to_bytes(4, "big") + covered


def put_together(sent: bytes, base_offset: int, leader_epoch: int) -> bytes:
    """The oracle: the same batch from new fields and old ones."""
    offset = base_offset.to_bytes(8, "big", signed=True)
    epoch = leader_epoch.to_bytes(4, "big", signed=True)
    return offset + sent[8:12] + epoch + sent[16:]


def _exam(function: Stamp, draw: random.Random) -> str:
    for _ in range(_CASES):
        base_offset = draw.choice((draw.randrange(1, 300), draw.randrange(1, 1 << 62)))
        leader_epoch = draw.choice((0, draw.randrange(1 << 31)))
        _try(function, drawn_batch(draw), base_offset, leader_epoch)
    return f"{_CASES} batches nobody had seen got their places; every CRC holds as it was sent."


def _try(function: Stamp, sent: bytes, base_offset: int, leader_epoch: int) -> None:
    kept = bytearray(sent)
    answer = function(memoryview(kept), base_offset, leader_epoch)
    if kept == put_together(sent, base_offset, leader_epoch):
        return
    if answer is None and kept == sent:
        raise NotBegun
    asked = f"Base offset {base_offset}, epoch {leader_epoch}, a batch of {len(sent)} bytes: "
    raise NotConforming(asked + _hint(sent, bytes(kept), base_offset, leader_epoch))


def _hint(sent: bytes, stored: bytes, base_offset: int, leader_epoch: int) -> str:
    if stored == sent:
        return "the batch is as it was. Write into it: a new one would be a copy of every byte."
    right = put_together(sent, base_offset, leader_epoch)
    if stored[:8] == right[7::-1] != right[:8]:
        return "Kafka's fields are big-endian: the highest byte comes first."
    if stored[_CRC] != sent[_CRC]:
        return "the CRC at 17-20 was written. It need not be: which bytes does it cover?"
    wrong = [at for at in range(len(sent)) if stored[at] != right[at]]
    touched = [at for at in wrong if not (at < 8 or 12 <= at < 16)]
    if touched:
        return f"byte {touched[0]} is the producer's; the broker's are 0-7 and 12-15."
    return f"byte {wrong[0]} is {stored[wrong[0]]:#04x} and should be {right[wrong[0]]:#04x}."


PART = Part(
    "stamp",
    "08",
    "the place of a batch in the log, written where the batch lies",
    "stamp(batch, base_offset, leader_epoch), which writes into batch and returns nothing",
    stamp,
    _exam,
)
