"""A deleted segment stays open for its readers only, and no collector is needed for that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.log.making import NOW_MS, TOPIC, batch, open_logs
from zerocopy_lab.errors import CorruptMessage, KafkaError, KafkaStorageError
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.segment import Segment
from zerocopy_lab.log.startup.log_directories import LogDirectories

pytestmark = [
    pytest.mark.usefixtures("no_collector"),
    pytest.mark.skipif(
        not os.path.isdir("/proc/self/fd"), reason="needs /proc to name descriptors"
    ),
]


def deleted_and_open(root: Path) -> list[str]:
    """Files below `root` that are out of use, or gone, and still open here."""
    names = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return [n for n in names if n.startswith(str(root)) and ("(deleted)" in n or ".deleted" in n)]


def filled(root: Path, **overrides: str) -> tuple[LogDirectories, PartitionLog]:
    logs = open_logs(root, clock=None, segment_bytes="150", file_delete_delay_ms="0", **overrides)
    logs.create_topic(TOPIC, 1)
    log = logs.find(TOPIC, 0)
    for number in range(10):
        log.append(batch(b"%d" % number * 60, keys=(b"same",)))
    return logs, log


def read_every_segment(log: PartitionLog) -> None:
    for offset in range(log.log_start_offset, log.log_end_offset):
        log.read(offset, 1000)


def look_up_times(log: PartitionLog) -> None:
    log.offset_for_timestamp(NOW_MS)
    log.offset_of_max_timestamp()
    log.offset_for_timestamp(NOW_MS + 1)


def walk(log: PartitionLog) -> None:
    """And stop in the middle."""
    for number, _ in enumerate(log.headers()):
        if number == 3:
            break


def fail_to_read(log: PartitionLog) -> None:
    with pytest.raises(KafkaError):
        log.read(4711, 1000)


def meet_damage(log: PartitionLog) -> None:
    for segment in log.segments[:-1]:
        segment.rest()
        content = segment.path.read_bytes()
        segment.path.write_bytes(bytes(len(content)))
        with pytest.raises(CorruptMessage):
            log.read(segment.base_offset, 1000)
        segment.path.write_bytes(content)


def nothing(log: PartitionLog) -> None:
    pass


USES: list[Callable[[PartitionLog], None]] = [
    nothing,
    read_every_segment,
    look_up_times,
    walk,
    fail_to_read,
    meet_damage,
]


@pytest.mark.parametrize("use", USES)
def test_retention(tmp_path: Path, use: Callable[[PartitionLog], None]) -> None:
    logs, log = filled(tmp_path)
    use(log)
    held = log.read(0, 1000)
    assert held is not None
    log.delete_records_before(-1)
    logs.housekeeping(NOW_MS)
    logs.housekeeping(NOW_MS + 1)
    assert len(deleted_and_open(tmp_path)) == 1, "the reader goes on"
    assert len(os.pread(held.file.fd, held.length, held.position)) == held.length
    del held
    assert deleted_and_open(tmp_path) == []
    logs.close()


def test_compaction(tmp_path: Path) -> None:
    logs, log = filled(tmp_path, cleanup_policy="compact")
    read_every_segment(log)
    logs.housekeeping(NOW_MS)  # flushes
    logs.housekeeping(NOW_MS + 1)
    assert log.size_bytes < 300, "two records are left"
    logs.housekeeping(NOW_MS + 2)
    assert deleted_and_open(tmp_path) == []
    assert list(log.directory.glob("*.deleted")) == []
    logs.close()


def test_a_deleted_topic(tmp_path: Path) -> None:
    logs, log = filled(tmp_path)
    read_every_segment(log)
    logs.delete_topic(TOPIC)
    logs.housekeeping(NOW_MS + 1)
    assert not log.directory.exists()
    assert deleted_and_open(tmp_path) == []
    logs.close()


def test_a_reader_that_comes_a_moment_too_late(tmp_path: Path) -> None:
    """It has found the segment, then the segment is deleted, then it opens the file."""
    logs, log = filled(tmp_path)
    segment: Segment = log.segments[0]
    log.delete_records_before(-1)
    log.drop_oldest(5, NOW_MS)
    file = segment.reader()
    assert len(deleted_and_open(tmp_path)) == 1
    del file
    assert deleted_and_open(tmp_path) == []
    logs.close()


def test_a_directory_that_goes_offline(tmp_path: Path) -> None:
    logs, log = filled(tmp_path)
    read_every_segment(log)
    logs.failed(tmp_path, OSError(5, "broken"))
    with pytest.raises(KafkaStorageError):
        log.read(0, 1000)
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    open_now = [os.readlink(link) for link in links if os.path.exists(link)]
    assert [name for name in open_now if name.startswith(str(tmp_path))] == []
    logs.close()
