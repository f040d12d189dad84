"""Lab 04, who moves a byte from the disk to the network: each hop with evidence of this very run.

| hop | how we know |
|---|---|
| disk to page cache | the device's bytes are counted, with the file in memory and evicted |
| page cache to buffer | the file is overwritten after the read: what does the buffer hold? |
| buffer to socket | the buffer is overwritten after the send: what arrives? |
| page cache to socket | the alias test: of sendfile alone, and of a broker's answer |
| socket to card | cited: a loopback has no card |
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject, about
from zerocopy_lab.instruments.block_io import process_block_io
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.measuring.alias_test import AliasVerdict, alias_test
from zerocopy_lab.measuring.alias_test_of_topic import MANY_BYTES, alias_test_of_topic
from zerocopy_lab.measuring.fetching import evict_when_let_go
from zerocopy_lab.measuring.recorded import recorded, recorded_words
from zerocopy_lab.pictures.copy_ledger import BytePath, Hop, Mover, copy_ledger
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.transfer.connections import connected_pair

TOPIC = "flights"
READS_AS = "04 device reads"
"""What the reference run calls them."""

_PIECES_BYTES = (1, 4096, 65_536)
_CARD = (
    "What a network card does is cited: it fetches packets from memory by DMA (Linux kernel "
    "documentation, core-api/dma-api-howto); the loopback has no card."
)


class DeviceReads(NamedTuple):
    """Bytes of a file, and how many of them this process had read from the device."""

    file_bytes: int
    warm_bytes: int
    cold_bytes: int


class Moves(NamedTuple):
    """What was found out about each hop."""

    reads: DeviceReads | Unmeasured
    read_copied: bool
    send_copied: bool
    direct: AliasVerdict
    subject: Subject
    answer: AliasVerdict | Unmeasured
    """the alias test on the answer of the broker that was asked"""

    @property
    def copies(self) -> int:
        """By the processor, for every byte that goes through a loop of read and write."""
        return self.read_copied + self.send_copied


def look_at(broker: AnyBroker, path: Path) -> Moves:
    """Every hop, of a file at `path` and of the broker's answer to a Fetch from TOPIC."""
    return Moves(
        device_reads(path),
        all(read_copies(path, size) for size in _PIECES_BYTES),
        all(send_copies(size) for size in _PIECES_BYTES),
        alias_test("sendfile", probe_bytes=MANY_BYTES),
        about(broker),
        alias_of_an_answer(broker),
    )


@or_unmeasured(NotEvicted, Unavailable)
def device_reads(path: Path) -> DeviceReads:
    """Reads the file as the loop does, from memory and evicted; or why that cannot be counted."""
    _read_through_a_buffer(path)
    warm_bytes = _read_through_a_buffer(path)
    evict_when_let_go(path)
    return DeviceReads(path.stat().st_size, warm_bytes, _read_through_a_buffer(path))


def _read_through_a_buffer(path: Path) -> int:
    """Bytes that the device had to give for it."""
    before = process_block_io(os.getpid()).read_bytes
    buffer, position = bytearray(1 << 20), 0
    with path.open("rb", buffering=0) as file:
        while read_bytes := os.preadv(file.fileno(), [buffer], position):
            position += read_bytes
    return process_block_io(os.getpid()).read_bytes - before


def read_copies(path: Path, count: int) -> bool:
    """Whether what pread(2) gave stays as it was when the file changes."""
    with path.open("r+b", buffering=0) as file:
        old = os.urandom(count)
        os.pwrite(file.fileno(), old, 0)
        buffer = bytearray(count)
        os.preadv(file.fileno(), [buffer], 0)
        os.pwrite(file.fileno(), _other(old), 0)
        return bytes(buffer) == old


def send_copies(count: int) -> bool:
    """Whether what send(2) was given arrives as it was when the buffer changes before."""
    with connected_pair("tcp") as pair:
        buffer = bytearray(os.urandom(count))
        old = bytes(buffer)
        pair.sender.sendall(buffer)
        buffer[:] = _other(old)
        return pair.receiver.recv(count, socket.MSG_WAITALL) == old


def _other(old: bytes) -> bytes:
    return bytes(each ^ 0xFF for each in old)


@or_unmeasured()
def alias_of_an_answer(broker: AnyBroker) -> AliasVerdict:
    """The alias test on its answer to a Fetch of 1 MiB; or why its file is out of reach."""
    return alias_test_of_topic(broker, TOPIC, probe_bytes=MANY_BYTES)


# -- the picture -----------------------------------------------------------------------------------


def ledger_picture(moves: Moves) -> Picture:
    """Who moves a byte: the loop with the file on disk and in memory, sendfile, and a broker."""
    counted = isinstance(moves.reads, DeviceReads) and moves.reads.cold_bytes > 0
    disk = Hop(
        "disk", "page cache", "DMA", "COUNTED" if counted else "CITED", "that it is DMA: cited"
    )
    loop = (
        Hop("page cache", "buffer", _by_copy(moves.read_copied), "PROVED"),
        Hop("buffer", "socket", _by_copy(moves.send_copied), "PROVED"),
    )
    card = Hop("socket", "card", "DMA", "CITED")
    paths = [
        BytePath("read and write, file on the disk", (disk, *loop, card)),
        BytePath("read and write, file in memory", (*loop, card)),
        BytePath("sendfile, file in memory", (_direct(moves.direct), card)),
    ]
    if not isinstance(moves.answer, Unmeasured):
        name = f"an answer of {moves.subject.words}"
        paths.append(BytePath(name, (_direct(moves.answer), card)))
    stations = ["disk", "page cache", "buffer", "socket", "card"]
    return copy_ledger(
        paths,
        stations=stations,
        origin=Origin("PROVED, COUNTED or CITED: see each arrow"),
        title=f"By read and write the processor copies every byte {_TIMES[moves.copies]}",
    )


def _by_copy(copied: bool) -> Mover:
    return "CPU" if copied else "nobody"


def _direct(found: AliasVerdict) -> Hop:
    """The hop of a way without a buffer, as the alias test judged it."""
    mover: Mover = {"alias": "nobody", "copied": "CPU"}.get(found.verdict, "unclear")  # type: ignore[assignment]
    remark = {"nobody": "a reference"}.get(mover, "")
    return Hop("page cache", "socket", mover, "" if mover == "unclear" else "PROVED", remark)


def ledger_words(moves: Moves) -> str:
    """The conclusion under that picture."""
    told = {
        "alias": "With sendfile it copies none: the socket is given references.",
        "copied": "With sendfile, too, the bytes were copied.",
        "inconclusive": "Of sendfile the test gave no clear answer.",
    }[moves.direct.verdict]
    asked = f"The answer of {moves.subject.words}: {in_words(moves.answer)}."
    return (
        f"In a loop of read and write the processor copies every byte {_TIMES[moves.copies]}. "
        f"{told} {reads_in_words(moves.reads)} {_CARD} {asked}"
    )


def in_words(answer: AliasVerdict | Unmeasured) -> str:
    """What the alias test found, without the full stop."""
    if isinstance(answer, Unmeasured):
        return f"not looked at: {str(answer).rstrip('.')}"
    return answer.detail


_TIMES = ("not at all", "once", "twice")


def reads_in_words(reads: DeviceReads | Unmeasured) -> str:
    """What came from the device; from the reference run where it could not be counted."""
    if isinstance(reads, Unmeasured):
        told = recorded_words(reads_in_words(DeviceReads(**recorded(READS_AS))))
        return f"How much came from the disk could not be counted here: {reads} {told}"
    return (
        f"Of a file of {byte_count(reads.file_bytes)} in memory the disk gave "
        f"{byte_count(reads.warm_bytes)}, after an eviction {byte_count(reads.cold_bytes)}."
    )


# -- conclude --------------------------------------------------------------------------------------


def findings(moves: Moves) -> list[Finding]:
    """Z1, "every byte is moved four times": the two copies, and the disk's move twice."""
    copies = Aspect("Z1", KERNEL_HERE, "two of the moves are the processor's").proved(
        moves.copies == 2,
        f"In a loop of read and write the processor copies every byte {_TIMES[moves.copies]}: "
        "what was in the buffer did not change with the file, and what was in the socket did not "
        "change with the buffer."
        if moves.copies == 2
        else "One of the two was no copy.",
        Quantity("read copies", moves.read_copied),
        Quantity("send copies", moves.send_copied),
    )
    return [copies, *_disk_findings(moves)]


def _disk_findings(moves: Moves) -> list[Finding]:
    cold = Aspect("Z1", KERNEL_HERE, "four moves, file out of memory")
    warm = Aspect("Z1", KERNEL_HERE, "four moves, file in memory")
    reads, told = moves.reads, reads_in_words(moves.reads)
    if isinstance(reads, Unmeasured):
        return [cold.not_testable(told), warm.not_testable(told)]
    was_read = reads.cold_bytes > reads.file_bytes / 2
    is_spared = reads.warm_bytes < reads.file_bytes / 100
    size = Quantity("bytes of the file", reads.file_bytes, "bytes")
    return [
        cold.counted(
            moves.copies == 2 if was_read else None,
            "From the disk (counted), into the buffer and out of it (proved), to the card. "
            f"{_CARD}",
            Quantity("read from the device, file evicted", reads.cold_bytes, "bytes"),
            size,
        ),
        warm.counted(
            False if is_spared and was_read else None,
            "A file that is in memory is not fetched from the disk, so one of the four moves is "
            f"not made at all. {told}",
            Quantity("read from the device, file in memory", reads.warm_bytes, "bytes"),
            size,
        ),
    ]
