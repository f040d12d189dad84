"""Lab 06: where the bytes are, when they reach the disk, and what happens to a reader who is
late.

Everything about pages and devices is counted: pages of the segment by `page_map`, dirty pages
while a producer writes by a watch, bytes from and to the device per process. What the late reader
costs the others is in `late_reader`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.instruments.block_io import BlockIo, process_block_io
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.memory import DirtyWatch, system_memory, watching_dirty_pages
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageMap, page_counts, page_map
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.pictures.memory_over_time import MemorySample, Moment, memory_over_time
from zerocopy_lab.pictures.residency_map import PageCell, SegmentPages, residency_map
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.workbench import flight_events
from zerocopy_lab.workbench.evidence import Evidence, Finding, Quantity, Verdict, finding
from zerocopy_lab.workbench.fetching import evict_when_let_go
from zerocopy_lab.workbench.flight_events import Traffic
from zerocopy_lab.workbench.lab import Lab
from zerocopy_lab.workbench.lessons.page_cache_exercises import EXERCISES, lag_limit
from zerocopy_lab.workbench.running_broker import RunningBroker

__all__ = ["EXERCISES", "Path", "lag_limit"]

TOPIC = "flights"
CELLS = 64
_NATURAL_FLUSH_S = 60
_NOBODY_COUNTS = "Here nobody counts what a process has from and to devices (/proc/PID/io)."
_LITTLE_AHEAD = {"queued.max.messages.kbytes": 1024, "fetch.message.max.bytes": 256 << 10}
"""librdkafka fetches 64 MiB ahead of what is asked for, unless told otherwise."""

ACK_QUESTION = (
    "The broker has just acknowledged the last of some 30 MB. How much of that is on the disk?"
)
ACK_CHOICES = ("all of it", "about half", "hardly any of it")


def segment_of(data_dir: Path) -> Path:
    """The only segment of the topic: it is far from full."""
    return data_dir / f"{TOPIC}-0" / f"{0:020d}.log"


# -- write -----------------------------------------------------------------------------------------


class Written(NamedTuple):
    """What was written, and where it was when the last message had been acknowledged."""

    frame: SegmentPages
    """the segment's pages at that moment"""

    sent: Traffic
    log_bytes: int
    only_in_memory_bytes: int | None
    """dirty pages, and those on their way; None where they cannot be counted"""
    producer_device_bytes: int | None
    cached_growth_bytes: int | None
    watch: DirtyWatch
    acknowledged_s: float
    flushed_s: float


def write_and_watch(broker: RunningBroker, lab: Lab) -> Written:
    """Produces flight events while dirty pages are sampled, until they have been flushed.

    In fast mode we flush (fsync(2)); in full mode the kernel does it, in its own time.
    """
    segment, messages = segment_of(broker.data_dir), 150_000 if lab.fast else 400_000
    cached, device = system_memory().cached_bytes, _device_io(os.getpid())
    with _watch(segment, interval_ms=25 if lab.fast else 250) as watch:
        began = time.monotonic()
        events = flight_events.repeated(messages)
        sent = flight_events.produce(broker.bootstrap, TOPIC, events)
        acknowledged_s = time.monotonic() - began
        frame, waiting = frame_of("acknowledged", segment), _only_in_memory(segment)
        after = _device_io(os.getpid())
        device_bytes = after.since(device).written_bytes if after and device else None
        growth = None if cached is None else (system_memory().cached_bytes or 0) - cached
        _flush(segment, by_kernel=not lab.fast)
        flushed_s = time.monotonic() - began
    log_bytes = segment.stat().st_size
    return Written(
        frame, sent, log_bytes, waiting, device_bytes, growth, watch, acknowledged_s, flushed_s
    )


def _device_io(pid: int) -> BlockIo | None:
    """What a process has had from and to devices so far; None where nobody counts it."""
    with contextlib.suppress(Unavailable):
        return process_block_io(pid)
    return None


def _watch(segment: Path, interval_ms: float) -> contextlib.AbstractContextManager[DirtyWatch]:
    """A watch over a file that is yet to come; one that sees nothing where pages are not told."""
    try:
        page_counts(Path(__file__))
    except Unavailable:
        return contextlib.nullcontext(DirtyWatch())
    return watching_dirty_pages([segment], interval_ms=interval_ms)


def _only_in_memory(segment: Path) -> int | None:
    try:
        counts = page_counts(segment)
    except Unavailable:
        return None
    if counts.dirty is None or counts.writeback is None:
        return None
    return (counts.dirty + counts.writeback) * PAGE_BYTES


def _flush(segment: Path, *, by_kernel: bool) -> None:
    """Waits for the kernel to have flushed the file, at most a minute; or makes it."""
    deadline = time.monotonic() + (_NATURAL_FLUSH_S if by_kernel else 0)
    while _only_in_memory(segment) and time.monotonic() < deadline:
        time.sleep(0.5)  # the condition is the kernel's, and nobody tells when it holds
    with segment.open("rb") as file:
        os.fsync(file.fileno())


def ack_answer(written: Written) -> str:
    """What was counted, as one of ACK_CHOICES."""
    share = 1 - (written.only_in_memory_bytes or 0) / written.log_bytes
    return ACK_CHOICES[sum(share < limit for limit in (0.75, 0.25))]


def watch_picture(written: Written, lab: Lab) -> Picture:
    """Dirty pages of the segment, second by second."""
    samples = [
        MemorySample(sample.elapsed_ms / 1000, counts.dirty * PAGE_BYTES, _bytes(counts.writeback))
        for sample in written.watch.samples
        for counts in sample.files.values()
        if counts.dirty is not None
    ]
    flushed = "flushed by us (fsync)" if lab.fast else "flushed by the kernel"
    moments = [
        Moment(written.acknowledged_s, "all acknowledged"),
        Moment(written.flushed_s, flushed),
    ]
    return memory_over_time(
        samples, origin=Origin("COUNTED", "pages of one segment"), moments=moments
    )


def _bytes(pages: int | None) -> int | None:
    return None if pages is None else pages * PAGE_BYTES


def watch_words(written: Written) -> str:
    """The conclusion under that picture."""
    if written.only_in_memory_bytes is None:
        return "This kernel does not tell which pages of a file are dirty (cachestat, Linux 6.5)."
    return (
        f"When the broker had acknowledged the last message, {byte_count(written.log_bytes)} were "
        f"in the segment, and {byte_count(written.only_in_memory_bytes)} of them were in memory "
        f"only. {(written.flushed_s - written.acknowledged_s) * 1000:,.0f} ms later all were "
        "flushed."
    )


# -- read ------------------------------------------------------------------------------------------


class Read(NamedTuple):
    """What a consumer got, and what the broker's process had read from the device for it."""

    received: Traffic
    device_bytes: int | None


def read_all(broker: RunningBroker, written: Written) -> Read:
    """Consumes everything from the start, with a real client."""
    before = _device_io(broker.pid)
    received = flight_events.consume(broker.bootstrap, TOPIC, written.sent.messages)
    after = _device_io(broker.pid)
    return Read(received, after.since(before).read_bytes if after and before else None)


def read_late(broker: RunningBroker, written: Written) -> Read | str:
    """The same with the segment out of memory; or why it cannot be evicted here."""
    try:
        evict_when_let_go(segment_of(broker.data_dir))
    except (NotEvicted, Unavailable) as reason:
        return str(reason)
    return read_all(broker, written)


# -- the page map ----------------------------------------------------------------------------------


class Film(NamedTuple):
    """The segment's pages at several moments."""

    frames: list[SegmentPages]


def film_of(broker: RunningBroker, written: Written) -> Film:
    """Acknowledged, flushed and read, evicted, a quarter read again. (Where pages cannot be
    evicted, only the first two.)
    """
    film = Film([written.frame])
    look(film, broker.data_dir, "flushed, read")
    with contextlib.suppress(NotEvicted, Unavailable):  # the finding on P2 says so in words
        for action in ("evict everything", "read a quarter"):
            film.frames.append(act(broker, written, action).frames[-1])
    return film


def look(film: Film, data_dir: Path, moment: str) -> None:
    """Adds a frame: what is in memory now."""
    film.frames.append(frame_of(moment, segment_of(data_dir)))


def frame_of(moment: str, segment: Path) -> SegmentPages:
    """What of the segment is in memory now; no cells where the kernel does not tell."""
    try:
        return SegmentPages(moment, cells_of(page_map(segment)))
    except Unavailable:
        return SegmentPages(moment, ())


def cells_of(pages: PageMap) -> tuple[PageCell, ...]:
    """A page map summed up in CELLS cells."""
    per_cell = _pages_per_cell(len(pages.resident))
    return tuple(
        PageCell(
            len(pages.resident[at : at + per_cell]),
            sum(pages.resident[at : at + per_cell]),
            sum(pages.dirty[at : at + per_cell]) if pages.dirty is not None else 0,
        )
        for at in range(0, len(pages.resident), per_cell)
    )


def _pages_per_cell(pages: int) -> int:
    return max(1, -(-pages // CELLS))


def film_picture(film: Film) -> Picture:
    """One row per moment."""
    pages = max((cell.pages for frame in film.frames for cell in frame.cells), default=1)
    return residency_map(film.frames, cell_bytes=pages * PAGE_BYTES, origin=Origin("COUNTED"))


def film_words(film: Film) -> str:
    """The conclusion under that picture."""
    if not any(frame.cells for frame in film.frames):
        return "This kernel does not tell which pages of a file are in memory."
    told = [
        f"{frame.name}: {_share(frame, 'resident'):.0%} in memory, {_share(frame, 'dirty'):.0%} "
        "only there"
        for frame in film.frames
    ]
    return f"{'; '.join(told)}."


def _share(frame: SegmentPages, state: str) -> float:
    pages = sum(cell.pages for cell in frame.cells)
    return sum(getattr(cell, state) for cell in frame.cells) / pages if pages else 0.0


ACTIONS = ("read a quarter", "read everything", "evict everything", "write 5,000 more", "flush")


def act(broker: RunningBroker, written: Written, action: str) -> Film:
    """Does something to the live broker; the frames before and after it."""
    film, segment = Film([]), segment_of(broker.data_dir)
    look(film, broker.data_dir, "before")
    if action == "evict everything":
        evict_when_let_go(segment)
    elif action == "flush":
        _flush(segment, by_kernel=False)
    elif action == "write 5,000 more":
        flight_events.produce(broker.bootstrap, TOPIC, flight_events.repeated(5_000))
    else:
        share = 4 if action == "read a quarter" else 1
        messages = written.sent.messages // share
        flight_events.consume(broker.bootstrap, TOPIC, messages, config=_LITTLE_AHEAD)
    look(film, broker.data_dir, action)
    return film


def action_picture(broker: RunningBroker, written: Written, action: str) -> Picture:
    """The segment's pages before and after an action on the live broker."""
    return film_picture(act(broker, written, action))


def action_words(action: str) -> str:
    """What to look for in that picture."""
    return {
        "read a quarter": "The first quarter comes into memory, and a little beyond it.",
        "read everything": "Whatever was missing comes into memory.",
        "evict everything": "The pages go; the bytes stay on the disk, and the log is as long.",
        "write 5,000 more": "The file grows at its end, and what is new is dirty.",
        "flush": "Dirty pages become clean ones; they stay in memory.",
    }[action]


# -- conclude --------------------------------------------------------------------------------------


def findings(
    written: Written, tail: Read, late: Read | str, others: Sequence[Finding]
) -> list[Finding]:
    """All that this lab found."""
    return [
        _producer_finding(written),
        _broker_finding(written),
        _write_finding(written),
        _tail_finding(written, tail, late),
        _free_finding(written),
        *others,
    ]


def _producer_finding(written: Written) -> Finding:
    if written.producer_device_bytes is None:
        return finding(
            "S6", Verdict.NOT_TESTABLE, Evidence.COUNTED, _NOBODY_COUNTS, part="the producer"
        )
    share = written.producer_device_bytes / written.sent.payload_bytes
    verdict = Verdict.SUPPORTED if share < 0.01 else Verdict.CONTRADICTED
    words = f"Sending {byte_count(written.sent.payload_bytes)} made the producer's process write "
    return finding(
        "S6",
        verdict,
        Evidence.COUNTED,
        f"{words}{byte_count(written.producer_device_bytes)} to a device.",
        Quantity("device bytes written by the producer", written.producer_device_bytes, "bytes"),
        Quantity("bytes it sent", written.sent.payload_bytes, "bytes"),
        part="the producer",
    )


def _broker_finding(written: Written) -> Finding:
    """S6, the broker: is it on the physical disk when it is acknowledged?"""
    verdict = _if_in_memory(written, Verdict.CONTRADICTED)
    return finding(
        "S6", verdict, Evidence.COUNTED, watch_words(written), *_waiting(written), part="the broker"
    )  # fmt: skip


def _write_finding(written: Written) -> Finding:
    """P1: a write lands in the page cache and is flushed later."""
    verdict = _if_in_memory(written, Verdict.SUPPORTED)
    words = (
        f"{watch_words(written)} Until then a power cut would have taken them; the death of the "
        "broker would not, because the pages are the kernel's."
    )
    return finding("P1", verdict, Evidence.COUNTED, words, *_waiting(written))


def _if_in_memory(written: Written, then: Verdict) -> Verdict:
    """`then`, if most bytes were in memory only when they had been acknowledged."""
    if written.only_in_memory_bytes is None:
        return Verdict.NOT_TESTABLE
    mostly = written.only_in_memory_bytes > written.log_bytes / 2
    return then if mostly else Verdict.INCONCLUSIVE


def _waiting(written: Written) -> list[Quantity]:
    if written.only_in_memory_bytes is None:
        return []
    return [
        Quantity("only in memory when acknowledged", written.only_in_memory_bytes, "bytes"),
        Quantity("bytes of the segment", written.log_bytes, "bytes"),
    ]


def _tail_finding(written: Written, tail: Read, late: Read | str) -> Finding:
    """P2: a reader who is soon enough does not touch the disk."""
    if tail.device_bytes is None:
        return finding("P2", Verdict.NOT_TESTABLE, Evidence.COUNTED, _NOBODY_COUNTS)
    untouched = tail.device_bytes < written.log_bytes / 100
    told = (
        f"A consumer that read everything soon after made the broker fetch "
        f"{byte_count(tail.device_bytes)} of {byte_count(written.log_bytes)} from the device."
    )
    figures = [Quantity("device bytes, reading soon", tail.device_bytes, "bytes")]
    if isinstance(late, str):
        told += f" (The late reader was not tested: {late})"
    elif late.device_bytes is not None:
        told += f" A late one, after an eviction: {byte_count(late.device_bytes)}."
        figures.append(Quantity("device bytes, reading late", late.device_bytes, "bytes"))
    verdict = Verdict.SUPPORTED if untouched else Verdict.CONTRADICTED
    return finding("P2", verdict, Evidence.COUNTED, told, *figures)


def _free_finding(written: Written) -> Finding:
    """P3, where `free` shows it: its buff/cache is made of /proc/meminfo's Cached and others."""
    growth, part = written.cached_growth_bytes, "free shows it"
    if growth is None:
        why = "This system has no /proc/meminfo."
        return finding("P3", Verdict.NOT_TESTABLE, Evidence.COUNTED, why, part=part)
    seen = growth > written.log_bytes / 2
    return finding(
        "P3",
        Verdict.SUPPORTED if seen else Verdict.INCONCLUSIVE,
        Evidence.COUNTED,
        f"While {byte_count(written.log_bytes)} were written, the machine's cache grew by "
        f"{byte_count(growth)} (all processes together).",
        Quantity("growth of Cached in /proc/meminfo", growth, "bytes"),
        source="free(1): buff/cache is Buffers + Cached + SReclaimable",
        part=part,
    )


def invariants(written: Written, tail: Read, late: Read | str) -> dict[str, bool]:
    """What has to hold whatever the machine."""
    held = {"what came back is what was sent, byte for byte": written.sent == tail.received}
    if not isinstance(late, str):
        held["the same from the disk"] = written.sent == late.received
        if late.device_bytes is not None:
            from_device = late.device_bytes > written.log_bytes / 2
            held["after an eviction the bytes came from the device"] = from_device
    return held
