"""One loop twice, for experiments: `sendfile` as the strategy of this kit, and the same in C.

Both run in the same kind of process, with the same meters around the same work; only the loop
differs. The C loop is a shared library, because a program of its own would have another start.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.measuring.receivers import Kind, RunningReceiver
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.transfer import MOST_BYTES_PER_CALL, make
from zerocopy_lab.transfer.connections import Family

SOURCE = Path(__file__).with_name("sendfile_loop.c")


def build(directory: Path) -> Path:
    """The C loop as a library in `directory`. Raises FileNotFoundError without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("there is no C compiler (gcc, cc) on PATH")
    library = directory / "sendfile_loop.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library


def in_python(
    stopwatch: Stopwatch,
    path: str,
    family: Family,
    receiver: Kind,
    chunk_bytes: int | None,
    blocking: bool,
) -> dict[str, float]:
    """The strategy, and the loop of a caller around it."""
    transfer = make("sendfile", chunk_bytes)

    def loop(running: RunningReceiver, piece: FileSlice) -> int:
        writable = select.poll()
        writable.register(running.sock, select.POLLOUT)
        calls = sent_bytes = 0
        while sent_bytes < piece.length:
            calls += 1
            try:
                sent_bytes += transfer.send(running.sock, piece, sent_bytes)
            except BlockingIOError:
                writable.poll()
        return calls

    return _measure(stopwatch, loop, path, family, receiver, blocking)


def in_c(
    stopwatch: Stopwatch,
    path: str,
    family: Family,
    receiver: Kind,
    chunk_bytes: int | None,
    blocking: bool,
    library: str,
) -> dict[str, float]:
    """The loop of `sendfile_loop.c`."""
    send_slice = ctypes.CDLL(library).send_slice
    send_slice.restype = ctypes.c_long
    most = ctypes.c_size_t(chunk_bytes or MOST_BYTES_PER_CALL)

    def loop(running: RunningReceiver, piece: FileSlice) -> int:
        first, length = ctypes.c_int64(piece.position), ctypes.c_int64(piece.length)
        calls = int(send_slice(running.sock.fileno(), piece.file.fd, first, length, most))
        if calls < 0:
            raise OSError(-calls, os.strerror(-calls))
        return calls

    return _measure(stopwatch, loop, path, family, receiver, blocking)


def _measure(
    stopwatch: Stopwatch,
    loop: Callable[[RunningReceiver, FileSlice], int],
    path: str,
    family: Family,
    receiver: Kind,
    blocking: bool,
) -> dict[str, float]:
    opened = OpenFile.open(Path(path))
    piece = FileSlice(opened, 0, os.fstat(opened.fd).st_size)
    with RunningReceiver(receiver, family) as running:
        stopwatch.also("receiver", running.pid)
        running.sock.setblocking(blocking)
        with stopwatch:
            calls = loop(running, piece)
        received_bytes = running.finish().received_bytes
    if received_bytes != piece.length:
        raise OSError(f"{received_bytes} of {piece.length} bytes arrived")
    return {"calls": float(calls)}
