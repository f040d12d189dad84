from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.instruments.conftest import PagesFile, needs_linux
from zerocopy_lab.instruments import memory
from zerocopy_lab.instruments.memory import (
    Pressure,
    pressure,
    system_memory,
    watching_dirty_pages,
    writeback_settings,
)
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageCounts, why_no_cachestat
from zerocopy_lab.instruments.unavailable import Unavailable


@needs_linux
def test_memory_figures_are_plausible() -> None:
    found = system_memory()
    assert found.available_bytes > 0
    assert found.cached_bytes is not None
    assert found.dirty_bytes is not None
    assert found.dirty_bytes <= found.available_bytes + found.cached_bytes


@needs_linux
def test_a_file_is_seen_dirty_and_then_clean(tmp_path: Path) -> None:
    if reason := why_no_cachestat():
        pytest.skip(reason)
    path = tmp_path / "log"
    with watching_dirty_pages([path], interval_ms=1) as watch, open(path, "wb") as file:
        file.write(bytes(50 * PAGE_BYTES))
        file.flush()
        seen = len(watch.samples)
        while len(watch.samples) < seen + 2:
            assert watch.stopped_by is None
        os.fsync(file.fileno())
    assert path not in watch.samples[0].files, "it did not exist yet"
    assert watch.samples[-1].files[path].dirty == 0
    assert 50 in [sample.files[path].dirty for sample in watch.samples if path in sample.files]
    times = [sample.elapsed_ms for sample in watch.samples]
    assert times == sorted(times)


@needs_linux
def test_a_watch_that_fails_says_so(pages_file: PagesFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(path: Path) -> PageCounts:
        raise Unavailable("page residency", f"{path} is hidden", "none")

    path = pages_file(1)
    with watching_dirty_pages([], interval_ms=1):
        pass
    monkeypatch.setattr(memory, "page_counts", blind)
    with pytest.raises(Unavailable, match="is hidden"), watching_dirty_pages([path]):
        pytest.fail("must not start")


@needs_linux
def test_pressure_only_grows() -> None:
    if not Path("/proc/pressure/io").exists():
        pytest.skip("this kernel has no PSI")
    before = pressure("io")
    later = pressure("io").since(before)
    assert later.some_us >= later.full_us >= 0


def test_without_pressure_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "Path", lambda *parts: Path("/nonexistent", *parts[1:]))
    with pytest.raises(Unavailable, match="cannot be read"):
        pressure("memory")


def test_the_difference_of_two_readings() -> None:
    assert Pressure(9, 5).since(Pressure(4, 5)) == Pressure(5, 0)


@needs_linux
def test_writeback_settings_have_their_kernel_names() -> None:
    settings = writeback_settings()
    assert {"dirty_background_ratio", "dirty_ratio", "dirty_expire_centisecs"} <= settings.keys()


def test_elsewhere_dirty_bytes_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    found = system_memory()
    assert found.available_bytes > 0
    assert found.dirty_bytes is None
