from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.instruments.conftest import needs_linux
from zerocopy_lab.instruments.host import FileSystem, describe_host, file_system_of


def test_the_description_names_no_person_and_no_place() -> None:
    said = describe_host().text()
    assert os.uname().nodename not in said.split()
    assert str(Path.home()) not in said


def test_it_has_what_a_reader_compares() -> None:
    found = describe_host()
    assert found.usable_cpu_count <= found.cpu_count
    assert found.memory_bytes == psutil.virtual_memory().total
    assert found.kernel in found.text()


def test_the_longest_mount_point_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [("/", "ext4"), ("/data/logs", "xfs"), ("/data", "tmpfs"), ("/data", "btrfs")]
    partitions = [SimpleNamespace(device="dev", mountpoint=p, fstype=kind) for p, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: partitions)
    assert file_system_of(Path("/data/logs/t-0")) == FileSystem("xfs", "dev", Path("/data/logs"))
    assert file_system_of(Path("/data/logs2")) == FileSystem("btrfs", "dev", Path("/data"))
    assert file_system_of(Path("/else")) == FileSystem("ext4", "dev", Path("/"))


def test_without_a_list_of_mounts_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [])
    assert file_system_of(Path("/any")) is None


@needs_linux
def test_tmpfs_is_recognised() -> None:
    found = file_system_of(Path("/dev/shm"))
    assert found is not None
    assert found.kind == "tmpfs"
