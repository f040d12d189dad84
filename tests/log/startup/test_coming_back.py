"""A directory that went offline for a reason that may be over comes back by itself, and what goes
wrong in every round is said once.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.log.making import NOW_MS, TOPIC, batch, open_logs, read_all
from zerocopy_lab.errors import KafkaStorageError
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.log import atomic_file
from zerocopy_lab.log.startup.log_directories import RETRY_INTERVAL_MS, LogDirectories
from zerocopy_lab.log.startup.log_directory import LogDirectory

PASSING = [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR]
LATER_MS = NOW_MS + RETRY_INTERVAL_MS


def error_of(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def two_disks(root: Path, **overrides: str) -> tuple[LogDirectories, Path, Path]:
    """Partition 0 lies on the first one."""
    disks = root / "disk1", root / "disk2"
    logs = open_logs(*disks, clock=None, **overrides)
    logs.create_topic(TOPIC, 2)
    for partition in (0, 1):
        logs.find(TOPIC, partition).append(batch(b"before"))
    return logs, *disks


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_after_a_failed_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    logs, first, second = two_disks(tmp_path, flush_messages="1")
    with monkeypatch.context() as broken:

        def fail(fd: int) -> None:
            raise error_of(number)

        broken.setattr(atomic_file, "_fdatasync", fail)
        with pytest.raises(KafkaStorageError):
            logs.find(TOPIC, 0).append(batch(b"refused", producer_id=7))
    assert list(logs.offline) == [first]
    logs.create_topic("meanwhile", 1)
    logs.housekeeping(LATER_MS - 1)
    assert list(logs.offline) == [first], "not yet"
    logs.housekeeping(LATER_MS)
    if number == errno.EIO:
        assert list(logs.offline) == [first], "a broken disk stays away until somebody has looked"
    else:
        assert (logs.offline, logs.refused) == ({}, {})
        log = logs.find(TOPIC, 0)
        assert [record.value for record in read_all(log)] == [b"before"]
        assert log.append(batch(b"refused", producer_id=7)).base_offset == 1
    logs.close()
    assert verify(tmp_path / "disk2", deep=True).faults == []
    logs = open_logs(first, second)
    assert sorted(logs.topics()) == [TOPIC, "meanwhile"]
    assert len(read_all(logs.find(TOPIC, 0))) == (1 if number == errno.EIO else 2)
    logs.close()


@pytest.mark.parametrize("number", PASSING)
def test_from_the_start_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    logs, first, second = two_disks(tmp_path)
    logs.close()
    really = LogDirectory.open

    def open_directory(path: Path, node_id: int, cluster_id: str) -> LogDirectory:
        if path == first:
            raise error_of(number)
        return really(path, node_id, cluster_id)

    with monkeypatch.context() as broken:
        broken.setattr(LogDirectory, "open", open_directory)
        logs = open_logs(first, second)
        logs.housekeeping(LATER_MS)
        assert list(logs.offline) == [first]
        with pytest.raises(KafkaStorageError):
            logs.find(TOPIC, 0)
    logs.housekeeping(LATER_MS + RETRY_INTERVAL_MS)
    assert (logs.offline, logs.refused) == ({}, {})
    assert [len(read_all(logs.find(TOPIC, partition))) for partition in (0, 1)] == [1, 1]
    logs.close()


@pytest.mark.parametrize("number", PASSING)
@pytest.mark.parametrize(
    "operation", ["open", "rename", "replace", "unlink", "pwrite", "ftruncate"]
)
def test_a_passing_error_takes_nothing_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, number: int
) -> None:
    logs, _, _ = two_disks(
        tmp_path,
        segment_bytes="200",
        retention_bytes="200",
        file_delete_delay_ms="0",
        flush_ms="1",
    )
    log = logs.find(TOPIC, 0)
    accepted = 1
    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object) -> None:
            raise error_of(number)

        if operation == "rename":
            broken.setattr(Path, "rename", fail)
        elif operation == "unlink":
            broken.setattr(Path, "unlink", fail)
        else:
            broken.setattr(os, operation, fail)
        for _ in range(4):
            try:
                log.append(batch(b"x" * 50))
                accepted += 1
            except KafkaStorageError:
                pass
        logs.housekeeping(NOW_MS + 1)
        logs.housekeeping(NOW_MS + 1000)
    assert logs.offline == {}
    for _ in range(4):
        log.append(batch(b"x" * 50))
    assert log.log_end_offset == accepted + 4
    logs.housekeeping(NOW_MS + 2000)
    logs.housekeeping(NOW_MS + 3000)
    assert log.log_start_offset > 0
    assert list(log.directory.glob("*.deleted")) == []
    read_all(log)
    logs.close()
    for disk in ("disk1", "disk2"):
        assert verify(tmp_path / disk, deep=True).faults == []


def test_what_goes_wrong_in_every_round_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logs, first, _ = two_disks(tmp_path, flush_ms="1")
    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object) -> None:
            raise error_of(errno.ENOSPC)

        broken.setattr("zerocopy_lab.log.segment_files.sync_directory", fail)
        for second in range(1, 6):
            logs.housekeeping(NOW_MS + second * 1000)
    said = [record.message for record in caplog.records if f"{TOPIC}-0" in record.message]
    assert len(said) == 1, said
    caplog.clear()
    with caplog.at_level("INFO"):
        logs.housekeeping(NOW_MS + 7000)
    assert any("in order again" in record.message for record in caplog.records)
    caplog.clear()
    logs.failed(first, error_of(errno.EIO))
    for second in range(8, 12):
        logs.housekeeping(NOW_MS + second * 1000)
    assert [r.levelname for r in caplog.records] == ["ERROR"], caplog.text
    logs.close()
