"""A program between walls: it sees little of the machine, and nothing that it does gets out.

    python -m zerocopy_lab.running.walls '{"program": [...], ...}'        (`confinement` starts it)

Here are the walls; `confinement` holds time and memory from outside. In this order:

1. namespaces(7) of its own: mounts, processes, network, IPC, host name; for an ordinary user first
   a user namespace, in which that is allowed. Its network has a loopback and nothing else.
2. A new root directory in memory: the system's programs, this Python, the package, labs and data,
   read-only and without what is `hidden`; /tmp and /dev/shm in memory and limited; no home, no
   /run, no sockets of anybody. What it writes is gone with it: results leave by standard output.
3. Limits: processes, memory of each, bytes of a file, no core. Who is root becomes nobody first.
   `execve` then takes the last capabilities away.

Left out: what the kernel's own mistakes would allow, and side channels. System calls are not
filtered: that is a container engine's business, and one may stand around this.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_NEW_MOUNTS, _NEW_USER, _NEW_PIDS, _NEW_NETWORK = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_NEW_NAME_AND_IPC: Final = 0x04000000 | 0x08000000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _REMOUNT = 1, 2, 4, 32
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_RECURSIVE, _AT_FDCWD = 442, 0x8000, -100
_SET_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES = 1, 38
_SET_INTERFACE_FLAGS: Final = 0x8914  # SIOCSIFFLAGS, netdevice(7)
_UP_AND_RUNNING: Final = 0x1 | 0x40
_FIRST_NOBODY: Final = 0x70000000
"""Ids that belong to no account; one for each, since limits on processes count by id."""

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "etc", "sys")
_DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def raise_walls(wanted: dict[str, Any]) -> None:
    """Everything above, then the program; returns only in the process outside, with its exit
    code for an exit. Raises OSError where the kernel or the account does not allow it.
    """
    _die_with_the_parent()
    is_root, ids = os.geteuid() == 0, (os.geteuid(), os.getegid())
    spaces = _NEW_MOUNTS | _NEW_PIDS | _NEW_NETWORK | _NEW_NAME_AND_IPC
    _call(_libc.unshare, spaces if is_root else spaces | _NEW_USER)
    if not is_root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{ids[0]} {ids[0]} 1")
        Path("/proc/self/gid_map").write_text(f"{ids[1]} {ids[1]} 1")
    outside = os.getpid()
    first = os.fork()  # the first process of the new namespace: when it ends, all end
    if first:
        _, status = os.waitpid(first, 0)
        sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
    _die_with_the_parent()
    _raise_loopback()
    _new_root(wanted)
    _become_nobody(is_root, outside)
    _set_limits(wanted)
    _call(_libc.prctl, _SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.execve(wanted["program"][0], wanted["program"], wanted["environment"])


def _call(function: Callable[..., int], *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function.__name__}: {os.strerror(error)}")
    return result


def _die_with_the_parent() -> None:
    _call(_libc.prctl, _SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SET_INTERFACE_FLAGS, struct.pack("16sH14x", b"lo", _UP_AND_RUNNING))


def _new_root(wanted: dict[str, Any]) -> None:
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    root = Path("/tmp")  # whatever it held is out of sight from here on, but for what is bound
    seen = [Path(path) for path in wanted["seen"]]
    within_reach = [os.open(path, os.O_PATH) for path in seen]  # what a mount over /tmp hides, too
    _mount("tmpfs", str(root), "tmpfs", _NO_SUID | _NO_DEVICES, "mode=755,size=1m")
    for name in ("tmp", "dev/shm"):
        (root / name).mkdir(parents=True)
        size = f"mode=1777,size={wanted['disk_bytes']}"
        _mount("tmpfs", str(root / name), "tmpfs", _NO_SUID | _NO_DEVICES, size)
    for name in _SYSTEM:
        origin = Path("/", name)
        if origin.is_symlink():
            (root / name).symlink_to(os.readlink(origin))
        elif origin.is_dir():
            _show(str(origin), root / name)
    for descriptor, path in zip(within_reach, seen, strict=True):
        if not any(path.is_relative_to(Path("/", name)) for name in _SYSTEM):
            _show(f"/proc/self/fd/{descriptor}", root / path.relative_to("/"))
    for path in wanted["hidden"]:
        if (root / path.lstrip("/")).is_dir():
            _mount("tmpfs", str(root / path.lstrip("/")), "tmpfs", _READ_ONLY, "size=4k")
    for name in _DEVICES:
        (root / "dev" / name).touch()
        _mount(f"/dev/{name}", str(root / "dev" / name), None, _BIND)
    (root / "dev/fd").symlink_to("/proc/self/fd")
    (root / "proc").mkdir()
    _mount("proc", str(root / "proc"), "proc", _NO_SUID | _NO_DEVICES)
    _mount(None, str(root), None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | _NO_DEVICES)
    os.chroot(root)
    os.chdir("/tmp")


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str = ""
) -> None:
    words = [each.encode() if each is not None else None for each in (source, target, kind)]
    _call(_libc.mount, *words, flags, options.encode())


def _show(source: str, target: Path) -> None:
    """There, and what is mounted below it: read-only, other flags as they are (mount_setattr(2),
    Linux 5.12).
    """
    target.mkdir(parents=True, exist_ok=True)
    _mount(source, str(target), None, _BIND | _RECURSIVE)
    set_flag = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
    where = (_AT_FDCWD, str(target).encode(), _AT_RECURSIVE)
    _call(_libc.syscall, _MOUNT_SETATTR, *where, set_flag, len(set_flag))


def _become_nobody(is_root: bool, number: int) -> None:
    if not is_root:
        return
    nobody = _FIRST_NOBODY + number
    os.setgroups([])
    os.setresgid(nobody, nobody, nobody)
    os.setresuid(nobody, nobody, nobody)
    _die_with_the_parent()  # another id forgets it


def _set_limits(wanted: dict[str, Any]) -> None:
    for what, most in (
        (resource.RLIMIT_NPROC, wanted["processes"]),
        (resource.RLIMIT_AS, wanted["address_space_bytes"]),
        (resource.RLIMIT_FSIZE, wanted["disk_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    raise_walls(json.loads(sys.argv[1]))
