"""Races of transfer strategies: what each costs to send the same file to the same receiver.

A file of random bytes lies in the page cache. Each contestant sends it whole to a receiver in a
process of its own, again and again in shuffled order. Two figures of CPU are kept, because TCP
moves work between the processes: the sender's alone (what a broker pays) and both together.

| figure                 | unit  |
|------------------------|-------|
| `sender_cpu_s_per_gib` | s/GiB |
| `total_cpu_s_per_gib`  | s/GiB |
| `gib_per_s`            | GiB/s |

Theory orders some pairs of contestants: with the same chunk, fewer passes of the processor over the
bytes are cheaper; with the same strategy, larger chunks are cheaper, because there are fewer calls.
`expectations` lists these pairs and `judge` confronts each with what was measured.

Left out: more than one connection, a network, and a file that must come from the device first.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.instruments.network import congestion_control_of, congestion_controls
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.experiment import (
    Comparison,
    Contestant,
    Outcome,
    compare,
    run_experiment,
)
from zerocopy_lab.measuring.preconditions import memory_for, resident
from zerocopy_lab.measuring.receivers import Kind, RunningReceiver, receiver_unavailable
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.transfer import MOST_BYTES_PER_CALL, make, strategies
from zerocopy_lab.transfer.connections import Family, connected_pair

GIB: Final = 1 << 30

PASSES: Final = {
    "read_then_send": 2,
    "mmap_then_send": 1,
    "sendfile": 0,
    "splice_through_pipe": 0,
    "encrypt_then_send": 3,
}
"""Passes of the sender's processor over the bytes. Left out are strategies for which loopback is no
fair ground: MSG_ZEROCOPY, which the kernel turns into a copy there, and kernel TLS.
"""

DISTURBED_BY: Final = "bbr"


class Entry(NamedTuple):
    """One contestant of a race; `chunk_bytes` None: the strategy's own default."""

    strategy: str
    chunk_bytes: int | None

    @property
    def label(self) -> str:
        """For tables: `read_then_send 64 KiB`."""
        return f"{self.strategy} {_in_binary_units(self.most_bytes_per_round)}"

    @property
    def most_bytes_per_round(self) -> int:
        """The chunk, also where it is the default."""
        default = strategies()[self.strategy].default_chunk_bytes
        return default if self.chunk_bytes is None else self.chunk_bytes


class Course(NamedTuple):
    """To whom the bytes go."""

    family: Family
    receiver: Kind

    @property
    def label(self) -> str:
        """For tables and options: `tcp:touching`."""
        return f"{self.family}:{self.receiver}"


class Expectation(NamedTuple):
    """Theory says that `cheaper` costs the sender less than `dearer`."""

    cheaper: Entry
    dearer: Entry
    because: str


LINE_UP: Final = (
    Entry("read_then_send", 4096),
    Entry("read_then_send", 65536),
    Entry("read_then_send", 1 << 20),
    Entry("mmap_then_send", 1 << 20),
    Entry("sendfile", 4096),
    Entry("sendfile", 65536),
    Entry("sendfile", None),
    Entry("splice_through_pipe", 1 << 20),
    Entry("send_with_msg_zerocopy", 1 << 20),
    Entry("encrypt_then_send", None),
    Entry("sendfile_over_kernel_tls", None),
)
TO_BE_SENT: Final = "to-be-sent"
COURSES: Final = (Course("tcp", "touching"), Course("tcp", "dropping"), Course("unix", "splicing"))


def send_file(
    stopwatch: Stopwatch,
    strategy: str,
    chunk_bytes: int | None,
    family: Family,
    receiver: Kind,
    path: str,
) -> dict[str, float]:
    """The work of one contestant: the whole file to a receiver, until that has taken all of it."""
    needs_tls = strategies()[strategy].needs_tls
    file = OpenFile.open(Path(path))
    piece = FileSlice(file, 0, os.fstat(file.fd).st_size)
    transfer = make(strategy, chunk_bytes)
    with RunningReceiver(receiver, family, tls=needs_tls) as running:
        stopwatch.also("receiver", running.pid)
        with stopwatch:
            sent_bytes = 0
            while sent_bytes < piece.length:
                sent_bytes += transfer.send(running.sock, piece, sent_bytes)
            received = running.finish()
        transfer.close()
    if received.received_bytes < piece.length:
        raise OSError(f"{received.received_bytes} of {piece.length} bytes arrived")
    figures, gib = stopwatch.figures, piece.length / GIB
    return {
        "sender_cpu_s_per_gib": figures["cpu_s"] / gib,
        "total_cpu_s_per_gib": figures["total_cpu_s"] / gib,
        "gib_per_s": gib / figures["wall_s"],
    }


def why_not(entry: Entry, course: Course) -> str | None:
    """Why an entry cannot run on a course here, or None."""
    strategy = strategies()[entry.strategy]
    if reason := strategy.unavailable() or receiver_unavailable(course.receiver, course.family):
        return reason
    return "it is for TCP only" if strategy.tcp_only and course.family == "unix" else None


def race(
    course: Course,
    entries: Sequence[Entry],
    path: Path,
    *,
    repeats: int = 7,
    seed: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Let the entries race on a course with a file that is in the page cache.

    Entries must be possible there (`why_not`). Raises ExperimentRefused, ContestantFailed.
    """
    contestants = [
        Contestant(
            entry.label,
            send_file,
            {**entry._asdict(), **course._asdict(), "path": str(path)},
        )
        for entry in entries
    ]
    checks, notes = [memory_for(path.stat().st_size)], [_congestion_control_note(course)]
    try:
        page_counts(path)
        checks.append(resident(path))
    except Unavailable as reason:
        notes.append(f"residency of the file not checked: {reason}")
    return run_experiment(
        course.label,
        contestants,
        repeats=repeats,
        seed=seed,
        preconditions=checks,
        notes=[note for note in notes if note],
        progress=progress,
    )


def expectations(entries: Sequence[Entry]) -> Iterator[Expectation]:
    """Pairs of entries that theory puts in an order."""
    for one, other in itertools.permutations(entries, 2):
        passes, more = PASSES.get(one.strategy), PASSES.get(other.strategy)
        if passes is None or more is None:
            continue
        if one.most_bytes_per_round == other.most_bytes_per_round and passes < more:
            yield Expectation(one, other, f"{passes} passes over the bytes against {more}")
        if one.strategy == other.strategy and _is_next_larger(one, other, entries):
            yield Expectation(one, other, "fewer system calls")


def judge(expectation: Expectation, outcome: Outcome) -> tuple[str, Comparison]:
    """`as expected`, `contradicts theory` or `inconclusive`, in the sender's CPU, and why."""
    cheaper, dearer = expectation.cheaper.label, expectation.dearer.label
    found = compare(outcome, cheaper, dearer, "sender_cpu_s_per_gib")
    words = {"cheaper": "as expected", "dearer": "contradicts theory"}
    return words.get(found.verdict, "inconclusive"), found


@contextlib.contextmanager
def file_to_send(directory: Path, length: int) -> Iterator[Path]:
    """A file of random bytes, resident and clean: pages under writeback would disturb the race."""
    path = random_file(directory, length)
    try:
        yield path
    finally:
        path.unlink()


def random_file(directory: Path, length: int) -> Path:
    """The file that a race sends, for whoever removes it himself."""
    path = directory / TO_BE_SENT
    with open(path, "wb") as file:
        for position in range(0, length, 1 << 20):
            file.write(os.urandom(min(1 << 20, length - position)))
        file.flush()
        os.fsync(file.fileno())
    return path


def _is_next_larger(one: Entry, other: Entry, entries: Sequence[Entry]) -> bool:
    """Neighbours in chunk size only: what holds for them holds for the rest."""
    chunks = sorted({e.most_bytes_per_round for e in entries if e.strategy == one.strategy})
    larger, smaller = one.most_bytes_per_round, other.most_bytes_per_round
    return chunks.index(larger) == chunks.index(smaller) + 1


def _congestion_control_note(course: Course) -> str:
    if course.family != "tcp":
        return ""
    with connected_pair("tcp") as pair, contextlib.suppress(Unavailable):
        used, default = congestion_control_of(pair.sender), congestion_controls()[0]
        disturbed = used == DISTURBED_BY
        warning = "; it paces, and over loopback sendfile loses by that" if disturbed else ""
        return f"congestion control: {used} on the sockets, {default} by default{warning}"
    return "congestion control: this system does not tell"


def _in_binary_units(count: int) -> str:
    if count == MOST_BYTES_PER_CALL:
        return "at once"
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count % factor == 0:
            return f"{count // factor} {unit}"
    return f"{count} B"
