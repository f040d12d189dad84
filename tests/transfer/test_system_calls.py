"""How many system calls a strategy makes for a slice: exactly what theory says, in its order."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zerocopy_lab.transfer import strategies
from zerocopy_lab.transfer.anonymous_tls import anonymous_contexts
from zerocopy_lab.transfer.connections import connected_pair

ROOT = Path(__file__).resolve().parents[2]
KIB, MIB = 1024, 1024 * 1024

# Between two sched_yield(2), which nothing else here calls, one slice goes out, blocking.
# A byte goes first: pipes and socket options of a new connection are not the price of a slice.
SENDER = """
import os, socket, ssl, sys
from pathlib import Path
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.transfer import make
from zerocopy_lab.transfer.anonymous_tls import anonymous_contexts

name, path, length, chunk_bytes, fd = sys.argv[1:3] + [int(word) for word in sys.argv[3:]]
transfer, opened = make(name, chunk_bytes), OpenFile.open(Path(path))
sock = socket.socket(fileno=fd)
if transfer.needs_tls:
    sock = anonymous_contexts()[0].wrap_socket(sock, server_side=True)
transfer.send(sock, FileSlice(opened, length, 1), 0)
piece, sent_bytes = FileSlice(opened, 0, length), 0
os.sched_yield()
while sent_bytes < length:
    sent_bytes += transfer.send(sock, piece, sent_bytes)
os.sched_yield()
"""

# The kernel's names for what the manual calls otherwise.
MANUAL_NAMES = {
    "sendto": "send",
    "newfstatat": "fstat",
    "preadv2": "preadv",
    "sendfile64": "sendfile",
}


def chunks(length: int, chunk_bytes: int) -> Iterator[int]:
    """The lengths of the chunks that a slice is cut into."""
    for position in range(0, length, chunk_bytes):
        yield min(chunk_bytes, length - position)


def theory(name: str, length: int, chunk_bytes: int) -> list[str]:
    """The calls for one slice that starts at a page, in order."""
    # Python's mmap looks up the length, and keeps a descriptor of the file for itself.
    mapping, unmapping = ["fstat", "fcntl", "mmap"], ["close", "munmap"]
    calls: list[str] = []
    for count in chunks(length, chunk_bytes):
        calls += {
            "read_then_send": ["preadv", "send"],
            "mmap_then_send": ["fstat", *mapping, "send"],
            "sendfile": ["sendfile"],
            "splice_through_pipe": ["splice", "splice"],
            "send_with_msg_zerocopy": ["fstat", *mapping, "recvmsg", "send"],
            "encrypt_then_send": ["preadv", *("write" for _ in chunks(count, 16 * KIB))],
            "sendfile_over_kernel_tls": ["sendfile"],
        }[name]
        mapping = []
    return calls + (unmapping if "fcntl" in calls else [])


def traced(name: str, path: Path, length: int, chunk_bytes: int, trace: Path) -> list[str]:
    """The calls that the strategy made, from strace, by the manual's names."""
    with connected_pair("tcp") as pair, ThreadPoolExecutor(1) as thread:
        receiving = thread.submit(receive_all, pair.receiver, strategies()[name].needs_tls)
        words = [sys.executable, "-c", SENDER, name, str(path), str(length), str(chunk_bytes)]
        fd = pair.sender.fileno()
        try:
            subprocess.run(
                ["strace", "-o", str(trace), *words, str(fd)], pass_fds=[fd], cwd=ROOT, check=True
            )
        finally:
            pair.sender.close()  # the end of the stream, also when the sender has failed
        assert receiving.result() == 1 + length
    return calls_between_the_marks(trace.read_text())


def receive_all(receiver: socket.socket, tls: bool) -> int:
    if tls:
        receiver = anonymous_contexts()[1].wrap_socket(receiver)
    into, received_bytes = bytearray(MIB), 0
    while came := receiver.recv_into(into):
        received_bytes += came
    return received_bytes


def calls_between_the_marks(trace: str) -> list[str]:
    _, between, _ = re.split(r"^sched_yield\(.*$", trace, flags=re.MULTILINE)
    # Memory for Python's own objects is no business of the strategy's.
    lines = [line for line in between.splitlines() if "MAP_ANONYMOUS" not in line]
    calls = [match[0] for line in lines if (match := re.match(r"\w+(?=\()", line))]
    return [MANUAL_NAMES.get(call, call) for call in calls if call != "brk"]


# Length, chunk; whole pages and crooked lengths, one chunk and many.
SIZES = [
    (1, 4 * KIB),
    (4 * KIB, 4 * KIB),
    (64 * KIB, 4 * KIB),
    (64 * KIB, 64 * KIB),
    (MIB, 64 * KIB),
    (MIB + 1, 256 * KIB),
    (5 * MIB - 3, MIB),
]


@pytest.mark.strace
@pytest.mark.parametrize(("length", "chunk_bytes"), SIZES)
@pytest.mark.parametrize("name", strategies())
def test_counts_equal_theory(name: str, length: int, chunk_bytes: int, tmp_path: Path) -> None:
    if reason := strategies()[name].unavailable():
        pytest.skip(reason)
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    path = tmp_path / "payload"
    path.write_bytes(bytes(length + 1))
    counted = traced(name, path, length, chunk_bytes, tmp_path / "trace")
    assert counted == theory(name, length, chunk_bytes)
