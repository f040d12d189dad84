"""Lab 11, a disk that fails for real: one that promises more room than it has.

It is a file system on a loop device whose file lies on a tmpfs that is too small for it; thinly
provisioned disks are like that. Nobody notices before the kernel writes pages out. It takes root.
All of it hangs on one descriptor and is gone with whoever holds that: both mounts are detached at
once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zerocopy_lab.instruments.page_residency import PAGE_BYTES
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.scratch import ScratchDirectory

ROOM_BYTES = 8 << 20
"""What the disk really has."""
_PROMISED_BYTES = 256 << 20
_WHAT = "A disk that fails"
_NEEDS = ("mount", "losetup", "mkfs.ext4")


@contextmanager
def disk_with_too_little_room() -> Iterator[Path]:
    """A directory on a disk that has room for `ROOM_BYTES` and says more. Raises Unavailable."""
    with ScratchDirectory("disk") as scratch:
        held = _made(scratch.path)
        try:
            yield Path(f"/proc/{os.getpid()}/fd/{held}")
        finally:
            os.close(held)


def _made(scratch: Path) -> int:
    """A descriptor of its root directory; nothing else holds it."""
    if os.geteuid() or any(shutil.which(name) is None for name in _NEEDS):
        needs = ", ".join(_NEEDS)
        raise Unavailable(_WHAT, f"it takes root and the commands {needs}", "Run as root")
    room, place = scratch / "room", scratch / "place"
    room.mkdir()
    place.mkdir()
    with contextlib.ExitStack() as undone:
        _call("mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "none", str(room))
        undone.callback(_call, "umount", "--lazy", str(room))
        with (room / "disk").open("wb") as disk:
            disk.truncate(_PROMISED_BYTES)
        loop = _call("losetup", "--find", "--show", str(room / "disk")).strip()
        undone.callback(_call, "losetup", "--detach", loop)  # it goes when nobody uses it
        _one_page_at_a_time(loop)
        few_inodes = ["-N", "1024"]  # their table must not take the room
        _call("mkfs.ext4", "-q", "-b", str(PAGE_BYTES), *few_inodes, "-O", "^has_journal", loop)
        _call("mount", "-o", "noinit_itable", loop, str(place))
        undone.callback(_call, "umount", "--lazy", str(place))
        return os.open(place, os.O_RDONLY | os.O_DIRECTORY)


def _one_page_at_a_time(loop: str) -> None:
    """A loop device takes half a request that was written for a whole one that was; of requests of
    one page there are no halves.
    """
    try:
        limit = Path("/sys/block", Path(loop).name, "queue", "max_sectors_kb")
        limit.write_text(str(PAGE_BYTES >> 10))
    except OSError as error:
        raise Unavailable(_WHAT, str(error), "Run as root of a machine") from error


def _call(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"{words[0]} failed"])[-1]
        raise Unavailable(_WHAT, why, "Run as root of a machine")
    return done.stdout
