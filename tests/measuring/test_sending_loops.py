"""The article's loop alone, in Python and in C: each moves all bytes, and its twin none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring import sending_loops
from zerocopy_lab.measuring.experiment import run_experiment
from zerocopy_lab.measuring.sending_loops import LOOPS, compiled, loop_contestant, run_loop
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.transfer.connections import connected_pair

LENGTH = 300_001  # no multiple of a chunk


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compiled(tmp_path_factory.mktemp("c"))
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "sent"
    path.write_bytes(os.urandom(LENGTH))
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


def received_from(loop: str, file: int, chunk_bytes: int, library: Path | None) -> bytes:
    """All bytes that a loop puts into a socket."""
    with connected_pair("tcp") as pair:
        came: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=(pair.receiver, came))
        reader.start()
        turn = LOOPS[loop] if library is None else sending_loops.loop_in_c(str(library), loop)
        turn(pair.sender, file, LENGTH, chunk_bytes)
        pair.sender.shutdown(socket.SHUT_WR)
        reader.join()
    return b"".join(came)


def _read_all(sock: socket.socket, came: list[bytes]) -> None:
    while part := sock.recv(1 << 16):
        came.append(part)


@pytest.mark.parametrize("chunk_bytes", [1000, 4096, 1 << 20])
@pytest.mark.parametrize("loop", LOOPS)
def test_in_python_it_sends_the_file_or_nothing(loop: str, file: int, chunk_bytes: int) -> None:
    expected = b"" if loop.endswith("nothing") else os.pread(file, LENGTH, 0)
    assert received_from(loop, file, chunk_bytes, None) == expected


@pytest.mark.parametrize("chunk_bytes", [1000, 4096, 1 << 20])
@pytest.mark.parametrize("loop", LOOPS)
def test_in_c_it_sends_the_same(loop: str, file: int, chunk_bytes: int, library: Path) -> None:
    expected = b"" if loop.endswith("nothing") else os.pread(file, LENGTH, 0)
    assert received_from(loop, file, chunk_bytes, library) == expected


def test_a_file_that_is_shorter_than_said_is_an_error_in_c(file: int, library: Path) -> None:
    with connected_pair("tcp") as pair, pytest.raises(OSError, match="Input/output error"):
        sending_loops.loop_in_c(str(library), "only_sendfile")(
            pair.sender, file, LENGTH + 1, 1 << 20
        )


def test_loops_are_contestants(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    path.write_bytes(bytes(1 << 20))
    contestants = [loop_contestant(name, name, 65536, path) for name in LOOPS]
    outcome = run_experiment("loops", contestants, repeats=1, warm_ups=0, runs=1)
    assert all(outcome.values(name, "sender_cpu_s_per_gib")[0] >= 0 for name in LOOPS)


def test_bytes_that_do_not_arrive_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sent"
    path.write_bytes(bytes(1 << 16))
    monkeypatch.setitem(LOOPS, "only_sendfile", LOOPS["sendfile_nothing"])
    with pytest.raises(OSError, match="0 bytes arrived"):
        run_loop(Stopwatch(), "only_sendfile", 4096, str(path), None, "tcp", "dropping")


def test_no_compiler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="no C compiler"):
        compiled(tmp_path)
