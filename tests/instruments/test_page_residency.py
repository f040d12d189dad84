from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instruments.conftest import PagesFile, needs_linux, needs_root
from tests.out_of_memory import put_out_of_memory
from zerocopy_lab.instruments import page_calls
from zerocopy_lab.instruments.eviction import evict
from zerocopy_lab.instruments.page_residency import (
    PAGE_BYTES,
    page_counts,
    page_map,
    why_no_cachestat,
)
from zerocopy_lab.instruments.unavailable import Unavailable

pytestmark = needs_linux


@pytest.fixture(params=["cachestat", "mincore"])
def meter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test once with the kernel's cachestat and once as if the kernel had none."""
    if request.param == "mincore":
        take_cachestat_away(monkeypatch)
    elif reason := why_no_cachestat():
        pytest.skip(reason)
    return str(request.param)


def take_cachestat_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_fd: int, _position: int, _length: int) -> tuple[int, int, int, int, int]:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(page_calls, "cachestat", missing)


def on_a_device(path: Path) -> Path:
    """The same, out of memory."""
    put_out_of_memory(path)
    return path


def touch(path: Path, *pages: int) -> None:
    """Bring in exactly these pages: readahead is told to keep out."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for page in pages:
        assert os.pread(fd, 1, page * PAGE_BYTES)
    os.close(fd)


def test_a_fresh_file_is_resident(pages_file: PagesFile, meter: str) -> None:
    counts = page_counts(pages_file(33))
    assert (counts.total, counts.resident, counts.meter) == (33, 33, meter)
    assert (counts.dirty is None) == (meter == "mincore")


def test_a_last_page_may_be_partly_filled(tmp_path: Path, meter: str) -> None:
    path = tmp_path / "odd"
    path.write_bytes(b"x" * (PAGE_BYTES + 1))
    assert page_counts(path)[:2] == (2, 2)
    assert page_map(path).resident == b"\1\1"


def test_an_empty_file_has_no_pages(tmp_path: Path, meter: str) -> None:
    (tmp_path / "empty").touch()
    assert page_counts(tmp_path / "empty")[:2] == (0, 0)
    assert page_map(tmp_path / "empty").resident == b""


def test_exactly_the_touched_pages_are_resident(pages_file: PagesFile, meter: str) -> None:
    path = on_a_device(pages_file(200))
    touch(path, 0, 7, 8, 199)
    resident = page_map(path).resident
    assert [page for page in range(200) if resident[page]] == [0, 7, 8, 199]
    assert page_counts(path).resident == 4


def test_a_range_is_counted_by_the_pages_it_touches(pages_file: PagesFile, meter: str) -> None:
    path = on_a_device(pages_file(10))
    touch(path, 4, 5)
    at_5 = 5 * PAGE_BYTES
    assert page_counts(path, at_5, 1)[:2] == (1, 1)
    assert page_counts(path, at_5 - 1, 2)[:2] == (2, 2)
    assert page_counts(path, at_5)[:2] == (5, 1)
    assert page_counts(path, at_5, 0)[:2] == (0, 0)
    assert page_counts(path, 0, at_5)[:2] == (5, 1)


def test_dirty_until_synced(pages_file: PagesFile) -> None:
    if reason := why_no_cachestat():
        pytest.skip(reason)
    path = on_a_device(pages_file(64))
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"x" * PAGE_BYTES, 9 * PAGE_BYTES)
    dirty = page_map(path).dirty
    assert dirty is not None
    assert [page for page in range(64) if dirty[page]] == [9]
    os.fsync(fd)
    os.close(fd)
    assert page_counts(path).dirty == 0


def test_both_meters_see_the_same_pages(pages_file: PagesFile) -> None:
    if reason := why_no_cachestat():
        pytest.skip(reason)
    path = on_a_device(pages_file(500))
    touch(path, *range(0, 500, 7))
    with open(path, "rb") as file:
        by_mincore = page_calls.mincore(file.fileno(), 0, 500 * PAGE_BYTES)
    assert page_map(path).resident == by_mincore


def test_looking_brings_no_page_in(pages_file: PagesFile, meter: str) -> None:
    path = on_a_device(pages_file(100))
    for _ in range(3):
        page_map(path)
    assert page_counts(path).resident == 0


@needs_root
def test_of_other_peoples_files_no_number_is_invented(
    open_path: Path, meter: str, request: pytest.FixtureRequest
) -> None:
    path = open_path / "file"
    path.write_bytes(bytes(5 * PAGE_BYTES))
    path.chmod(0o644)
    request.getfixturevalue("as_nobody")
    with pytest.raises(Unavailable, match="another user") as refusal:
        page_counts(path)
    assert "owner" in refusal.value.remedy


@needs_root
def test_on_overlay_mincore_overrules_a_blind_cachestat(tmp_path: Path) -> None:
    with overlay(tmp_path) as merged:
        path = merged / "file"
        path.write_bytes(bytes(7 * PAGE_BYTES))
        assert page_counts(path)[:3] == (7, 7, None)
        assert page_map(path).resident == b"\1" * 7
        assert evict(path).after.resident == 0


@contextlib.contextmanager
def overlay(directory: Path) -> Iterator[Path]:
    """An overlay mount, as containers have it; skips where it may not be made."""
    names = ("lower", "upper", "work", "merged")
    lower, upper, work, merged = places = [directory / name for name in names]
    for place in places:
        place.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no leave to mount overlay: {mounted.stderr.strip()}")
    try:
        yield merged
    finally:
        subprocess.run(["umount", str(merged)], check=True)


def test_elsewhere_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="Linux only"):
        page_counts(tmp_path)
    assert why_no_cachestat() == "only Linux has it"


def test_a_missing_cachestat_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    take_cachestat_away(monkeypatch)
    assert "Linux 6.5" in str(why_no_cachestat())
