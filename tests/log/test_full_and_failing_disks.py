"""A disk that is really full, read-only, gone: a small tmpfs in a namespace of its own.

Each test is a function of this module that runs in a process of its own under `unshare -Urm`, so
the mounts vanish with it, whatever happens. It needs no root where user namespaces are allowed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.log.making import NOW_MS, TOPIC, batch, kill, log_in, open_logs, read_all
from zerocopy_lab.errors import KafkaStorageError
from zerocopy_lab.inspect.segment_info import segments_of
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.log import PartitionLog

ROOT = Path(__file__).resolve().parents[2]


def mount_small_disk(path: Path, size: str = "1m") -> None:
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", str(path)], check=True)


def make_read_only(path: Path) -> None:
    """By a second mount on top of the first, which may be in use."""
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)


def make_writable_again(path: Path) -> None:
    subprocess.run(["umount", "-l", str(path)], check=True)


def append_until_refused(log: PartitionLog, size: int = 10_000) -> KafkaStorageError:
    for number in range(10_000):
        try:
            log.append(batch(b"%d" % number * (size // len(b"%d" % number))))
        except KafkaStorageError as error:
            return error
    raise AssertionError("the disk never filled up")


def a_full_disk(root: Path) -> None:
    disk = root / "disk"
    mount_small_disk(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    logs = open_logs(disk, segment_bytes="200000", index_interval_bytes="0")
    log = log_in(logs)
    error = append_until_refused(log)
    assert "No space left on device" in str(error), error
    assert "free some space" in str(error), error
    end, size_bytes = log.log_end_offset, log.size_bytes
    assert end > 50

    # Nothing half-written is visible, neither through the log nor in the file.
    assert len(read_all(log)) == end
    active = segments_of(log)[-1]
    path = log.directory / f"{active.base_offset:020d}.log"
    assert path.stat().st_size == active.size_bytes
    assert logs.offline == {}
    for _ in range(3):
        append_until_refused(log)
    assert (log.log_end_offset, log.size_bytes) == (end, size_bytes)
    logs.housekeeping(NOW_MS + 60_000)  # checkpoints find no room either: logged, nothing breaks
    assert logs.offline == {}
    assert len(read_all(log)) == end
    try:
        logs.create_topic("more", 40, {})
    except KafkaStorageError:
        assert "more" not in logs.topics()
    else:
        raise AssertionError("40 directories found room")

    # Space returns: everything goes on where it was.
    ballast.unlink()
    assert log.append(batch(b"on we go")).base_offset == end
    assert read_all(log)[-1].value == b"on we go"
    logs.close()
    assert verify(disk, deep=True).faults == []
    logs = open_logs(disk)
    assert sorted(logs.topics()) == [TOPIC]
    assert len(read_all(logs.find(TOPIC, 0))) == end + 1
    kill(logs)


def full_while_one_was_killed(root: Path) -> None:
    disk = root / "disk"
    mount_small_disk(disk)
    logs = open_logs(disk, segment_bytes="100000")
    log = log_in(logs)
    append_until_refused(log)
    end = log.log_end_offset
    kill(logs)
    logs = open_logs(disk, segment_bytes="100000")  # recovery on a full disk
    assert (dict(logs.refused), dict(logs.offline)) == ({}, {})
    log = logs.find(TOPIC, 0)
    assert (log.log_end_offset, len(read_all(log))) == (end, end)
    log.settings = log.settings.from_kafka({"retention.bytes": "0", "file.delete.delay.ms": "0"})
    logs.housekeeping(NOW_MS)  # retention must work on a full disk: it is what makes room
    logs.housekeeping(NOW_MS)
    assert log.append(batch(b"room again")).base_offset == end
    kill(logs)


def a_disk_that_became_read_only(root: Path) -> None:
    disks = [root / "disk1", root / "disk2"]
    mount_small_disk(disks[0])
    logs = open_logs(*disks)
    logs.create_topic(TOPIC, 2)
    for partition in (0, 1):
        logs.find(TOPIC, partition).append(batch(b"before"))
    for _ in range(2):
        logs.open_files.close_idle()  # an open descriptor goes on writing
    make_read_only(disks[0])
    with pytest.raises(KafkaStorageError, match="Read-only file system"):
        logs.find(TOPIC, 0).append(batch())
    assert list(logs.offline) == [disks[0]]
    assert logs.find(TOPIC, 1).append(batch(b"after")).base_offset == 1
    logs.close()
    logs = open_logs(*disks)  # still read-only: the other starts without it
    assert "Read-only file system" in logs.offline[disks[0]]
    with pytest.raises(KafkaStorageError):
        logs.find(TOPIC, 0)
    assert len(read_all(logs.find(TOPIC, 1))) == 2
    logs.close()
    make_writable_again(disks[0])
    logs = open_logs(*disks)
    assert [len(read_all(logs.find(TOPIC, partition))) for partition in (0, 1)] == [1, 2]
    kill(logs)


def a_disk_that_vanished(root: Path) -> None:
    disks = [root / "disk1", root / "disk2"]
    mount_small_disk(disks[0])
    logs = open_logs(*disks, segment_bytes="150")
    logs.create_topic(TOPIC, 2)
    for partition in (0, 1):
        logs.find(TOPIC, partition).append(batch(b"x" * 60))
    subprocess.run(["umount", "-l", str(disks[0])], check=True)
    log = logs.find(TOPIC, 0)
    append_until_refused(log, 60)  # open descriptors may live on, new files cannot be made
    assert list(logs.offline) == [disks[0]]
    assert logs.find(TOPIC, 1).append(batch(b"on")).base_offset == 1
    logs.housekeeping(NOW_MS + 60_000)
    logs.close()


SCENES: list[Callable[[Path], None]] = [
    a_full_disk,
    full_while_one_was_killed,
    a_disk_that_became_read_only,
    a_disk_that_vanished,
]


def why_not() -> str:
    """Why this machine cannot run the scenes, "" if it can."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no unshare(1) here"
    return tried.stderr.strip()


@pytest.mark.namespaces
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(tmp_path: Path, scene: Callable[[Path], None]) -> None:
    if reason := why_not():
        pytest.skip(f"no mounts in a namespace: {reason}")
    command = [
        "unshare",
        "-Urm",
        sys.executable,
        "-m",
        __spec__.name,
        scene.__name__,
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60
    )
    assert finished.returncode == 0, finished.stderr


def test_a_vanished_directory_takes_only_itself_offline(tmp_path: Path) -> None:
    disks = [tmp_path / "disk1", tmp_path / "disk2"]
    logs = open_logs(*disks, segment_bytes="150")
    logs.create_topic(TOPIC, 2)
    disks[0].rename(tmp_path / "elsewhere")
    assert "No such file or directory" in str(append_until_refused(logs.find(TOPIC, 0), 60))
    assert list(logs.offline) == [disks[0]]
    assert logs.find(TOPIC, 1).append(batch()).base_offset == 0
    logs.close()


def test_without_any_directory_nothing_can_be_made(tmp_path: Path) -> None:
    logs = open_logs(tmp_path / "disk", segment_bytes="150")
    logs.create_topic(TOPIC, 1)
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    append_until_refused(logs.find(TOPIC, 0), 60)
    for make in (lambda: logs.create_topic("other", 1), lambda: logs.add_partitions(TOPIC, 2)):
        with pytest.raises(KafkaStorageError, match="every log directory is offline"):
            make()
    assert list(logs.topics()) == [TOPIC]
    logs.close()


if __name__ == "__main__":
    {scene.__name__: scene for scene in SCENES}[sys.argv[1]](Path(sys.argv[2]))
