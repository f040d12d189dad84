"""The two system calls behind page residency, as Python has neither: cachestat(2) and mincore(2),
through the C library.

cachestat has no wrapper in most C libraries and is called by its number, 451 on every architecture
but Alpha. Its argument and its answer (include/uapi/linux/mman.h), all unsigned 64-bit:

| struct cachestat_range | `off`, `len` in bytes; a `len` of 0 reaches to the end |
| struct cachestat       | `nr_cache`, `nr_dirty`, `nr_writeback`, `nr_evicted`,  |
|                        | `nr_recently_evicted`, in pages                        |
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
from typing import Final

_SYS_CACHESTAT: Final = 451
_LOWEST_BIT: Final = bytes(value & 1 for value in range(256))  # the other seven bits are reserved
_FIVE_COUNTS: Final = ctypes.c_uint64 * 5
_RANGE: Final = ctypes.c_uint64 * 2


def cachestat(fd: int, position: int, length: int) -> tuple[int, int, int, int, int]:
    """Pages of a byte range: (resident, dirty, writeback, evicted, recently evicted).

    Raises OSError: ENOSYS before Linux 6.5, EPERM for files of others, EOPNOTSUPP on hugetlbfs.
    """
    counts = _FIVE_COUNTS()
    answer = _libc().syscall(
        ctypes.c_long(_SYS_CACHESTAT),
        ctypes.c_uint(fd),
        ctypes.byref(_RANGE(position, length)),
        ctypes.byref(counts),
        ctypes.c_uint(0),
    )
    _raise_if_failed(answer, "cachestat")
    resident, dirty, writeback, evicted, recently_evicted = counts
    return resident, dirty, writeback, evicted, recently_evicted


def mincore(fd: int, position: int, length: int) -> bytes:
    """One byte per page of a byte range that starts on a page: 1 when resident, else 0.

    The mapping that mincore needs is made for the purpose and never touched, so it brings no page
    in. Raises OSError when the range cannot be mapped.
    """
    if length == 0:
        return b""
    libc = _libc()
    address = libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, fd, position)
    if address == ctypes.c_void_p(-1).value:
        _raise_if_failed(-1, "mmap")
    try:
        bits = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
        _raise_if_failed(libc.mincore(address, length, bits), "mincore")
    finally:
        libc.munmap(address, length)
    return bytes(bits).translate(_LOWEST_BIT)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return libc


def _raise_if_failed(answer: int, call: str) -> None:
    if answer == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), call)
