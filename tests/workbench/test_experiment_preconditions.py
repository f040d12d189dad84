from __future__ import annotations

import os
from pathlib import Path

import pytest

from zerocopy_lab.instruments.eviction import NotEvicted, evict
from zerocopy_lab.instruments.memory import system_memory
from zerocopy_lab.workbench.preconditions import evicted, memory_for, not_on_tmpfs, resident

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="needs Linux")


def test_resident_or_evicted_but_not_both(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    assert resident(path)() is None
    assert "25 of 25 pages are resident" in str(evicted(path)())
    try:
        evict(path)
    except NotEvicted as reason:
        pytest.skip(str(reason))
    assert "0 of 25 pages are resident" in str(resident(path)())
    assert evicted(path)() is None


def test_never_more_than_half_of_the_free_memory() -> None:
    available_bytes = system_memory().available_bytes
    assert memory_for(1)() is None
    assert "more than half" in str(memory_for(available_bytes)())


def test_tmpfs_is_refused_for_what_needs_a_device(tmp_path: Path) -> None:
    if Path("/dev/shm").is_dir():
        assert "tmpfs" in str(not_on_tmpfs(Path("/dev/shm"))())
    assert not_on_tmpfs(Path("/proc"))() is None
