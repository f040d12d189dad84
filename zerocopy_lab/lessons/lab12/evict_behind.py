"""Takes the page cache away from whoever writes: a process that forces files out of memory.

    python evict_behind.py SEGMENT.log ...

It says `ready`, and then, until its stdin ends, again and again: fdatasync(2), so that no page is
dirty, and posix_fadvise(2) with POSIX_FADV_DONTNEED, so that none stays. It needs no help from the
broker, so it does the same to a real Kafka's files.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

_PAUSE_S = 0.001


def evict_until(ends: int, paths: list[Path]) -> None:
    """Until the file descriptor `ends` has something to read or is closed at its other end."""
    files = [os.open(path, os.O_RDONLY) for path in paths]
    print("ready", flush=True)
    while not select.select([ends], [], [], _PAUSE_S)[0]:
        for file in files:
            os.fdatasync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    evict_until(sys.stdin.fileno(), [Path(each) for each in sys.argv[1:]])
