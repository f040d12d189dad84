"""What the sections of `ci/bench` measure with: one round, two contestants taking turns, one
receiver that is the same for everybody.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.instruments.host import usable_cpus
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.transfer.connections import set_steady_congestion_control

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CPUS = usable_cpus()  # before anything is pinned


class Round(NamedTuple):
    """One round of one contestant."""

    seconds: float
    cpu_s: float
    requests: int
    payload_bytes: int


class Contest(NamedTuple):
    """All rounds of the broker and of its reference, in pairs."""

    broker: list[Round]
    reference: list[Round]

    def ratio(self, figure: Callable[[Round], float]) -> Spread:
        """Broker / reference, pair by pair."""
        return spread(
            figure(b) / figure(r) for b, r in zip(self.broker, self.reference, strict=True)
        )


def gib_per_s(one: Round) -> float:
    return one.payload_bytes / GIB / one.seconds


def requests_per_s(one: Round) -> float:
    return one.requests / one.seconds


def cpu_s_per_gib(one: Round) -> float:
    return one.cpu_s / (one.payload_bytes / GIB)


def pin(pid: int, cpu: int) -> None:
    """Give a process a core of its own, where the system allows it."""
    if hasattr(os, "sched_setaffinity") and len(CPUS) > 1:
        os.sched_setaffinity(pid, {CPUS[cpu]})


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    set_steady_congestion_control(sock)
    sock.setblocking(True)
    return sock


_DROP = memoryview(bytearray(MIB))


def drop_answer(sock: socket.socket) -> int:
    """Receive one frame without copying its bytes to user space (MSG_TRUNC): its length."""
    head = sock.recv(4, socket.MSG_WAITALL)
    left = length = struct.unpack(">i", head)[0]
    while left:
        left -= sock.recv_into(_DROP, min(left, MIB), socket.MSG_TRUNC)
    return int(length)


def play(
    pid: int,
    port: int,
    frames: list[bytes],
    count: int,
    payload_bytes: int,
    least_answer_bytes: int = 0,
) -> Round:
    """Ask `count` times, one request after the other; the receiver is the same for everybody.

    The answer to the first request, which is not timed, fixes how long all others have to be.
    """
    with connect(port) as sock:
        sock.sendall(frames[0])
        expected = drop_answer(sock)
        assert expected >= least_answer_bytes, f"an answer of {expected} bytes"
        cpu_before, before = cpu_seconds(pid), time.perf_counter()
        for number in range(1, count + 1):
            sock.sendall(frames[number % len(frames)])
            assert drop_answer(sock) == expected, "an answer of another length"
        seconds = time.perf_counter() - before
        return Round(seconds, cpu_seconds(pid) - cpu_before, count, count * payload_bytes)


def batch_of(total_bytes: int) -> bytes:
    """A batch of one record and exactly `total_bytes` bytes."""
    now_ms = time.time_ns() // 1_000_000  # an older one would be retention's at once
    value = os.urandom(total_bytes - 100)
    short = len(build_batch([Record(0, now_ms, None, value, ())]))
    batch = build_batch([Record(0, now_ms, None, value + os.urandom(total_bytes - short), ())])
    assert len(batch) == total_bytes, (len(batch), total_bytes)
    return batch


def timed(command: list[str], out: object = None) -> float:
    before = time.perf_counter()
    subprocess.run(command, check=True, stdout=out)  # type: ignore[call-overload]
    return time.perf_counter() - before


def write_messages(lines: Path, count: int, message_bytes: int) -> None:
    """A file with one message a line, each of them another one."""
    with lines.open("w") as out:
        out.writelines(f"{number:0{message_bytes}d}\n" for number in range(count))


def kcat_produces(bootstrap: str, topic: str, lines: Path) -> list[str]:
    """The command line that sends every line of a file."""
    return ["kcat", "-P", "-b", bootstrap, "-t", topic, "-l", str(lines)]


def kcat_consumes(bootstrap: str, topic: str, count: int) -> list[str]:
    """The command line that reads the first `count` messages. The default queue holds 100,000 and
    then pauses; this lets kcat read on. And -e would wait half a second for a message after the
    last (fetch.wait.max.ms).
    """
    much = ["-X", "queued.min.messages=1000000", "-X", "fetch.message.max.bytes=8388608"]
    where = ["-b", bootstrap, "-t", topic, "-o", "beginning", "-c", str(count)]
    return ["kcat", "-C", *where, "-q", *much]
