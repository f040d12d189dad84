"""An fsync(2) that fails: what was refused is not there, and nothing counts as durable because of a
later one that succeeds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.log.making import NOW_MS, TOPIC, Clock, batch, kill, log_in, open_logs, read_all
from zerocopy_lab.errors import KafkaError, KafkaStorageError
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.log import atomic_file
from zerocopy_lab.log.startup.log_directory import CLEAN_SHUTDOWN_FILE

Fail = Callable[..., None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Let the next fsync or fdatasync of a file whose path contains a word fail, once."""
    pending: list[tuple[str, int]] = []

    def forcing(really: Callable[[int], None]) -> Callable[[int], None]:
        def force(fd: int) -> None:
            path = os.readlink(f"/proc/self/fd/{fd}")
            if pending and pending[0][0] in path:
                number = pending.pop()[1]
                raise OSError(number, os.strerror(number))
            really(fd)

        return force

    monkeypatch.setattr(atomic_file, "_fdatasync", forcing(os.fdatasync))
    monkeypatch.setattr(os, "fsync", forcing(os.fsync))

    def arm(word: str, number: int = errno.ENOSPC) -> None:
        pending[:] = [(word, number)]

    return arm


ERRORS = pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM])


@ERRORS
@pytest.mark.parametrize("producer_id", [-1, 7])
def test_a_refused_batch_is_not_there(
    tmp_path: Path, fail: Fail, number: int, producer_id: int
) -> None:
    logs = open_logs(tmp_path, flush_messages="1")
    log = log_in(logs)
    log.append(batch(b"one", producer_id=producer_id))
    path = log.directory / f"{0:020d}.log"
    size_bytes = path.stat().st_size
    fail(".log", number)

    def two() -> memoryview:
        return batch(b"two", producer_id=producer_id, sequence=1)

    with pytest.raises(KafkaStorageError, match="fsync"):
        log.append(two())
    assert path.stat().st_size == size_bytes, "the next start would find it"
    assert log.log_end_offset == log.high_watermark == 1
    # What the kernel could not write may be gone, and no later fsync would say so.
    with pytest.raises(KafkaStorageError):
        log.append(two())
    with pytest.raises(KafkaStorageError):
        log.read(0, 1000)
    assert list(logs.offline) == [tmp_path]
    logs.close()
    assert not (tmp_path / CLEAN_SHUTDOWN_FILE).exists()

    logs = open_logs(tmp_path, flush_messages="1")
    log = log_in(logs)
    assert [record.value for record in read_all(log)] == [b"one"]
    assert log.append(two()).base_offset == 1
    assert [record.value for record in read_all(log)] == [b"one", b"two"]
    logs.close()
    assert verify(tmp_path, deep=True).faults == []


def test_nobody_sees_a_batch_that_is_not_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = open_logs(tmp_path, flush_messages="1")
    log = log_in(logs)
    seen: list[tuple[int, object]] = []
    really = os.fdatasync

    def force(fd: int) -> None:
        really(fd)
        seen.append((log.high_watermark, log.read(0, 1000)))

    monkeypatch.setattr(atomic_file, "_fdatasync", force)
    log.append(batch())
    assert seen == [(0, None)]
    assert (log.high_watermark, log.recovery_point) == (1, 1)
    kill(logs)


def test_a_retry_after_a_crash_is_answered_once_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = open_logs(tmp_path)  # so it lies in the page cache only
    log_in(logs).append(batch(producer_id=7))
    kill(logs)
    log = log_in(open_logs(tmp_path, flush_messages="1"))
    forced: list[str] = []
    monkeypatch.setattr(
        atomic_file, "_fdatasync", lambda fd: forced.append(os.readlink(f"/proc/self/fd/{fd}"))
    )
    assert log.append(batch(producer_id=7)).base_offset == 0
    assert forced == [str(log.directory / f"{0:020d}.log")]


def test_recovery_writes_again_what_may_be_in_the_page_cache_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = open_logs(tmp_path)
    log = log_in(logs)
    log.append(batch(b"on disk"))
    log.flush()
    logs.housekeeping(NOW_MS + 60_000)  # the recovery point is written down
    start = log.size_bytes
    log.append(batch(b"in the page cache"))
    log.append(batch(b"and this"))
    content = (log.directory / f"{0:020d}.log").read_bytes()
    kill(logs)
    written: list[tuple[int, bytes]] = []
    really = os.pwrite

    def pwrite(fd: int, data: bytes, position: int) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".log"):
            written.append((position, bytes(data)))
        return really(fd, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    logs = open_logs(tmp_path)
    assert written == [(start, content[start:])]
    logs.close()
    written.clear()
    logs = open_logs(tmp_path)  # after a clean stop everything is on disk
    assert written == []
    kill(logs)


@pytest.mark.parametrize("word", [".index", ".timeindex", f"{TOPIC}-0", "checkpoint.tmp", ".log"])
def test_every_other_flush_takes_its_directory_offline(
    tmp_path: Path, fail: Fail, word: str
) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    clock = Clock()
    logs = open_logs(*disks, segment_bytes="150", flush_ms="1000", clock=clock)
    logs.create_topic(TOPIC, 2)
    for partition in (0, 1):
        for number in range(3):
            logs.find(TOPIC, partition).append(batch(b"%d" % number * 60))
    fail(word)
    clock.now_ms += 61_000
    logs.housekeeping(clock.now_ms)
    assert len(logs.offline) == 1
    (offline,) = logs.offline
    logs.housekeeping(clock.now_ms + 1000)
    logs.close()
    assert [disk for disk in disks if not (disk / CLEAN_SHUTDOWN_FILE).exists()] == [offline]


def test_a_failed_flush_at_the_end_leaves_no_clean_marker(tmp_path: Path, fail: Fail) -> None:
    logs = open_logs(tmp_path)
    log_in(logs).append(batch())
    fail(".log")
    logs.close()
    assert not (tmp_path / CLEAN_SHUTDOWN_FILE).exists()
    logs = open_logs(tmp_path)
    assert len(read_all(log_in(logs))) == 1
    kill(logs)


def test_a_compacted_segment_that_cannot_be_forced_to_disk_replaces_nothing(
    tmp_path: Path, fail: Fail
) -> None:
    logs = open_logs(tmp_path, cleanup_policy="compact", segment_bytes="150")
    log = log_in(logs)
    for number in range(4):
        log.append(batch(b"%d" % number * 60, keys=(b"same",)))
    fail(".cleaned")
    logs.housekeeping(NOW_MS)
    assert list(logs.offline) == [tmp_path]
    with pytest.raises(KafkaError):
        log.read(0, 1000)
    logs.close()
    logs = open_logs(tmp_path, cleanup_policy="compact", segment_bytes="150")
    assert len(read_all(log_in(logs))) == 4
    kill(logs)
