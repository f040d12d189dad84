"""The process of a receiver: take all that comes on a connection, then tell how much and at what
cost.

Started by `receivers` with its orders, as JSON, for an argument: the kind of receiver, the number
of the connected socket it inherits, a processor or null, and whether to speak TLS. It says `ready`,
takes everything until the end of the stream, prints its report as JSON, and stays until its stdin
ends. Little is imported, because an experiment starts hundreds of these.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import sys
from collections.abc import Callable

ROUND_BYTES = 1 << 20


def _touch(sock: socket.socket) -> int:
    into, received_bytes = bytearray(ROUND_BYTES), 0
    while came := sock.recv_into(into):
        received_bytes += came
    return received_bytes


def _drop(sock: socket.socket) -> int:
    into, received_bytes = bytearray(ROUND_BYTES), 0  # stays untouched; its length is the request
    while came := sock.recv_into(into, ROUND_BYTES, socket.MSG_TRUNC):
        received_bytes += came
    return received_bytes


def _splice(sock: socket.socket) -> int:
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, ROUND_BYTES)
    nowhere, received_bytes = os.open(os.devnull, os.O_WRONLY), 0
    while came := os.splice(sock.fileno(), write_end, ROUND_BYTES):
        received_bytes += came
        while came:
            came -= os.splice(read_end, nowhere, came)
    return received_bytes


_TAKE: dict[str, Callable[[socket.socket], int]] = {
    "touching": _touch,
    "dropping": _drop,
    "splicing": _splice,
}


def _receive(kind: str, fd: int, cpu: int | None, tls: bool) -> None:
    """What the process does: take everything, report, and stay until stdin ends."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    sock = socket.socket(fileno=fd)
    if tls:
        from zerocopy_lab.transfer.anonymous_tls import anonymous_contexts

        encrypted = anonymous_contexts()[1].wrap_socket(sock)
        sock = encrypted if kind == "touching" else socket.socket(fileno=encrypted.detach())
    print("ready", flush=True)
    before = resource.getrusage(resource.RUSAGE_SELF)
    received_bytes = _TAKE[kind](sock)
    after = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "received_bytes": received_bytes,
        "user_s": after.ru_utime - before.ru_utime,
        "system_s": after.ru_stime - before.ru_stime,
    }
    print(json.dumps(report), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _receive(**json.loads(sys.argv[1]))
