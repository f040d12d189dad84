"""Lab 06: where the bytes are, when they reach the disk, and what happens to a reader who is
late.

Everything here is counted: dirty pages while a producer writes by a watch, bytes from and to the
device per process. The verdicts are in `page_cache_findings`. The segments' pages while three
clients are at work are in `page_scene` and `page_story`, what one can do to them by hand is in
`page_actions`; what the late reader costs the others is in `late_reader`.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.instruments.block_io import BlockIo, process_block_io
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.memory import DirtyWatch, system_memory, watching_dirty_pages
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, page_counts
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.lessons.lab06.page_cache_exercises import EXERCISES, lag_limit
from zerocopy_lab.measuring.fetching import evict_when_let_go
from zerocopy_lab.measuring.preconditions import not_on_tmpfs
from zerocopy_lab.measuring.recorded import (
    marked,
    recorded,
    recorded_origin,
    recorded_words,
)
from zerocopy_lab.pictures.memory_over_time import MemorySample, Moment, memory_over_time
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.flight_events import Traffic
from zerocopy_lab.running.running_broker import RunningBroker

__all__ = ["EXERCISES", "Path", "lag_limit"]

TOPIC = "flights"
_NATURAL_FLUSH_S = 60

WRITING_AS, READERS_AS = "06 writing", "06 device bytes of two readers"
"""What the reference run calls them."""

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

    sent: Traffic
    log_bytes: int
    only_in_memory_bytes: int | None
    """dirty pages, and those on their way; None where they cannot be counted"""
    producer_device_bytes: int | None
    cached_growth_bytes: int | None
    samples: tuple[MemorySample, ...]
    acknowledged_s: float
    flushed_s: float
    why_unknown: str = ""
    """why nobody knows here which pages wait for the disk"""


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
        waiting, why_unknown = _only_in_memory(segment), _why_unknown(segment)
        after = _device_io(os.getpid())
        device_bytes = after.since(device).written_bytes if after and device else None
        growth = None if cached is None else (system_memory().cached_bytes or 0) - cached
        if not lab.fast:
            _wait_for_flush(segment)
        flush(segment)
        flushed_s = time.monotonic() - began
    log_bytes = segment.stat().st_size
    return Written(
        sent,
        log_bytes,
        None if why_unknown else waiting,
        device_bytes,
        growth,
        () if why_unknown else _samples(watch),
        acknowledged_s,
        flushed_s,
        why_unknown,
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


def _why_unknown(segment: Path) -> str:
    """Why dirty pages cannot be told; empty where they can."""
    if _only_in_memory(segment) is None:
        return "this kernel does not tell which pages are dirty (cachestat, Linux 6.5)"
    return not_on_tmpfs(segment)() or ""


def _wait_for_flush(segment: Path) -> None:
    """Waits until the kernel has flushed the file in its own time, at most a minute."""
    deadline = time.monotonic() + _NATURAL_FLUSH_S
    while _only_in_memory(segment) and time.monotonic() < deadline:
        time.sleep(0.5)  # the condition is the kernel's, and nobody tells when it holds


def flush(segment: Path) -> None:
    """Makes the kernel write the file's dirty pages out now: fsync(2)."""
    with segment.open("rb") as file:
        os.fsync(file.fileno())


def _samples(watch: DirtyWatch) -> tuple[MemorySample, ...]:
    return tuple(
        MemorySample(sample.elapsed_ms / 1000, counts.dirty * PAGE_BYTES, _bytes(counts.writeback))
        for sample in watch.samples
        for counts in sample.files.values()
        if counts.dirty is not None
    )


def _bytes(pages: int | None) -> int | None:
    return None if pages is None else pages * PAGE_BYTES


def ack_answer(written: Written) -> str | None:
    """What was counted, as one of ACK_CHOICES; None where nobody can."""
    if written.only_in_memory_bytes is None:
        return None
    share = 1 - written.only_in_memory_bytes / written.log_bytes
    return ACK_CHOICES[sum(share < limit for limit in (0.75, 0.25))]


def watch_picture(written: Written, lab: Lab) -> Picture:
    """Dirty pages of the segment, second by second; those of the reference run where nobody can
    tell.
    """
    if written.only_in_memory_bytes is None:
        return marked(_dirty_picture(recorded_writing(), recorded_origin("COUNTED"), by_us=True))
    return _dirty_picture(written, Origin("COUNTED", "pages of one segment"), by_us=lab.fast)


def _dirty_picture(written: Written, origin: Origin, *, by_us: bool) -> Picture:
    flushed = "flushed by us (fsync)" if by_us else "flushed by the kernel"
    moments = [
        Moment(written.acknowledged_s, "all acknowledged"),
        Moment(written.flushed_s, flushed),
    ]
    return memory_over_time(written.samples, origin=origin, moments=moments)


def watch_words(written: Written) -> str:
    """The conclusion under that picture."""
    if written.only_in_memory_bytes is None:
        told = recorded_words(watch_words(recorded_writing()))
        return f"Not counted here: {written.why_unknown}. {told}"
    return (
        f"When the broker had acknowledged the last message, {byte_count(written.log_bytes)} were "
        f"in the segment, and {byte_count(written.only_in_memory_bytes)} of them were in memory "
        f"only. {(written.flushed_s - written.acknowledged_s) * 1000:,.0f} ms later all were "
        "flushed."
    )


def recorded_writing() -> Written:
    """What the reference run wrote and watched."""
    fields = recorded(WRITING_AS)
    sent, samples = Traffic(*fields["sent"]), [MemorySample(*each) for each in fields["samples"]]
    return Written(**{**fields, "sent": sent, "samples": tuple(samples)})


# -- read ------------------------------------------------------------------------------------------


class Read(NamedTuple):
    """What a consumer got, and what the broker's process had read from the device for it."""

    received: Traffic
    device_bytes: int | None
    absent_bytes: int | None = None
    """how much of the segment was out of memory when the consumer began"""


def read_all(broker: RunningBroker, written: Written) -> Read:
    """Consumes everything from the start, with a real client."""
    absent = _absent(segment_of(broker.data_dir))
    before = _device_io(broker.pid)
    received = flight_events.consume(broker.bootstrap, TOPIC, written.sent.messages)
    after = _device_io(broker.pid)
    return Read(received, after.since(before).read_bytes if after and before else None, absent)


def _absent(segment: Path) -> int | None:
    with contextlib.suppress(Unavailable):
        counts = page_counts(segment)
        return (counts.total - counts.resident) * PAGE_BYTES
    return None


def read_late(broker: RunningBroker, written: Written) -> Read | str:
    """The same with the segment out of memory; or why it cannot be evicted here."""
    try:
        evict_when_let_go(segment_of(broker.data_dir))
    except (NotEvicted, Unavailable) as reason:
        return str(reason)
    return read_all(broker, written)


class ReadersRecord(NamedTuple):
    """What the reference run keeps of both."""

    log_bytes: int
    soon_bytes: int
    late_bytes: int


def recorded_readers() -> ReadersRecord:
    """What the reference run's readers made its broker fetch from the device."""
    return ReadersRecord(**recorded(READERS_AS))
