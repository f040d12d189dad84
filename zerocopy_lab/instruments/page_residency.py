"""Where the bytes of a file are: which of its pages are in memory, and which the device lacks.

| meter        | answers                     | needs                   | fails when              |
|--------------|-----------------------------|-------------------------|-------------------------|
| cachestat(2) | any range: resident, dirty, | Linux >= 6.5; a file of | the file system stacks  |
|              | in writeback, evicted       | one's own or writable   | on another (overlay)    |
| mincore(2)   | a bit per page: resident?   | a file of one's own or  | asked about dirty pages |
|              |                             | writable                |                         |

cachestat is preferred. Both look without touching: neither brings a page in. (`preadv2` with
RWF_NOWAIT looks similar but starts readahead on a miss, so it changes what it measures.)

Traps, all of which are caught here
- On overlay (most containers) cachestat answers 0 for every file, without an error: the pages
  belong to the file below. So a count of 0 is believed only if mincore says the same; otherwise
  mincore's answer is used and `dirty` is None.
- On a file that one neither owns nor may write, mincore says that *everything* is resident (so that
  nobody can spy on others through the page cache). Such files raise Unavailable.
- Large folios: the file system may keep several pages as one unit, and then one written byte makes
  all of it dirty.
- Files on tmpfs live in the page cache and nowhere else: always resident, never evictable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from zerocopy_lab.instruments import page_calls
from zerocopy_lab.instruments.unavailable import Unavailable

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

MeterName = Literal["cachestat", "mincore"]


class PageCounts(NamedTuple):
    """Pages of a whole file, or of a range of it. None: the meter cannot tell.

    `evicted` are pages that were resident once and are remembered; `recently_evicted` those of them
    whose loss hurt, in that they would still be resident if memory had been a little larger
    (cachestat(2)).
    """

    total: int
    resident: int
    dirty: int | None
    writeback: int | None
    evicted: int | None
    recently_evicted: int | None
    meter: MeterName


@dataclass(frozen=True)
class PageMap:
    """A byte per page: 1 when it is resident (or dirty), else 0. `dirty` None: nobody can tell."""

    page_bytes: int
    file_bytes: int
    resident: bytes
    dirty: bytes | None
    meter: MeterName


def page_counts(path: Path, position: int = 0, length: int | None = None) -> PageCounts:
    """Count the pages of bytes [position, position + length) of a file; by default to its end.

    Raises Unavailable where no meter gives a true answer, OSError when the file cannot be opened.
    """
    with _Opened(path) as file:
        length = max(0, file.length - position) if length is None else length
        first, last = position // PAGE_BYTES, -(-(position + length) // PAGE_BYTES)
        return _counts(file, first, last - first)


def page_map(path: Path) -> PageMap:
    """The state of every page of a file, in file order. Raises as page_counts does."""
    with _Opened(path) as file:
        total = -(-file.length // PAGE_BYTES)
        counts = _counts(file, 0, total)
        if counts.meter == "mincore":
            resident = page_calls.mincore(file.fd, 0, total * PAGE_BYTES)
            return PageMap(PAGE_BYTES, file.length, resident, None, "mincore")
        states = bytearray(total), bytearray(total)
        _halve(lambda first, pages: _cachestat(file, first, pages), 0, total, states)
        return PageMap(PAGE_BYTES, file.length, bytes(states[0]), bytes(states[1]), "cachestat")


def why_no_cachestat() -> str | None:
    """None when this kernel has cachestat, or the reason why not."""
    if sys.platform != "linux":
        return "only Linux has it"
    try:
        with open(os.devnull, "rb") as nothing:
            page_calls.cachestat(nothing.fileno(), 0, 0)
    except OSError as error:
        since = f"it came with Linux 6.5, this is {os.uname().release}"
        return f"the kernel refuses it ({error.strerror}); {since}"
    return None


class _Opened:
    """A file opened for looking only, with what decides whether the answers can be believed."""

    def __init__(self, path: Path) -> None:
        if sys.platform != "linux":
            why = "cachestat and mincore with true answers exist on Linux only"
            raise Unavailable(
                "page residency", why, "Run this part in a Linux machine or container"
            )
        self.path = path
        self.fd = os.open(path, os.O_RDONLY)
        self.length = os.fstat(self.fd).st_size
        # What counts is as whom this process acts; plain access(2) asks who started it.
        self.may_look = os.geteuid() in (0, os.fstat(self.fd).st_uid) or os.access(
            path, os.W_OK, effective_ids=True
        )

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self.fd)


def _counts(file: _Opened, first: int, pages: int) -> PageCounts:
    """cachestat, unless it is missing, refused, or answers 0 and mincore knows better."""
    try:
        counts = _cachestat(file, first, pages)
    except OSError as error:
        return _mincore(file, first, pages, f"cachestat: {error.strerror}")
    if counts.resident or not pages:
        return counts
    second_opinion = _mincore(file, first, pages, "and a 0 of cachestat needs a second opinion")
    return second_opinion if second_opinion.resident else counts


def _cachestat(file: _Opened, first: int, pages: int) -> PageCounts:
    # A length of 0 means "to the end" to the kernel, so an empty range is never asked about.
    if not pages:
        return PageCounts(0, 0, 0, 0, 0, 0, "cachestat")
    answer = page_calls.cachestat(file.fd, first * PAGE_BYTES, pages * PAGE_BYTES)
    return PageCounts(pages, *answer, "cachestat")


def _mincore(file: _Opened, first: int, pages: int, tried_before: str) -> PageCounts:
    if not file.may_look:
        why = f"{file.path} belongs to another user, so mincore would call all pages resident"
        why += f" ({tried_before})"
        raise Unavailable("page residency", why, "Run as the file's owner or as root")
    bits = page_calls.mincore(file.fd, first * PAGE_BYTES, pages * PAGE_BYTES)
    return PageCounts(pages, bits.count(1), None, None, None, None, "mincore")


def _halve(
    count: Callable[[int, int], PageCounts],
    first: int,
    pages: int,
    states: tuple[bytearray, bytearray],
) -> None:
    """Fill in the states of a range from its counts: all or none is clear, the rest is cut in two.

    Residency comes in long runs (readahead), so a few calls do for most files.
    """
    if pages == 0:
        return
    counts = count(first, pages)
    resident, dirty = counts.resident, counts.dirty
    assert dirty is not None
    if resident in (0, pages) and dirty in (0, pages):
        states[0][first : first + pages] = bytes([resident > 0]) * pages
        states[1][first : first + pages] = bytes([dirty > 0]) * pages
        return
    if pages == 1:  # a page on the move between two calls: count it as what it was last seen
        states[0][first], states[1][first] = min(resident, 1), min(dirty, 1)
        return
    half = pages // 2
    _halve(count, first, half, states)
    _halve(count, first + half, pages - half, states)
