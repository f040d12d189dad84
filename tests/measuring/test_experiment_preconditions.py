from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.out_of_memory import put_out_of_memory
from zerocopy_lab.instruments.memory import system_memory
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring import preconditions
from zerocopy_lab.measuring.preconditions import evicted, memory_for, not_on_tmpfs, resident

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="needs Linux")


def test_resident_or_evicted_but_not_both(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    assert resident(path)() is None
    assert "25 of 25 pages are resident" in str(evicted(path)())
    put_out_of_memory(path)
    assert evicted(path)() is None
    assert resident(path)() is None, "it was read in for the asking"
    assert evicted(path)() is not None


def test_a_file_that_does_not_stay_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    counts = page_counts(path)._replace(resident=24)
    monkeypatch.setattr(preconditions, "page_counts", lambda _path: counts)
    assert "24 of 25 pages are resident just after it was read" in str(resident(path)())


def test_where_pages_cannot_be_counted_the_reason_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(_path: Path) -> None:
        raise Unavailable("page residency", "it is dark", "Light a candle")

    monkeypatch.setattr(preconditions, "page_counts", blind)
    assert "it is dark" in str(resident(tmp_path)())
    assert "Light a candle" in str(evicted(tmp_path)())


def test_never_more_than_half_of_the_free_memory() -> None:
    available_bytes = system_memory().available_bytes
    assert memory_for(1)() is None
    assert "more than half" in str(memory_for(available_bytes)())


def test_tmpfs_is_refused_for_what_needs_a_device(tmp_path: Path) -> None:
    if Path("/dev/shm").is_dir():
        assert "tmpfs" in str(not_on_tmpfs(Path("/dev/shm"))())
    assert not_on_tmpfs(Path("/proc"))() is None
