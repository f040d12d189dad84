"""What several instrument tests need: files of known pages, and machines that lack something."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zerocopy_lab.instruments import system_calls
from zerocopy_lab.instruments.copied_bytes import why_no_copied_bytes
from zerocopy_lab.instruments.page_residency import PAGE_BYTES

NOBODY = 65534

needs_linux = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="needs Linux")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become someone else")

PagesFile = Callable[[int], Path]


@pytest.fixture
def pages_file(tmp_path: Path) -> PagesFile:
    """Makes a file of n pages, freshly written, so resident and dirty."""

    def make(pages: int) -> Path:
        path = tmp_path / f"{pages}-pages"
        path.write_bytes(os.urandom(pages * PAGE_BYTES))
        return path

    return make


@pytest.fixture(autouse=True)
def forget_probes() -> Iterator[None]:
    """What one test found out about a machine without perf must not reach the next test."""
    yield
    system_calls.available_meter.cache_clear()
    why_no_copied_bytes.cache_clear()


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Give up root's power for the test, in this process and for what it starts."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
