"""The article's loop by itself, in Python and in C: what of its cost is whose?

A loop of small calls measures the language it is written in, too. So each loop runs beside its
twin that makes the same calls with nothing to move, and, where a C compiler is there, beside the
same loop in C: the control that tells whether the account is right.

| loop                    | a turn                                | moves  |
|-------------------------|---------------------------------------|--------|
| `read_and_send`         | pread(2) into a buffer, send(2)       | a chunk |
| `map_and_send`          | send(2) from a mapping of the file    | a chunk |
| `only_sendfile`         | sendfile(2)                           | a chunk |
| `read_and_send_nothing` | the same two calls, of no bytes       | nothing |
| `sendfile_nothing`      | the same call, of no bytes            | nothing |

No broker is in it, and all send the same resident file to the same receiver, in a process of its
own. `sender_cpu_s_per_gib` counts the nothings by the bytes (`gib`) that their turns would have
moved.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.experiment import Contestant
from zerocopy_lab.measuring.receivers import Kind, RunningReceiver
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.transfer.connections import Family

SOURCE = Path(__file__).with_name("sending_loop.c")
GIB: Final = 1 << 30


def read_and_send(sock: socket.socket, file: int, length: int, chunk_bytes: int) -> None:
    """The traditional path: every byte goes through a buffer of ours."""
    buffer = memoryview(bytearray(chunk_bytes))
    position = 0
    while position < length:
        read_bytes = os.preadv(file, [buffer], position)
        sock.sendall(buffer[:read_bytes])
        position += read_bytes


def only_sendfile(sock: socket.socket, file: int, length: int, chunk_bytes: int) -> None:
    """Zero copy: the socket is given references to the file's pages."""
    position = 0
    while position < length:
        position += os.sendfile(sock.fileno(), file, position, chunk_bytes)


def map_and_send(sock: socket.socket, file: int, length: int, chunk_bytes: int) -> None:
    """The bytes are in memory already, as far as the program can see: one copy, one call."""
    with mmap.mmap(file, length, prot=mmap.PROT_READ) as mapping, memoryview(mapping) as whole:
        for position in range(0, length, chunk_bytes):
            with whole[position : position + chunk_bytes] as chunk:
                sock.sendall(chunk)


def read_and_send_nothing(sock: socket.socket, file: int, length: int, chunk_bytes: int) -> None:
    """As many turns and calls as `read_and_send`, and not a byte."""
    nothing = memoryview(bytearray())
    position = 0
    while position < length:
        read_bytes = os.preadv(file, [nothing], position)
        sock.sendall(nothing[:read_bytes])
        position += chunk_bytes


def sendfile_nothing(sock: socket.socket, file: int, length: int, chunk_bytes: int) -> None:
    """As many turns and calls as `only_sendfile`, and not a byte."""
    position = 0
    while position < length:
        position += os.sendfile(sock.fileno(), file, position, 0) + chunk_bytes


LOOPS: Final[dict[str, Callable[[socket.socket, int, int, int], None]]] = {
    loop.__name__: loop
    for loop in (
        read_and_send,
        map_and_send,
        only_sendfile,
        read_and_send_nothing,
        sendfile_nothing,
    )
}


def compiled(directory: Path) -> Path:
    """The loops in C as a library in `directory`. Raises Unavailable without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Unavailable("the loop in C", "no C compiler is on the PATH", "Install gcc or clang")
    library = directory / "sending_loop.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = f"{compiler} failed: {done.stderr.strip()[-200:]}"
        raise Unavailable("the loop in C", why, "Install the C library's headers (libc6-dev)")
    return library


def loop_contestant(
    name: str,
    loop: str,
    chunk_bytes: int,
    path: Path,
    *,
    library: Path | None = None,
    family: Family = "tcp",
    receiver: Kind = "dropping",
) -> Contestant:
    """One of LOOPS over the file at `path`; with a `library` its twin in C."""
    return Contestant(
        name,
        run_loop,
        {
            "loop": loop,
            "chunk_bytes": chunk_bytes,
            "path": str(path),
            "library": None if library is None else str(library),
            "family": family,
            "receiver": receiver,
        },
    )


def run_loop(
    stopwatch: Stopwatch,
    loop: str,
    chunk_bytes: int,
    path: str,
    library: str | None,
    family: Family,
    receiver: Kind,
) -> dict[str, float]:
    """The work of one contestant. Raises OSError when not every byte arrived."""
    turn = LOOPS[loop] if library is None else loop_in_c(library, loop)
    file = os.open(path, os.O_RDONLY)
    length = os.fstat(file).st_size
    with RunningReceiver(receiver, family) as running:
        stopwatch.also("receiver", running.pid)
        with stopwatch:
            turn(running.sock, file, length, chunk_bytes)
            received_bytes = running.finish().received_bytes
    os.close(file)
    if received_bytes != (0 if loop.endswith("nothing") else length):
        raise OSError(f"{loop} of {length} bytes: {received_bytes} bytes arrived")
    gib = length / GIB
    return {"sender_cpu_s_per_gib": stopwatch.figures["cpu_s"] / gib, "gib": gib}


def loop_in_c(library: str, loop: str) -> Callable[[socket.socket, int, int, int], None]:
    """One of LOOPS from the library that `compiled` made. It raises OSError as the calls do."""
    function = getattr(ctypes.CDLL(library), loop)
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_size_t]

    def turn(sock: socket.socket, file: int, length: int, chunk_bytes: int) -> None:
        outcome = int(function(sock.fileno(), file, length, chunk_bytes))
        if outcome < 0:
            raise OSError(-outcome, os.strerror(-outcome))

    return turn
