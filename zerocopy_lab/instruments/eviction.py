"""Pushing a file out of the page cache, and proving that it is out.

fsync first (the kernel keeps dirty pages), then `posix_fadvise(POSIX_FADV_DONTNEED)`, then count
what is left. The advice is only advice: pages that a process has mapped, that another reader is
using this moment, or that live on tmpfs stay. So an eviction counts only when the page meter finds
0 resident pages; a lab that believes the mere call measures warm reads and calls them cold.

Pages that `sendfile` has sent can stay long after everybody has received them: a packet that was
made on one processor and read on another is left to the first one to free (Linux 5.19,
`skb_attempt_defer_free` in net/core/skbuff.c), which does so when packets next arrive there. On a
quiet machine that is never. So while pages are left, every processor is sent a packet.

What comes back afterwards is read from the *guest's* block device. A host may keep that device in
its own memory: call such a read guest-cold, never "from disk". Needs no privilege (for one's own
files), unlike `/proc/sys/vm/drop_caches`, which also evicts everybody else's pages.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.instruments.page_residency import PageCounts, page_counts
from zerocopy_lab.instruments.unavailable import Unavailable

_ATTEMPTS: Final = 10
"""A page in some processor's list of new pages escapes the first advice, which empties the list."""

_FIRST_PAUSE_S: Final = 0.001
"""A page that the kernel has in hand, to write, move or reclaim it, is free a moment later: pauses
double, up to half a second in all.
"""


class Eviction(NamedTuple):
    """The proof: counts before, and counts after (`after.resident` is 0)."""

    path: Path
    before: PageCounts
    after: PageCounts


class NotEvicted(OSError):
    """Pages stayed in memory although everything was done to evict them."""


def evict(path: Path) -> Eviction:
    """Evict all pages of a file; returns the counts before and after.

    Raises NotEvicted when pages are left, Unavailable where pages cannot be evicted or counted.
    """
    if not hasattr(os, "posix_fadvise"):
        raise Unavailable(
            "eviction",
            "this system has no posix_fadvise",
            "On macOS `sudo purge` empties the cache",
        )
    before = after = page_counts(path)
    fd = os.open(path, os.O_RDONLY)
    try:
        for attempt in range(_ATTEMPTS):
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            after = page_counts(path)
            if after.resident == 0:
                return Eviction(path, before, after)
            _have_packets_freed()
            time.sleep(_FIRST_PAUSE_S * 2**attempt)
    finally:
        os.close(fd)
    raise NotEvicted(
        f"{after.resident} of {after.total} pages of {path} are still resident: it is on tmpfs,"
        " or a process has it mapped or is reading it. Use a file on a disk file system that nobody"
        " has mapped."
    )


def _have_packets_freed() -> None:
    """Has every processor that this thread may run on receive one packet, so that it frees those
    that wait for it. A packet to the loopback arrives on the processor that sends it.
    """
    allowed = os.sched_getaffinity(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        try:
            for processor in range(os.cpu_count() or 1):
                with contextlib.suppress(OSError):  # not ours: a container's set, or switched off
                    os.sched_setaffinity(0, {processor})
                    sock.sendto(b"", sock.getsockname())
        finally:
            os.sched_setaffinity(0, allowed)
