"""Bytes that went to and from block devices, on account of one process or of the whole machine.

`/proc/PID/io` has six counters, and only three of them are about the device:

| counter                 | what it really counts                                         |
|-------------------------|---------------------------------------------------------------|
| `read_bytes`            | bytes fetched from the device, as the page cache had them not |
| `write_bytes`           | bytes of pages that became dirty; the device gets them later  |
| `cancelled_write_bytes` | of those, bytes truncated away before they were written       |
| `rchar`, `wchar`        | bytes asked for in *some* calls: sendfile adds to both,       |
|                         | send, splice and mmap to neither                              |

Trap: `rchar` and `wchar` look like a meter of copies and are none, so this module does not even
return them. A second trap: a fault on a mapped page counts as `read_bytes` too, and readahead is
charged to whoever triggered it.

A process's counters are readable by its owner and root (proc(5)). The counters of the machine are
readable by anyone, but everybody's traffic is in them. macOS has only the latter.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from zerocopy_lab.instruments.unavailable import Unavailable


class BlockIo(NamedTuple):
    """Bytes from and to block devices (or due to go there): a reading, or a difference of two."""

    read_bytes: int
    written_bytes: int
    cancelled_write_bytes: int | None

    def since(self, earlier: BlockIo) -> BlockIo:
        """What was moved between an earlier reading and this one."""
        cancelled = None
        if self.cancelled_write_bytes is not None and earlier.cancelled_write_bytes is not None:
            cancelled = self.cancelled_write_bytes - earlier.cancelled_write_bytes
        return BlockIo(
            self.read_bytes - earlier.read_bytes,
            self.written_bytes - earlier.written_bytes,
            cancelled,
        )


def process_block_io(pid: int | None = None) -> BlockIo:
    """Block device traffic on account of one process since its start (one's own by default).

    Raises Unavailable off Linux and for processes of other users, ProcessLookupError when there is
    no such process.
    """
    pid = os.getpid() if pid is None else pid
    instrument = f"/proc/{pid}/io"
    if sys.platform != "linux":
        raise Unavailable(
            instrument, "only Linux has it", "Use device_block_io() on a quiet machine"
        )
    try:
        lines = Path(instrument).read_text().splitlines()
    except FileNotFoundError:
        if Path(f"/proc/{pid}").exists():
            why = "this kernel keeps no I/O accounts (CONFIG_TASK_IO_ACCOUNTING)"
            raise Unavailable(instrument, why, "Use device_block_io() on a quiet machine") from None
        raise ProcessLookupError(
            f"no process has the pid {pid}: it has ended, or never was"
        ) from None
    except PermissionError:
        why = "the process is another user's, or gave up root itself"
        raise Unavailable(instrument, why, "Run as its owner or as root") from None
    counters = {name: int(value) for name, value in (line.split(":") for line in lines)}
    return BlockIo(
        counters["read_bytes"], counters["write_bytes"], counters["cancelled_write_bytes"]
    )


def device_block_io() -> BlockIo:
    """Traffic of all block devices since the machine started, whoever caused it.

    Raises Unavailable when the system shows no devices (some containers).
    """
    counters = psutil.disk_io_counters()
    if counters is None:
        why = "the system lists no block devices"
        raise Unavailable("system-wide block I/O", why, "Use process_block_io(pid) on Linux")
    return BlockIo(counters.read_bytes, counters.write_bytes, None)
