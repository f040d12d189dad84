"""A slow disk and a small memory for one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from zerocopy_lab.instruments.eviction import evict
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running import limited_group
from zerocopy_lab.running.limited_group import LimitedGroup

READ = "import sys; sys.stdin.readline(); print(len(open(sys.argv[1], 'rb').read()))"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(8 << 20))
    return path


def reader(path: Path) -> subprocess.Popen[str]:
    """A process that reads the file when it is told to."""
    return subprocess.Popen(
        [sys.executable, "-c", READ, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_bytes_of(place: Path) -> int:
    """What the kernel counted of a group's reads, by either version of its interface."""
    old, new = place / "blkio.throttle.io_service_bytes", place / "io.stat"
    words = (old if old.exists() else new).read_text().replace("rbytes=", "Read ").split()
    return sum(int(after) for word, after in pairwise(words) if word == "Read")


def entered(make: Callable[[], LimitedGroup]) -> LimitedGroup:
    try:
        return make().__enter__()
    except Unavailable as reason:
        pytest.skip(f"not testable on this kernel: {reason}")


def test_reads_of_the_group_are_throttled_and_the_group_is_gone_afterwards(file: Path) -> None:
    """The kernel's own counters say so: no clock is asked."""
    group = entered(lambda: LimitedGroup(file, read_bytes_per_s=64 << 20))
    [place] = group._groups
    with reader(file) as process:
        group.take(process.pid)
        assert str(process.pid) in (place / "cgroup.procs").read_text().split()
        evict(file)
        out, _ = process.communicate("go\n")
        assert int(out) == 8 << 20
        assert read_bytes_of(place) >= 8 << 20
    group.__exit__()
    assert not place.exists()


def test_processes_go_back_where_they_were_when_the_block_ends(file: Path) -> None:
    group = entered(lambda: LimitedGroup(file, read_bytes_per_s=64 << 20))
    with reader(file) as process:
        group.take(process.pid)
        group.__exit__()
        own = Path(f"/proc/{process.pid}/cgroup").read_text()
        assert "zerocopy-lab" not in own
        process.communicate("go\n")


def test_a_small_memory_keeps_only_so_many_pages(file: Path) -> None:
    """16 MiB of memory do not hold the pages of 64 MiB, though the machine has room for them."""
    file.write_bytes(bytes(64 << 20))
    evict(file)
    group = entered(lambda: LimitedGroup(file, memory_bytes=16 << 20))
    with reader(file) as process:
        group.take(process.pid)
        process.communicate("go\n")
    counts = page_counts(file)
    group.__exit__()
    assert counts.resident <= counts.total // 2


def test_a_machine_without_control_groups_says_so(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "mountinfo"
    empty.write_text("")
    monkeypatch.setattr(limited_group, "_MOUNTS", empty)
    with pytest.raises(Unavailable, match="no control group for memory is mounted"):
        LimitedGroup(file, memory_bytes=1 << 24).__enter__()


def test_an_account_that_may_not_make_groups_hears_why(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of a hierarchy as an ordinary user finds them: there, and not writable."""
    (tmp_path / "cgroup.procs").write_text("")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 20 0:26 / {tmp_path} rw - cgroup cgroup rw,memory\n")
    monkeypatch.setattr(limited_group, "_MOUNTS", mounts)
    monkeypatch.setattr(Path, "mkdir", _refuse)
    with pytest.raises(Unavailable, match="Permission denied"):
        LimitedGroup(file, memory_bytes=1 << 24).__enter__()


def _refuse(path: Path, *_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", str(path))
