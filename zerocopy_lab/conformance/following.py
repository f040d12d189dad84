"""Part `follower` (lab 11): one round of following a leader, as a consumer that keeps what comes.

    follower(fetch, log, next_offset) -> next_offset

`fetch(offset)` gives what a consumer is sent: batches from this offset on, the last one maybe cut
short, or nothing. `log` is a file opened for appending, without a buffer. Whatever is whole and
good goes to its end as it is, and the answer is the offset behind it, where the next round begins.
What is cut or damaged stays out: the next round asks for it again.

The exam is a leader that sends odd pieces and damages some on their way; after every round the file
has to be the beginning of its own log, byte for byte. Source: Kafka's `ReplicaFetcherThread`,
`UnifiedLog.appendAsFollower`. Left out: leader epochs, by which a follower finds where its log and
that of a new leader part.
"""

from __future__ import annotations

import random
import struct
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import IO

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part
from zerocopy_lab.conformance.plain_values import plain
from zerocopy_lab.conformance.recovering import WrittenLog, drawn_log, recovery

Follow = Callable[[Callable[[int], bytes], IO[bytes], int], int]

_LEADERS = 40
_ROUNDS = 12


def follower(fetch: Callable[[int], bytes], log: IO[bytes], next_offset: int) -> int:
    """Ours, for one cell: of what came, the good bytes go to the end of the file."""
    came = memoryview(fetch(next_offset))
    good = came[: recovery(came, next_offset)]
    log.write(good)
    while good:
        base_offset, length, delta = struct.unpack_from(">qi11xi", good)
        next_offset, good = base_offset + delta + 1, good[12 + length :]
    return next_offset


class OddLeader:
    """Sends what a leader may send: from the asked offset on, more or less of it, now and then
    nothing, and now and then damaged on the way.
    """

    def __init__(self, written: WrittenLog, draw: random.Random) -> None:
        self.log = written.content
        self._draw = draw
        self._positions = [0, *accumulate(map(len, written.batches))]
        self._offsets = [written.next_offset, *map(_end_offset, written.batches)]
        self.asked: list[int] = []
        self.came = ""
        self.kept = 0
        """How many of its batches are in the copy, if the follower does as it should."""

    @property
    def copy(self) -> bytes:
        """What the file should hold by now."""
        return self.log[: self._positions[self.kept]]

    @property
    def next_offset(self) -> int:
        """Where the next round begins."""
        return self._offsets[self.kept]

    def fetch(self, offset: int) -> bytes:
        """For the part. The answer is right for the copy as it should be, whatever was asked."""
        self.asked.append(offset)
        start, draw = self._positions[self.kept], self._draw
        rest = self.log[start:]
        how = draw.choice(("whole", "cut", "cut", "damaged", "nothing"))
        if how == "nothing" or not rest:
            self.came = "Nothing new came: "
            return b""
        if how == "damaged":
            batch = draw.randrange(self.kept, len(self._positions) - 1)
            first, end = self._positions[batch], self._positions[batch + 1]
            at = draw.randrange(first + 17, end) - start  # the CRC, or what it covers
            self.kept = batch
            self.came = f"{len(rest)} bytes came, and in byte {at} a bit had flipped on the way: "
            return rest[:at] + bytes([rest[at] ^ 1 << draw.randrange(8)]) + rest[at + 1 :]
        sent = rest if how == "whole" else rest[: draw.randrange(1, len(rest) + 1)]
        self.kept = sum(position <= start + len(sent) for position in self._positions) - 1
        cut = start + len(sent) - self._positions[self.kept]
        self.came = f"{len(sent)} bytes came, the last {cut} of a batch without its end: " if cut \
            else f"{len(sent)} bytes came, whole batches: "  # fmt: skip
        return sent


def _end_offset(batch: bytes) -> int:
    base_offset, delta = struct.unpack_from(">q15xi", batch)
    return int(base_offset + delta + 1)


def _exam(function: Follow, draw: random.Random) -> str:
    with tempfile.TemporaryDirectory(prefix="follower-") as directory:
        for number in range(_LEADERS):
            leader = OddLeader(drawn_log(draw, draw.choice((40, 2000))), draw)
            _follow(function, leader, Path(directory, f"{number}.log"))
    return f"{_LEADERS} leaders that nobody had seen, copied byte for byte whatever came."


def _follow(function: Follow, leader: OddLeader, path: Path) -> None:
    with path.open("ab", buffering=0) as log:
        for _ in range(_ROUNDS):
            offset, before = leader.next_offset, leader.copy
            leader.asked.clear()
            answer = plain(function(leader.fetch, log, offset))
            copy = path.read_bytes()
            if answer is None and not leader.asked and copy == before:
                raise NotBegun
            if leader.asked != [offset]:
                raise NotConforming(
                    f"A round that begins at offset {offset} asks once, for that: you asked for "
                    f"{leader.asked}."
                )
            if copy != leader.copy:
                raise NotConforming(leader.came + _hint(leader, copy))
            if type(answer) is not int or answer != leader.next_offset:
                raise NotConforming(
                    f"{leader.came}the next round begins at offset {leader.next_offset}, yours "
                    f"says {answer!r}. It is the base offset of the last batch that was kept, plus "
                    "its lastOffsetDelta, plus 1."
                )


def _hint(leader: OddLeader, copy: bytes) -> str:
    right = leader.copy
    if len(copy) > len(right) and copy.startswith(right):
        if "flipped" in leader.came:
            return "a damaged batch went into the copy. What tells whether a batch is good?"
        return "half a batch went into the copy, and the next round will append it whole."
    if right.startswith(copy):
        return f"{len(right) - len(copy)} bytes of good batches were not kept."
    at = next(
        (n for n, pair in enumerate(zip(copy, right, strict=False)) if len(set(pair)) == 2), 0
    )
    return f"byte {at} of the copy is not the leader's. What comes is appended as it is."


PART = Part(
    "follower",
    "11",
    "a round of following a leader: fetch, and append what comes as it is",
    "follower(fetch, log, next_offset) -> next_offset",
    follower,
    _exam,
    used_by="the copy beside a broker: python -m zerocopy_lab follow --parts DIR",
)
