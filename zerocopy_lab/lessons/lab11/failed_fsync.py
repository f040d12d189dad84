"""Lab 11, a failed fsync: what becomes of the pages, what the next fsync says, and what a broker
makes of it, on a disk that fails for real (`failing_disk`).

Source: fsync(2), ERRORS; https://wiki.postgresql.org/wiki/Fsync_Errors.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.lessons.lab11.failing_disk import ROOM_BYTES, disk_with_too_little_room
from zerocopy_lab.lessons.lab11.flush_policies import (
    BatchRefused,
    acknowledged,
    log_path,
    messages_in,
)
from zerocopy_lab.measuring.recorded import recorded, recorded_words
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.passing_topic import a_topic
from zerocopy_lab.running.running_broker import Kind, RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory

RECORDED_AS = "11 a failed fsync"
_BATCH = b"kept" * (1 << 18)


class FailedFlush(NamedTuple):
    """More was written than the disk has room for, and fsync called once more when it failed."""

    first: str
    """what the fsync said that failed"""
    second: str
    """what the next one said, with nothing written in between"""
    dirty_pages: int
    """that waited for the disk, after the first"""
    in_memory: bool
    """whether a reader finds the last batch"""
    on_disk: bool
    """whether a reader finds it when the memory has forgotten it"""


def on_a_failing_disk(show: Callable[[Path], object]) -> None:
    """Runs the notebook's cell on such a disk, or says why there is none."""
    try:
        with disk_with_too_little_room() as disk:
            show(disk)
    except Unavailable as reason:
        print(reason)


@or_unmeasured()
def fail_twice() -> FailedFlush | Unmeasured:
    """The notebook's cell, under control; or why not here."""
    with disk_with_too_little_room() as disk:
        return _written(disk / "log")


def _written(path: Path) -> FailedFlush:
    """Batches of a MiB, each flushed, until a flush fails; then once more."""
    log, position, first = os.open(path, os.O_RDWR | os.O_CREAT), 0, "done"
    try:
        while first == "done" and position < 2 * ROOM_BYTES:
            os.pwrite(log, _BATCH, position)
            first = _flushed(log)
            position += len(_BATCH)
        counts = page_counts(path)
        second = _flushed(log)
        last = position - len(_BATCH)
        in_memory = os.pread(log, len(_BATCH), last) == _BATCH
        os.posix_fadvise(log, 0, 0, os.POSIX_FADV_DONTNEED)
        on_disk = os.pread(log, len(_BATCH), last) == _BATCH
    finally:
        os.close(log)
    return FailedFlush(first, second, counts.dirty or 0, in_memory, on_disk)


def _flushed(file: int) -> str:
    try:
        os.fsync(file)
    except OSError as error:
        return str(error.strerror)
    return "done"


def failed_flush_words(seen: FailedFlush | Unmeasured) -> str:
    """What happened, or the recorded run."""
    if isinstance(seen, Unmeasured):
        told = failed_flush_words(FailedFlush(**recorded(RECORDED_AS)))
        return f"{seen} {recorded_words(told)}"
    memory, disk = ("was there" if each else "was not all there" for each in seen[3:])
    return (
        f"An fsync said “{seen.first}”; after it {seen.dirty_pages:,} pages waited for the disk, "
        f"and the next fsync said “{seen.second}”. In memory the batch {memory}; on the disk it "
        f"{disk}."
    )


def failed_flush_answer(seen: FailedFlush | Unmeasured) -> int | None:
    """What the second fsync said: the number of the notebook's choice."""
    if isinstance(seen, Unmeasured) or seen.first == "done":
        return None
    return 2 if seen.second == "done" and seen.on_disk else 3 if seen.second == "done" else 1


def why_not_failed(seen: FailedFlush | Unmeasured) -> str:
    """Why there is no answer; nothing where there is one."""
    if isinstance(seen, Unmeasured):
        return str(seen)
    return "No flush failed here." if seen.first == "done" else ""


def failed_flush_finding(seen: FailedFlush | Unmeasured) -> Finding:
    """S6: on the physical disk? A flush may fail, and the next one says that it did not."""
    part = "the next flush makes a failed one good"
    words = failed_flush_words(seen)
    if isinstance(seen, Unmeasured):
        return Aspect("S6", KERNEL_HERE, part).not_testable(words)
    made_good = seen.second == "done" and seen.on_disk
    return Aspect("S6", KERNEL_HERE, part).proved(
        None if seen.first == "done" else made_good,
        words,
        Quantity("what the second fsync said", seen.second),
        Quantity("on the disk", seen.on_disk),
        Quantity("pages that waited for the disk after the first", seen.dirty_pages),
        source="fsync(2), ERRORS; Linux, mm/page-writeback.c",
    )


# -- a broker on such a disk -----------------------------------------------------------------------

_RECORD = b"x" * 100_000


class RefusedFlush(NamedTuple):
    """A broker that flushes every batch, when a flush failed."""

    acknowledged: int
    """batches, one after the other, until one was refused"""
    error: int
    """what the producer was told: Kafka's error code, -1 for a connection that ended"""
    tried_again: int
    """what it was told the next time, at once"""
    read: int
    """what a consumer was told then"""
    on_disk: int
    """batches that a reader finds when the memory has forgotten them"""


@or_unmeasured()
def ask_a_broker(which: str) -> RefusedFlush | Unmeasured:
    """A broker as BROKER names it, on a disk that fails; or why not here."""
    kind: Kind = "kafka" if which == "kafka" else "zerocopy_lab"
    if which != kind:
        return Unmeasured(f"the disks of the cluster at {which} are its own")
    with (
        disk_with_too_little_room() as disk,
        ScratchDirectory("metadata") as sound,
        RunningBroker(disk / "data", kind=kind, settings=_apart(kind, sound.path)) as broker,
        a_topic(broker, {"flush.messages": "1"}) as topic,
    ):
        return _until_refused(broker, topic)


def _apart(kind: Kind, directory: Path) -> dict[str, str]:
    """A Kafka keeps its cluster's metadata in a log of its own: that one is on a sound disk."""
    return {"metadata.log.dir": str(directory / "metadata")} if kind == "kafka" else {}


def _until_refused(broker: RunningBroker, topic: str) -> RefusedFlush:
    batch = build_batch([Record(0, int(time.time() * 1000), None, _RECORD)])
    most = [batch] * (4 * ROOM_BYTES // len(batch))
    stored = 1  # the topic holds one
    try:
        for _ in acknowledged(broker, topic, most):
            stored += 1
        error = 0
    except BatchRefused as refusal:
        error = refusal.code
    tried_again, read = _told(broker, topic, batch)
    log = log_path(broker, topic)
    broker.kill()
    with log.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        on_disk = messages_in(file.read())
    return RefusedFlush(stored, error, tried_again, read, on_disk)


def _told(broker: RunningBroker, topic: str, batch: bytes) -> tuple[int, int]:
    """What a producer and a consumer are told now; -1: the connection ended, or none came about."""
    try:
        with Wire(broker.host, broker.port) as wire:
            error, _ = produce(wire, topic, 0, batch)
            return error, fetch(wire, topic, 0, 0).error_code
    except OSError:
        return -1, -1


def refusal_words(seen: RefusedFlush | Unmeasured, whose: str) -> str:
    """What the broker did, in a sentence or two."""
    if isinstance(seen, Unmeasured):
        return f"No broker was asked: {seen}"
    told = {0: "was refused nothing", -1: "lost its connection"}.get(
        seen.error, f"was told error {seen.error}"
    )
    again = {0: "was told that all was well", -1: "found nobody there"}.get(
        seen.tried_again, f"was told error {seen.tried_again}"
    )
    lost = max(seen.acknowledged - seen.on_disk, 0)
    return (
        f"{whose}, with flush.messages=1: {seen.acknowledged:,} batches were acknowledged; then "
        f"the producer {told}, and at once after that it {again}. Of the acknowledged batches "
        f"{lost:,} are missing on the disk."
    )


def refusal_finding(seen: RefusedFlush | Unmeasured, subject: Subject) -> Finding:
    """S6: a broker whose flush failed must not go on as if the next one could make it good."""
    part = "a broker stops when a flush fails"
    words = refusal_words(seen, subject.words.split(",")[0])  # recorded, it is not "run here"
    if isinstance(seen, Unmeasured):
        return Aspect("S6", subject, part).not_testable(words)
    stopped = seen.tried_again != 0 and seen.on_disk >= seen.acknowledged
    return Aspect("S6", subject, part).proved(
        stopped if seen.error else None,
        words,
        Quantity("what the producer was told (Kafka's error code)", seen.error),
        Quantity("what it was told the next time", seen.tried_again),
        Quantity("acknowledged batches", seen.acknowledged),
        Quantity("of them on the disk", seen.on_disk),
        source="Apache Kafka 4.2.0, LogDirFailureChannel; KafkaStorageException is error 56",
    )
