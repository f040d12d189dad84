"""Lab 06: where the bytes are, when they reach the disk, and what happens to a reader who is
late.

Everything here is counted: dirty pages while a producer writes to the broker that BROKER names,
bytes from and to the device per process. The verdicts are in `page_cache_findings`; what the late
reader costs the others is in `late_reader`, three readers in a small memory are in `small_memory`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.instruments.block_io import process_block_io
from zerocopy_lab.instruments.eviction import NotEvicted, evict
from zerocopy_lab.instruments.memory import DirtyWatch, system_memory, watching_dirty_pages
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageCounts, page_counts, page_map
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.lessons.lab06.page_cache_exercises import lag_limit
from zerocopy_lab.lessons.lab06.small_memory import cells_of
from zerocopy_lab.measuring.alias_test_of_topic import first_segment
from zerocopy_lab.measuring.fetching import evict_when_let_go
from zerocopy_lab.measuring.preconditions import not_on_tmpfs
from zerocopy_lab.measuring.recorded import marked, recorded, recorded_origin, recorded_words
from zerocopy_lab.pictures.memory_over_time import MemorySample, Moment, memory_over_time
from zerocopy_lab.pictures.residency_map import SegmentPages, residency_map
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.flight_events import Traffic

__all__ = ["lag_limit"]

TOPIC = "flights"
RECORDED_AS = "06 a real Kafka"
"""What the reference run calls what it saw of one."""

_NATURAL_FLUSH_S = 60
_FREE_ROUNDS = 5

# -- write -----------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """How much of the segment had yet to reach the disk."""

    log_bytes: int
    acknowledged_bytes: int
    """at the moment of the last acknowledgement"""
    most_bytes: int
    """at any look until then: a broker that syncs every append never has much"""
    samples: tuple[MemorySample, ...]
    acknowledged_s: float
    flushed_s: float


class Written(NamedTuple):
    """What was written, and where it was meanwhile."""

    sent: Traffic
    producer_device_bytes: int | Unmeasured
    waiting: Waiting | Unmeasured


def write_and_watch(broker: AnyBroker, lab: Lab) -> Written:
    """Produces flight events while dirty pages are sampled, until they have been flushed.

    In fast mode we flush (fsync(2)); in full mode the kernel does it, in its own time.
    """
    messages = 150_000 if lab.fast else 400_000

    def send() -> Traffic:
        return flight_events.produce(broker.bootstrap, TOPIC, flight_events.repeated(messages))

    def produce() -> tuple[Traffic, int | Unmeasured]:
        return device_bytes_of(os.getpid, "written_bytes", send)

    try:
        segment = first_segment(broker, TOPIC)  # the only one: it is far from full
        _require_that_dirty_pages_are_told(segment.parents[1])
    except Unavailable as reason:
        return Written(*produce(), Unmeasured(str(reason)))
    with watching_dirty_pages([segment], interval_ms=25 if lab.fast else 250) as watch:
        began = time.monotonic()
        sent, device_bytes = produce()
        acknowledged_s = time.monotonic() - began
        acknowledged_bytes = _waiting_bytes(page_counts(segment))
        if not lab.fast:
            _wait_for_flush(segment)
        flush(segment)
        flushed_s = time.monotonic() - began
    samples = _samples(watch)
    until = [
        each.dirty_bytes + (each.writeback_bytes or 0)
        for each in samples
        if each.at_s <= acknowledged_s
    ]
    waiting = Waiting(
        segment.stat().st_size,
        acknowledged_bytes,
        max([acknowledged_bytes, *until]),
        samples,
        acknowledged_s,
        flushed_s,
    )
    return Written(sent, device_bytes, waiting)


def _require_that_dirty_pages_are_told(directory: Path) -> None:
    """Raises Unavailable where the kernel or the file system does not say which pages wait."""
    if why := not_on_tmpfs(directory)():
        raise Unavailable("the count of dirty pages", why, "Set TMPDIR to a directory on a disk")
    with NamedTemporaryFile(dir=directory.parent) as file:
        file.write(bytes(PAGE_BYTES))
        file.flush()
        if page_counts(Path(file.name)).dirty is None:
            why = "this kernel, or this file system, does not tell which pages are dirty"
            raise Unavailable("cachestat", why, "It takes Linux 6.5 and no overlay")


def device_bytes_of(
    pid: Callable[[], int], counter: str, work: Callable[[], Traffic]
) -> tuple[Traffic, int | Unmeasured]:
    """What the work gave, and what a process had from or to devices meanwhile (/proc/PID/io)."""
    try:
        before = process_block_io(pid())
    except Unavailable as reason:
        return work(), Unmeasured(str(reason))
    done = work()
    return done, int(getattr(process_block_io(pid()).since(before), counter))


def _waiting_bytes(counts: PageCounts) -> int:
    return ((counts.dirty or 0) + (counts.writeback or 0)) * PAGE_BYTES


def _wait_for_flush(segment: Path) -> None:
    """Waits until the kernel has flushed the file in its own time, at most a minute."""
    deadline = time.monotonic() + _NATURAL_FLUSH_S
    while _waiting_bytes(page_counts(segment)) and time.monotonic() < deadline:
        time.sleep(0.5)  # the condition is the kernel's, and nobody tells when it holds


def flush(segment: Path) -> None:
    """Makes the kernel write the file's dirty pages out now: fsync(2)."""
    with segment.open("rb") as file:
        os.fsync(file.fileno())


def _samples(watch: DirtyWatch) -> tuple[MemorySample, ...]:
    return tuple(
        MemorySample(
            round(sample.elapsed_ms / 1000, 3),
            (counts.dirty or 0) * PAGE_BYTES,
            (counts.writeback or 0) * PAGE_BYTES,
        )
        for sample in watch.samples
        for counts in sample.files.values()
    )


def ack_answer(written: Written) -> tuple[int | None, str]:
    """What was counted, as the number of the notebook's choice; or why nobody can."""
    if isinstance(written.waiting, Unmeasured):
        return None, f"Not counted here: {written.waiting}"
    share = 1 - written.waiting.acknowledged_bytes / written.waiting.log_bytes
    return 1 + sum(share < limit for limit in (0.75, 0.25)), ""


def watch_picture(written: Written, lab: Lab) -> Picture:
    """Bytes of the segment that wait for the disk, second by second; those of the recorded run
    where nobody can tell.
    """
    if isinstance(written.waiting, Unmeasured):
        there = recorded_seen().written.waiting
        assert isinstance(there, Waiting)
        return marked(_dirty_picture(there, recorded_origin("COUNTED"), by_us=True))
    return _dirty_picture(written.waiting, Origin("COUNTED", "pages of one segment"), lab.fast)


def _dirty_picture(waiting: Waiting, origin: Origin, by_us: bool) -> Picture:
    flushed = "flushed by us (fsync)" if by_us else "flushed by the kernel"
    acknowledged = Moment(waiting.acknowledged_s, "all acknowledged")
    moments = [acknowledged, Moment(waiting.flushed_s, flushed)]
    title = f"{byte_count(waiting.acknowledged_bytes)} were in memory only when acknowledged"
    return memory_over_time(waiting.samples, origin=origin, moments=moments, title=title)


def watch_words(written: Written) -> str:
    """The conclusion under that picture."""
    waiting = written.waiting
    if isinstance(waiting, Unmeasured):
        told = recorded_words(f"a real Kafka. {watch_words(recorded_seen().written)}")
        return f"Not counted here: {waiting}. {told}"
    return (
        f"When the broker had acknowledged the last message, {byte_count(waiting.log_bytes)} were "
        f"in the segment, and {byte_count(waiting.acknowledged_bytes)} of them were in memory "
        f"only (at most {byte_count(waiting.most_bytes)} at any look). "
        f"{(waiting.flushed_s - waiting.acknowledged_s) * 1000:,.0f} ms later all were flushed."
    )


# -- read ------------------------------------------------------------------------------------------


class Read(NamedTuple):
    """What a consumer got, and what the broker's process had read from the device for it."""

    received: Traffic
    device_bytes: int | Unmeasured


def read_all(broker: AnyBroker, written: Written) -> Read:
    """Consumes everything from the start, with a real client."""

    def consume() -> Traffic:
        return flight_events.consume(broker.bootstrap, TOPIC, written.sent.messages)

    return Read(*device_bytes_of(lambda: broker.pid, "read_bytes", consume))


@or_unmeasured(NotEvicted, Unavailable)
def read_late(broker: AnyBroker, written: Written) -> Read:
    """The same with the segment out of memory; or why it cannot be evicted here."""
    evict_when_let_go(first_segment(broker, TOPIC))
    return read_all(broker, written)


class Sighting(NamedTuple):
    """All that was seen of one broker, in the order in which it was."""

    written: Written
    soon: Read
    late: Read | Unmeasured


def show_readers(seen: Sighting) -> None:
    """Shows what both readers made the broker fetch."""
    box("plain", "Fetched from the device", [readers_words(seen)])


def readers_words(seen: Sighting) -> str:
    """What both readers made the broker fetch; of the recorded run what was not counted here."""
    soon, late = seen.soon.device_bytes, seen.late
    if isinstance(soon, Unmeasured):
        told = recorded_words(f"a real Kafka. {readers_words(recorded_seen())}")
        return f"Not counted here: {soon} {told}"
    told = (
        f"A consumer that read {byte_count(seen.soon.received.payload_bytes)} of messages soon "
        f"after made the broker fetch {byte_count(soon)} from the device."
    )
    if isinstance(late, Unmeasured):
        return f"{told} A late one, whom the counter should see, could not be tried here: {late}"
    if isinstance(late.device_bytes, Unmeasured):
        return told
    return f"{told} A late one, after an eviction: {byte_count(late.device_bytes)}."


# -- free(1) ---------------------------------------------------------------------------------------


class Free(NamedTuple):
    """A file of `resident_bytes` left memory, again and again: by how much `Cached` fell."""

    resident_bytes: int
    fell_bytes: tuple[int, ...]


@or_unmeasured(NotEvicted, Unavailable)
def watch_free(path: Path) -> Free | Unmeasured:
    """Cached in /proc/meminfo around an eviction of a file that was all in memory.

    The file's own pages are the control: what others do to the cache meanwhile is not theirs.
    """
    fell, resident = [], 0
    for _ in range(_FREE_ROUNDS):
        path.read_bytes()
        flush(path)
        before = system_memory().cached_bytes
        resident = evict(path).before.resident * PAGE_BYTES
        after = system_memory().cached_bytes
        if before is None or after is None:
            return Unmeasured("this system has no /proc/meminfo")
        fell.append(before - after)
    return Free(resident, tuple(fell))


# -- what a read brings along ----------------------------------------------------------------------


class ReadAhead:
    """What comes into memory with a read from the middle of a file that is out of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._words = ""

    def picture(self, kib: int, advice: str) -> Picture:
        """Reads so much once, after posix_fadvise(2); the pages that are in memory then."""
        pages, rows = None, []
        try:
            evict(self._path)
            with self._path.open("rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, getattr(os, f"POSIX_FADV_{advice.upper()}"))
                middle = self._path.stat().st_size // 2
                for position in range(middle, middle + (kib << 10), PAGE_BYTES):
                    os.pread(file.fileno(), PAGE_BYTES, position)
            pages = page_map(self._path)
        except (NotEvicted, Unavailable) as reason:
            self._words = f"Not on this machine: {reason}"
        pages_a_cell = 1
        if pages is not None:
            pages_a_cell = -(-len(pages.resident) // 64)
            rows = [SegmentPages(f"{kib} KiB, {advice}", cells_of([pages], pages_a_cell))]
            came = byte_count(sum(pages.resident) * PAGE_BYTES)
            self._words = f"{kib} KiB were read, advice “{advice}”: {came} came into memory."
        return residency_map(
            rows,
            cell_bytes=pages_a_cell * PAGE_BYTES,
            origin=Origin("COUNTED", "pages of one file"),
            why_empty=self._words,
            title=self._words if rows else "",
        )

    def words(self, kib: int, advice: str) -> str:
        """What that read brought in, or why it could not be tried."""
        return self._words


# -- the recorded run ------------------------------------------------------------------------------


def recorded_seen() -> Sighting:
    """What the reference run saw of a real Kafka."""
    fields = recorded(RECORDED_AS)
    waiting = dict(fields["waiting"])
    waiting["samples"] = tuple(MemorySample(*each) for each in waiting["samples"])
    sent = Traffic(*fields["sent"])
    return Sighting(
        Written(sent, fields["producer_device_bytes"], Waiting(**waiting)),
        Read(sent, fields["soon_bytes"]),
        Read(sent, fields["late_bytes"]),
    )


def plain(seen: Sighting, version: str) -> dict[str, object] | None:
    """What `recorded_seen` reads, as JSON holds it; None where something was not measured."""
    written, soon, late = seen
    if isinstance(written.waiting, Unmeasured) or isinstance(late, Unmeasured):
        return None
    counts = written.producer_device_bytes, soon.device_bytes, late.device_bytes
    if any(isinstance(count, Unmeasured) for count in counts):
        return None
    return {
        "version": version,
        "sent": written.sent,
        "producer_device_bytes": counts[0],
        "waiting": written.waiting._asdict(),
        "soon_bytes": counts[1],
        "late_bytes": counts[2],
    }
