"""Bytes that the kernel copied out of socket buffers to a receiver, counted where it copies them.

The tracepoint `skb:skb_copy_datagram_iovec` fires for each such copy and says how long it is. A
receiver that calls recv(2) shows exactly the bytes it received; one that drops them (MSG_TRUNC) or
splices them to /dev/null shows 0. perf notes each event while the receiver runs (6,000 or so per
GiB), and the lengths are added up afterwards. For root only.

Trap: it has no counterpart for the *sender*. The kernel functions that copy there
(`_copy_from_iter`) need kprobes, which many virtual machines lack. Whether a sender copied is
proved by the alias test instead.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zerocopy_lab.instruments import perf_meter
from zerocopy_lab.instruments.unavailable import Unavailable

_EVENT: Final = "skb:skb_copy_datagram_iovec"
_LENGTH: Final = re.compile(r"\blen=(\d+)")
_READ_TIMEOUT_S: Final = 120.0


@dataclass
class CopiedBytes:
    """Filled when the counting has ended."""

    copied_bytes: int = 0
    copies: int = 0


@contextlib.contextmanager
def counting_copied_bytes(pid: int) -> Iterator[CopiedBytes]:
    """Count what is copied out to a process (all its threads) while the `with` block lasts.

    Raises Unavailable where perf may not trace, or lost events because the machine was too busy.
    """
    if shutil.which("perf") is None:
        raise Unavailable("counting copied bytes", "there is no perf on PATH", "Install perf")
    copied = CopiedBytes()
    with tempfile.TemporaryDirectory(prefix="copied-bytes-") as directory:
        events = Path(directory, "events")
        record = ["perf", "record", "-q", "-m", "4M", "-o", str(events), "-e", _EVENT]
        with perf_meter.enabled_during([*record, "-p", str(pid)]):
            yield copied
        _add_up(events, copied)


@functools.cache
def why_no_copied_bytes() -> str | None:
    """None when it counts correctly here, or the reason why not. Tries it on 4,096 known bytes."""
    known_bytes = 4096
    sender, receiver = socket.socketpair()
    try:
        with sender, receiver, counting_copied_bytes(os.getpid()) as copied:
            sender.sendall(bytes(known_bytes))
            receiver.recv(known_bytes, socket.MSG_WAITALL)
    except (Unavailable, OSError, subprocess.SubprocessError) as error:
        return error.why if isinstance(error, Unavailable) else str(error)
    right = copied.copied_bytes == known_bytes
    return None if right else f"it counted {copied.copied_bytes} of {known_bytes} known bytes"


def _add_up(events: Path, copied: CopiedBytes) -> None:
    script = subprocess.run(
        ["perf", "script", "-i", str(events), "--show-lost-events", "-F", "event,trace"],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # which kinds of event have no such field
        timeout=_READ_TIMEOUT_S,
        text=True,
    )
    if "PERF_RECORD_LOST" in script.stdout:
        remedy = "Count fewer bytes, or on a quieter machine"
        raise Unavailable("counting copied bytes", "perf lost events", remedy)
    lengths = [int(length) for length in _LENGTH.findall(script.stdout)]
    copied.copied_bytes, copied.copies = sum(lengths), len(lengths)
