"""Files that are out of the page cache, for tests that begin with a cold one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zerocopy_lab.instruments.eviction import evict
from zerocopy_lab.instruments.host import file_system_of


def require_a_device(path: Path) -> None:
    """Skips where no page can be put out of memory, whatever one does: in a file system that has
    no other place for them, and where the system takes no such advice.
    """
    if not hasattr(os, "posix_fadvise"):
        pytest.skip("this system has no posix_fadvise")
    found = file_system_of(path)
    if found is not None and found.kind in ("tmpfs", "ramfs"):
        pytest.skip(f"{path} is on {found.kind}")


def put_out_of_memory(*paths: Path) -> None:
    """Evicts files of one directory, or skips; that pages stay on a device is a failure."""
    require_a_device(paths[0])
    for path in paths:
        evict(path)
