"""Motion: every way a slice of a file can reach a socket, one small file per way.

    | strategy                 | passes of our CPU over the bytes | system calls per chunk       |
    |--------------------------|----------------------------------|------------------------------|
    | read_then_send           | 2: preadv, send                  | 2                            |
    | mmap_then_send           | 1: send                          | 2: fstat, send               |
    | sendfile                 | 0                                | 1                            |
    | splice_through_pipe      | 0                                | 2: into a pipe, out of it    |
    | send_with_msg_zerocopy   | 0; loopback makes it 1           | 3: fstat, send, recvmsg      |
    | encrypt_then_send        | 3: preadv, cipher, write         | 1, and 1 per 16 KiB record   |
    | sendfile_over_kernel_tls | 1: the kernel's cipher           | 1                            |

Bytes come in as a `FileSlice` from the log and leave into a connected socket. This is the only room
that holds a file and a socket in the same hand; it knows no offsets, no batches and no protocol.
"""

from __future__ import annotations

from importlib import import_module

from zerocopy_lab.transfer.strategy import MOST_BYTES_PER_CALL, Transfer

__all__ = ["MOST_BYTES_PER_CALL", "Transfer", "make", "strategies"]

_CLASS_NAMES = {
    "read_then_send": "ReadThenSend",
    "mmap_then_send": "MmapThenSend",
    "sendfile": "Sendfile",
    "splice_through_pipe": "SpliceThroughPipe",
    "send_with_msg_zerocopy": "SendWithMsgZerocopy",
    "encrypt_then_send": "EncryptThenSend",
    "sendfile_over_kernel_tls": "SendfileOverKernelTls",
}
"""In the order of the labs' tables. A module is imported when asked for: a broker needs one."""


def strategies() -> dict[str, type[Transfer]]:
    """Every strategy by name, those this machine lacks included (ask `unavailable()`)."""
    return {name: _strategy(name) for name in _CLASS_NAMES}


def make(name: str, chunk_bytes: int | None = None) -> Transfer:
    """A strategy object for one connection; ValueError names the choices, or why not here."""
    if name not in _CLASS_NAMES:
        raise ValueError(f"no transfer strategy {name!r}; choose one of {', '.join(_CLASS_NAMES)}")
    strategy = _strategy(name)
    if reason := strategy.unavailable():
        raise ValueError(f"{name} is not available here: {reason}")
    return strategy(chunk_bytes)


def _strategy(name: str) -> type[Transfer]:
    found: type[Transfer] = getattr(import_module(f"{__name__}.{name}"), _CLASS_NAMES[name])
    assert found.name == name
    return found
