"""What is to happen at which file operation of the broker: the Python end of `shim.c`.

    library = build(directory)                  needs a C compiler
    LD_PRELOAD=library python ...               in that process, and in what it forks:
    plan = Plan()
    plan.watch(directory)                       in the forked one: whose files count
    plan.arm(Call.MAKE, Action.KILL_AFTER, 3)   in either: the third of these calls is its last

The two processes share the plan's memory, so a plan can be made, taken back and read while the
broker runs.
"""

from __future__ import annotations

import ctypes
import enum
import mmap
import shutil
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")


class Call(enum.IntFlag):
    """Kinds of system calls, those that write under one name."""

    OPEN = 1
    WRITE = 2
    SYNC = 4
    TRUNCATE = 8
    RENAME = 16
    REMOVE = 32
    MAKE = 64  # mkdir(2), and open(2) for writing
    SENDFILE = 128
    CHANGE = WRITE | SYNC | TRUNCATE | RENAME | REMOVE | MAKE


class Action(enum.IntEnum):
    """What is done to one."""

    KILL_BEFORE = 1
    KILL_AFTER = 2
    KILL_IN_THE_MIDDLE = 3  # of a write: half of its bytes are in the file
    FAIL = 4
    DO_HALF = 5


class _Shared(ctypes.Structure):
    _fields_ = (
        ("armed", ctypes.c_int32),
        ("calls", ctypes.c_int32),
        ("action", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("first", ctypes.c_int64),
        ("times", ctypes.c_int64),
        ("within", ctypes.c_char * 128),
        ("seen", ctypes.c_int64),
        ("fired", ctypes.c_int64),
        ("where", ctypes.c_char * 512),
    )


class NoCompiler(RuntimeError):
    """There is no C compiler here, so no operation can be chosen."""


def build(directory: Path) -> Path:
    """The shim as a library in `directory`. Raises NoCompiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("there is no C compiler (cc, gcc) on PATH")
    library = directory / "shim.so"
    command = [compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
    subprocess.run(command, check=True)
    return library


class Plan:
    """One plan in memory that is shared with all processes forked from here on."""

    def __init__(self) -> None:
        self._shared = _Shared.from_buffer(mmap.mmap(-1, ctypes.sizeof(_Shared)))

    @staticmethod
    def can_be_followed() -> bool:
        """Whether the shim is preloaded in this process."""
        return hasattr(ctypes.CDLL(None), "torture_watch")

    def watch(self, directory: Path) -> None:
        """Look at this process's file operations below `directory` from now on."""
        watch = ctypes.CDLL(None).torture_watch
        watch.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        watch(ctypes.addressof(self._shared), bytes(directory))

    def arm(
        self,
        calls: Call,
        action: Action,
        first: int = 1,
        *,
        times: int = 1,
        error: int = 0,
        within: str = "",
    ) -> None:
        """Do `action` to so many of these calls, from the `first` from now on (1 is the next), on
        paths that hold `within`. `error` is errno for FAIL.
        """
        self.disarm()
        shared = self._shared
        shared.calls, shared.action, shared.error = calls, action, error
        shared.first, shared.times, shared.within = first, times, within.encode()
        shared.seen = shared.fired = 0
        shared.where = b""
        shared.armed = 1

    def disarm(self) -> None:
        """Let everything pass; the figures stay."""
        self._shared.armed = 0

    @property
    def seen(self) -> int:
        """How many such calls there were since it was armed."""
        return int(self._shared.seen)

    @property
    def fired(self) -> int:
        """How many of them it was done to."""
        return int(self._shared.fired)

    @property
    def where(self) -> str:
        """The path at which it was done first."""
        return bytes(self._shared.where).decode()
