"""A broker that a contestant keeps for all its runs of a round, over a log of its own.

Starting a broker takes longer than most measurements. All contestants of a round are there at the
same time, though, and a data directory belongs to one broker alone: so each broker gets a directory
of its own, in which the log files are *links* to the same files. Everybody sends the same bytes
from the same pages of memory, and what one contestant evicts is evicted for all. Nothing is ever
written to these logs.

A round still has new processes, brokers included: see `entrant` for why.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
from pathlib import Path

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.measuring.fetching import frames_over
from zerocopy_lab.running.running_broker import RunningBroker


@functools.cache
def kept_broker(
    data_dir: str, transfer: str, chunk_bytes: int | None, parts: str | None = None
) -> RunningBroker:
    """The broker over the data of a stopped one, the same one until this process ends."""
    options = [] if chunk_bytes is None else ["--chunk-bytes", str(chunk_bytes)]
    broker = RunningBroker(transfer=transfer, options=options, parts=Path(parts) if parts else None)
    shutil.copytree(data_dir, broker.data_dir, copy_function=_link_log)
    broker.start()
    atexit.register(broker.kill)  # its directory goes with it, so it need not leave it in order
    return broker


def _link_log(source: str, target: str) -> str:
    """A link for a log (a copy where the file system has no links), a copy for small files."""
    if source.endswith(".log"):
        with contextlib.suppress(OSError):
            os.link(source, target)
            return target
    return shutil.copy2(source, target)


@functools.cache
def kept_frames(broker: RunningBroker, topic: str, response_bytes: int) -> list[bytes]:
    """Requests that together fetch partition 0 once; asking for them here fetches it, too."""
    with Wire(broker.host, broker.port) as wire:
        return frames_over(wire, topic, response_bytes)
