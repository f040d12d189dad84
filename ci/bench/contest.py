"""What the sections of `ci.bench` measure with: one round, contestants taking turns, one receiver
that is the same for everybody.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import LeaderNotAvailable, UnknownTopicOrPartition
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.transfer.connections import set_steady_congestion_control

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_HEAD = struct.Struct(">i")


class Round(NamedTuple):
    """One round of one contestant. `waits_s` are those of its requests, where they were timed."""

    seconds: float
    cpu_s: float
    requests: int
    payload_bytes: int
    waits_s: Sequence[float] = ()


Figure = Callable[[Round], float]


def gib_per_s(one: Round) -> float:
    return one.payload_bytes / GIB / one.seconds


def requests_per_s(one: Round) -> float:
    return one.requests / one.seconds


def cpu_s_per_gib(one: Round) -> float:
    return one.cpu_s / (one.payload_bytes / GIB)


def cpu_us_per_request(one: Round) -> float:
    return one.cpu_s / one.requests * 1e6


def p99_ms(one: Round) -> float:
    return share_of(one.waits_s, 0.99) * 1000


def share_of(values: Iterable[float], share: float) -> float:
    """The value that so many of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def memory_mib(pid: int) -> float:
    """What a process has in memory (RSS)."""
    return float(psutil.Process(pid).memory_info().rss) / MIB


def connect(port: int, *, as_it_comes: bool = False) -> socket.socket:
    """A client; with `as_it_comes` its congestion control is the system's."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not as_it_comes:
        set_steady_congestion_control(sock)
    sock.connect(("127.0.0.1", port))
    return sock


_DROP = memoryview(bytearray(MIB))


def drop_answer(sock: socket.socket) -> int:
    """Receive one frame without copying its bytes to user space (MSG_TRUNC): its length."""
    left = length = _HEAD.unpack(sock.recv(4, socket.MSG_WAITALL))[0]
    while left:
        left -= _drop(sock, left)
    return int(length)


def _drop(sock: socket.socket, most_bytes: int) -> int:
    came = sock.recv_into(_DROP, min(most_bytes, MIB), socket.MSG_TRUNC)
    assert came, "the broker hung up"
    return came


def play(
    pid: int,
    sock: socket.socket,
    frames: list[bytes],
    count: int,
    payload_bytes: int,
    least_answer_bytes: int = 0,
) -> Round:
    """Ask `count` times, one request after the other; the receiver is the same for everybody.

    The answer to the first request, which is not timed, fixes how long all others have to be.
    """
    with sock:
        sock.sendall(frames[0])
        expected = drop_answer(sock)
        assert expected >= least_answer_bytes, f"an answer of {expected} bytes"
        at = [0.0] * (count + 1)
        cpu_before, at[0] = cpu_seconds(pid), time.perf_counter()
        for number in range(1, count + 1):
            sock.sendall(frames[number % len(frames)])
            assert drop_answer(sock) == expected, "an answer of another length"
            at[number] = time.perf_counter()
        cpu_s = cpu_seconds(pid) - cpu_before
    waits_s = [after - before for before, after in itertools.pairwise(at)]
    return Round(at[-1] - at[0], cpu_s, count, count * payload_bytes, waits_s)


def play_crowd(
    pid: int, port: int, frames: list[bytes], connections: int, count: int, payload_bytes: int
) -> Round:
    """Ask `count` times over so many connections together, each with one request under way."""
    crowd = {sock.fileno(): Asker(sock, frames) for sock in connected(port, connections)}
    waits_s: list[float] = []
    with select.epoll() as epoll:
        for asker in crowd.values():
            epoll.register(asker.sock, select.EPOLLIN)
        cpu_before, before = cpu_seconds(pid), time.perf_counter()
        for asker in crowd.values():
            asker.ask()
        while len(waits_s) < count:
            for fd, _ in epoll.poll():
                if crowd[fd].has_answer():
                    waits_s.append(time.perf_counter() - crowd[fd].asked_at_s)
                    crowd[fd].ask()
        seconds = time.perf_counter() - before
        cpu_s = cpu_seconds(pid) - cpu_before
    for asker in crowd.values():
        asker.sock.close()
    return Round(seconds, cpu_s, len(waits_s), len(waits_s) * payload_bytes, waits_s)


def connected(port: int, connections: int) -> list[socket.socket]:
    """So many clients that never wait."""
    socks = [connect(port, as_it_comes=True) for _ in range(connections)]
    for sock in socks:
        sock.setblocking(False)
    return socks


class Asker:
    """One connection of a crowd: asks, and drops what comes. `asked` counts the questions,
    `answer_bytes` is the length of the last answer.
    """

    def __init__(self, sock: socket.socket, frames: list[bytes]) -> None:
        self.sock = sock
        self.asked = self.answer_bytes = 0
        self.asked_at_s = 0.0
        self._frames = frames
        self._head = b""
        self._left = 0

    def ask(self) -> None:
        """The next question, of the frames in turn."""
        self.asked += 1
        self.ask_again()

    def ask_again(self) -> None:
        """The same question."""
        self.asked_at_s = time.perf_counter()
        frame = self._frames[(self.asked - 1) % len(self._frames)]
        assert self.sock.send(frame) == len(frame), "a request that does not fit the socket"

    def has_answer(self) -> bool:
        """Take what is there; whether the answer is whole."""
        try:
            while len(self._head) < _HEAD.size:
                came = self.sock.recv(_HEAD.size - len(self._head))
                assert came, "the broker hung up"
                self._head += came
                if len(self._head) == _HEAD.size:
                    (self._left,) = _HEAD.unpack(self._head)
                    self.answer_bytes = self._left
            while self._left:
                self._left -= _drop(self.sock, self._left)
        except BlockingIOError:
            return False
        self._head = b""
        return True


def batch_of(total_bytes: int) -> bytes:
    """A batch of one record and exactly `total_bytes` bytes."""
    now_ms = time.time_ns() // 1_000_000  # an older one would be retention's at once
    value = os.urandom(total_bytes - 100)
    short = len(build_batch([Record(0, now_ms, None, value, ())]))
    batch = build_batch([Record(0, now_ms, None, value + os.urandom(total_bytes - short), ())])
    assert len(batch) == total_bytes, (len(batch), total_bytes)
    return batch


def make_topic(broker: RunningBroker, topic: str) -> None:
    """Ask for it until it is there: Kafka elects a leader first."""
    end_s = time.monotonic() + 60
    with Wire(broker.host, broker.port) as wire:
        while (code := wire.ask_for_topic(topic)) != 0:
            assert code in (LeaderNotAvailable.code, UnknownTopicOrPartition.code), code
            assert time.monotonic() < end_s, f"no topic {topic}"
            time.sleep(0.05)


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


def kcat_consumes(bootstrap: str, topic: str, count: int, fetch_bytes: int) -> list[str]:
    """The command line that reads the first `count` messages, `fetch_bytes` at a time (by itself
    kcat asks for 1 MiB). The default queue holds 100,000 and then pauses; this lets kcat read on.
    And -e would wait half a second for a message after the last (fetch.wait.max.ms).
    """
    much = ["-X", "queued.min.messages=1000000", "-X", f"fetch.message.max.bytes={fetch_bytes}"]
    where = ["-b", bootstrap, "-t", topic, "-o", "beginning", "-c", str(count)]
    return ["kcat", "-C", *where, "-q", *much]
