"""A typical wrong one of each part, as a learner might write it; and who is named when it is put
into a broker.

The broker refuses it before it opens a log: every part sits its exam as it stands, and the answer
names the part and what was wrong. (Who slips past the exam is held against ours at each decision,
and named in the broker's log: `conformance.seats`.)
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.conformance.parts import PARTS
from zerocopy_lab.conformance.seats import EXAMINED_SUFFIX
from zerocopy_lab.lessons.lab12.part_plan import plan_picture
from zerocopy_lab.pictures.theme import Picture
from zerocopy_lab.running.running_broker import BrokerNotRunning, RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory

WRONG: Final[Mapping[str, tuple[str, str]]] = {
    "placement": (
        "takes the fullest directory",
        """
def placement(partition_counts):
    return max(range(len(partition_counts)), key=partition_counts.__getitem__)
""",
    ),
    "index_lookup": (
        "takes the entry behind the offset",
        """
def index_lookup(relative_offsets, positions, relative_offset):
    for offset, position in zip(relative_offsets, positions):
        if offset >= relative_offset:
            return position
    return 0
""",
    ),
    "retention": (
        "keeps the size limit by deleting one too many",
        """
def retention(segments, retention_ms, retention_bytes, now_ms):
    total, count = sum(s.size_bytes for s in segments), 0
    for segment in segments:
        old = 0 <= retention_ms < now_ms - segment.youngest_ms
        if not old and not (0 <= retention_bytes < total):
            break
        total, count = total - segment.size_bytes, count + 1
    return count
""",
    ),
    "loop": (
        "forgets what has been sent",
        """
import os


def loop(sock, piece, sent_bytes, chunk_bytes):
    count = min(chunk_bytes, piece.length - sent_bytes)
    chunk = os.pread(piece.file.fd, count, piece.position)
    return sock.send(chunk) if chunk else 0
""",
    ),
    "transfer": (
        "copies, with the right bytes",
        """
import os


def transfer(sock, piece, sent_bytes):
    count = min(65536, piece.length - sent_bytes)
    chunk = os.pread(piece.file.fd, count, piece.position + sent_bytes)
    return sock.send(chunk) if chunk else 0
""",
    ),
    "accumulator": (
        "waits for a full batch, for ever",
        """
def accumulator(waiting, in_flight, linger_ms, batch_bytes, most_in_flight, now_ms):
    if sum(record.size_bytes for record in waiting) < batch_bytes:
        return 0
    return len(waiting) if in_flight < most_in_flight else 0
""",
    ),
    "stamp": (
        "writes the epoch over the length",
        """
import struct


def stamp(batch, base_offset, leader_epoch):
    struct.pack_into(">qi", batch, 0, base_offset, leader_epoch)
""",
    ),
    "recovery": (
        "believes lengths, and asks no CRC",
        """
import struct


def recovery(log, next_offset):
    position = 0
    while len(log) - position >= 61:
        end = position + 12 + struct.unpack_from(">i", log, position + 8)[0]
        if not position + 61 <= end <= len(log):
            break
        position = end
    return position
""",
    ),
    "follower": (
        "keeps all that comes, whole or not",
        """
import struct


def follower(fetch, log, next_offset):
    came = fetch(next_offset)
    log.write(came)
    while len(came) >= 61:
        base_offset, length, delta = struct.unpack_from(">qi11xi", came)
        next_offset, came = base_offset + delta + 1, came[12 + length:]
    return next_offset
""",
    ),
}
"""Part -> what is wrong with it, and its source."""

_PATIENCE_S: Final = 150.0  # exams take their time
_NAMES = re.compile(r"part (\w+) ")


class Accused(NamedTuple):
    """Whom the broker named, and what it said; "" where it started."""

    named: str
    words: str


def put_in(name: str, parts_dir: Path) -> Accused:
    """The wrong part of that name among those of a directory, in a broker."""
    with ScratchDirectory("wrong") as scratch:
        parts = scratch.path / "parts"
        shutil.copytree(parts_dir, parts)
        path = parts / f"{name}.py"
        path.write_text(WRONG[name][1], encoding="utf-8")
        path.with_suffix(EXAMINED_SUFFIX).unlink(missing_ok=True)
        try:
            with RunningBroker(parts=parts, start_timeout_s=_PATIENCE_S):
                return Accused("", "")
        except BrokerNotRunning as refusal:
            return accused_in(str(refusal))


def accused_in(words: str) -> Accused:
    """The part that a refusal names, and the sentence in which it does."""
    line = next((line for line in words.splitlines() if _NAMES.search(line)), "")
    found = _NAMES.search(line)
    said = line.partition("does not pass its exam: ")[2] or line
    return Accused(found.group(1) if found else "", said)


def draw_wrong(kept_dir: Path, parts_dir: Path, part: str) -> Picture:
    """The widget: the broker with that part broken."""
    accused = _once(parts_dir, part)
    return plan_picture(kept_dir, at_fault=accused.named)


def wrong_words(_kept_dir: Path, parts_dir: Path, part: str) -> str:
    """Who is named, and for what."""
    accused = _once(parts_dir, part)
    does = f"{'An' if part[0] in 'aeiou' else 'A'} {part} that {WRONG[part][0]}"
    if not accused.named:
        return f"{does}: nobody noticed."
    return f"{does}: the broker does not start, and names {accused.named}. {accused.words}"


_seen: dict[tuple[Path, str], Accused] = {}


def _once(parts_dir: Path, part: str) -> Accused:
    """The picture and its words are about the same attempt."""
    last = _seen.pop((parts_dir, part), None)
    if last is None:
        last = _seen[parts_dir, part] = put_in(part, parts_dir)
    return last


CHOICES: Final = list(PARTS)
