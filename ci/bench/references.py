"""The bare loops that the broker is measured against: the same bytes, and not one decision.

    python -m ci.bench.references sendfile FILE REQUEST_BYTES ANSWER_BYTES
        recv a request of REQUEST_BYTES, send 4 bytes of length, sendfile ANSWER_BYTES of FILE, and
        again
    python -m ci.bench.references write FILE REQUEST_BYTES ANSWER_BYTES
        recv a request of REQUEST_BYTES, write it to the end of FILE, send ANSWER_BYTES, and again

Prints `listening on HOST:PORT` and serves one connection after the other with blocking sockets,
which is as cheap as it gets for one client. Written in Python like the broker, so that what differs
is the work and not the language.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys

from zerocopy_lab.transfer.connections import set_steady_congestion_control


def receive_exactly(sock: socket.socket, view: memoryview) -> bool:
    """Fill `view`; False when the client has hung up instead."""
    received = 0
    while received < len(view):
        came = sock.recv_into(view[received:])
        if not came:
            return False
        received += came
    return True


def serve_sendfile(sock: socket.socket, fd: int, request: memoryview, answer_bytes: int) -> None:
    """Send the file piece after piece, from its start again when it is through."""
    file_bytes = os.fstat(fd).st_size
    head = struct.pack(">i", answer_bytes)
    position = 0
    writable = select.poll()
    writable.register(sock, select.POLLOUT)
    while receive_exactly(sock, request):
        sock.setblocking(False)
        sock.send(head, socket.MSG_MORE)
        end = position + answer_bytes
        while position < end:
            try:
                moved = os.sendfile(sock.fileno(), fd, position, end - position)
                assert moved, f"the file ends at {position}"
                position += moved
            except BlockingIOError:
                writable.poll()
        sock.setblocking(True)
        position = 0 if position + answer_bytes > file_bytes else position


def serve_write(sock: socket.socket, fd: int, request: memoryview, answer_bytes: int) -> None:
    """Write every request to the file, begun anew for every connection."""
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    answer = bytes(answer_bytes)
    while receive_exactly(sock, request):
        written = os.write(fd, request)
        assert written == len(request)
        sock.send(answer)


def main() -> None:
    """Serve until killed."""
    kind, path, request_bytes, answer_bytes = sys.argv[1:]
    serve = {"sendfile": serve_sendfile, "write": serve_write}[kind]
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    request = memoryview(bytearray(int(request_bytes)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        set_steady_congestion_control(listener)
        print("listening on {}:{}".format(*listener.getsockname()), flush=True)
        while True:
            sock, _ = listener.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(sock, fd, request, int(answer_bytes))


if __name__ == "__main__":
    main()
