"""A file system in a program: what is asked of it is done in a directory below, perhaps late.

    with passed_through(mountpoint, below, delay_s=0.002) as why_not: ...

It speaks the kernel's own FUSE protocol over /dev/fuse, so nothing has to be installed; the program
is a child of this process. A read that the page cache cannot answer goes through it, and with a
delay it takes its time as one over a network would. Flat, and no more than an experiment needs:
files can be made, written, read, cut and removed, directories neither made nor listed.

Source: include/uapi/linux/fuse.h (protocol 7.31).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_DEVICE: Final = "/dev/fuse"
_MOST_BYTES: Final = 128 << 10  # of one read or write
_ROOT: Final = 1
_VALID_S: Final = 3600  # how long the kernel may believe names and attributes
_KEEP_CACHE: Final = 2  # FOPEN_KEEP_CACHE
_CUTS: Final = 1 << 3  # FATTR_SIZE
_FORGET, _BATCH_FORGET, _INTERRUPT = 2, 42, 36  # nobody waits for an answer

_HEAD: Final = struct.Struct("=IIQQIIIHH")  # fuse_in_header
_ANSWER: Final = struct.Struct("=IiQ")  # fuse_out_header
_ATTR: Final = struct.Struct("=QQQQQQIIIIIIIIII")
_ENTRY: Final = struct.Struct("=QQQQII")
_INIT: Final = struct.Struct("=IIIIHHIIHHI28x")
_PLACE: Final = struct.Struct("=QQI")  # the beginning of fuse_read_in and of fuse_write_in
_READ_IN_BYTES: Final = 40


@contextlib.contextmanager
def passed_through(mountpoint: Path, below: Path, *, delay_s: float = 0) -> Iterator[str]:
    """Mounts it for as long as the block lasts; yields "", or why it could not be mounted."""
    try:
        device = os.open(_DEVICE, os.O_RDWR)
    except OSError as error:
        yield f"{_DEVICE} cannot be opened ({error.strerror})"
        return
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    words = ["mount", "-i", "-t", "fuse", "-o", options, "zerocopy_lab", str(mountpoint)]
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(os.fdopen(device, "r+b", buffering=0))
        done = subprocess.run(
            words, pass_fds=[device], capture_output=True, text=True, timeout=20, check=False
        )
        if done.returncode:
            yield (done.stderr.strip().splitlines() or ["it said nothing"])[0]
            return
        program = os.fork()  # not before: a device that nobody has mounted refuses to be read
        if program == 0:
            _Program(device, below, delay_s).serve()
        ours.close()  # so that nobody waits for a program that has died
        stack.callback(os.waitpid, program, 0)
        stack.callback(os.kill, program, signal.SIGKILL)
        stack.callback(subprocess.run, ["umount", str(mountpoint)], check=True, timeout=20)
        yield ""


class _Program:
    """Answers request after request. Numbers of nodes are given to paths as they are asked for."""

    def __init__(self, device: int, below: Path, delay_s: float) -> None:
        self._device, self._delay_s = device, delay_s
        self._paths = {_ROOT: below}
        self._numbers = {below: _ROOT}
        self._does = {
            1: self._lookup,
            3: self._attributes,
            4: self._set_attributes,
            10: self._unlink,
            14: self._open,
            15: self._read,
            16: self._write,
            18: self._release,
            20: lambda node, body: b"",  # fsync: the file below is synced by whoever evicts it
            25: lambda node, body: b"",  # flush
            26: self._begin,
            35: self._create,
        }

    def serve(self) -> None:
        """Never returns: its process ends with the mount."""
        try:
            while True:
                self._answer(os.read(self._device, _MOST_BYTES + 4096))
        finally:
            os._exit(0)

    def _answer(self, request: bytes) -> None:
        _, what, unique, node, *_ = _HEAD.unpack_from(request)
        if what in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            return
        code, body = 0, b""
        try:
            body = self._does[what](node, request[_HEAD.size :])
        except KeyError:
            code = -errno.ENOSYS
        except OSError as error:
            code = -(error.errno or errno.EIO)
        os.write(self._device, _ANSWER.pack(_ANSWER.size + len(body), code, unique) + body)

    def _begin(self, node: int, body: bytes) -> bytes:
        readahead = struct.unpack_from("=I", body, 8)[0]
        return _INIT.pack(7, 31, readahead, 0, 12, 9, _MOST_BYTES, 1, 0, 0, 0)

    def _lookup(self, node: int, body: bytes) -> bytes:
        return self._entry(self._child(node, body))

    def _child(self, node: int, name: bytes) -> Path:
        return self._paths[node] / os.fsdecode(name.split(b"\0")[0])

    def _entry(self, path: Path) -> bytes:
        attributes = _attributes_of(path)
        number = self._numbers.setdefault(path, len(self._numbers) + 1)
        self._paths[number] = path
        return _ENTRY.pack(number, 0, _VALID_S, _VALID_S, 0, 0) + attributes

    def _attributes(self, node: int, body: bytes) -> bytes:
        return struct.pack("=QII", _VALID_S, 0, 0) + _attributes_of(self._paths[node])

    def _set_attributes(self, node: int, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("=IIQQ", body)
        if valid & _CUTS:
            os.truncate(self._paths[node], size)
        return self._attributes(node, b"")

    def _unlink(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body)
        path.unlink()
        self._numbers.pop(path, None)
        return b""

    def _open(self, node: int, body: bytes) -> bytes:
        return struct.pack("=QII", os.open(self._paths[node], os.O_RDWR), _KEEP_CACHE, 0)

    def _create(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body[16:])
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        entry = self._entry(path)
        return entry + self._open(self._numbers[path], b"")

    def _release(self, node: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("=Q", body)[0])
        return b""

    def _read(self, node: int, body: bytes) -> bytes:
        file, position, size = _PLACE.unpack_from(body)
        time.sleep(self._delay_s)  # what a network would take
        return os.pread(file, size, position)

    def _write(self, node: int, body: bytes) -> bytes:
        file, position, size = _PLACE.unpack_from(body)
        written = os.pwrite(file, body[_READ_IN_BYTES : _READ_IN_BYTES + size], position)
        return struct.pack("=II", written, 0)


def _attributes_of(path: Path) -> bytes:
    """fuse_attr."""
    found = os.stat(path)
    times = [int(found.st_atime), int(found.st_mtime), int(found.st_ctime), 0, 0, 0]
    blocks = (found.st_size + 511) // 512
    owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
    return _ATTR.pack(found.st_ino, found.st_size, blocks, *times, *owner, 0, 4096, 0)
