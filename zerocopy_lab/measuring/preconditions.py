"""Conditions under which a measurement means what it says; checked before every round.

Each answers None, or in words what is wrong and what to do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from zerocopy_lab.instruments.host import file_system_of
from zerocopy_lab.instruments.memory import system_memory
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable

Check = Callable[[], str | None]


def resident(path: Path) -> Check:
    """The whole file is in the page cache, as a race needs it; stray pages are fetched."""
    return functools.partial(_is_resident, path)


def evicted(path: Path) -> Check:
    """No page of the file is in the page cache, as a cold read needs it."""
    return functools.partial(_is_evicted, path)


def memory_for(needed_bytes: int) -> Check:
    """The working set is at most half of the memory that is free to use."""
    return functools.partial(_memory_suffices, needed_bytes)


def not_on_tmpfs(path: Path) -> Check:
    """The path lies on a file system with a device below it, so that eviction means something."""
    return functools.partial(_has_a_device, path)


def _is_resident(path: Path) -> str | None:
    try:
        if page_counts(path).resident < page_counts(path).total:
            with open(path, "rb", buffering=1 << 20) as file:
                while file.read(1 << 20):
                    pass
        counts = page_counts(path)
    except Unavailable as reason:
        return str(reason)
    if counts.resident == counts.total:
        return None
    return (
        f"{path} does not stay in the page cache: {counts.resident} of {counts.total} pages are"
        " resident just after it was read. Use a smaller file, or end what needs the memory"
    )


def _is_evicted(path: Path) -> str | None:
    try:
        counts = page_counts(path)
    except Unavailable as reason:
        return str(reason)
    if counts.resident == 0:
        return None
    return (
        f"{path} is not out of the page cache: {counts.resident} of {counts.total} pages are"
        " resident. Evict it, and let nobody map or read it"
    )


def _memory_suffices(needed_bytes: int) -> str | None:
    available_bytes = system_memory().available_bytes
    if needed_bytes * 2 <= available_bytes:
        return None
    return (
        f"it needs {needed_bytes >> 20} MiB, more than half of the {available_bytes >> 20} MiB of"
        " memory that are available: choose a smaller size"
    )


def _has_a_device(path: Path) -> str | None:
    found = file_system_of(path)
    if found is not None and found.kind in ("tmpfs", "ramfs"):
        return f"{path} is on {found.kind}, whose pages live nowhere else: choose another directory"
    return None
