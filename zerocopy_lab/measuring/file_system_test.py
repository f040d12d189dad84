"""The alias test on file systems that are mounted for it, in a mount namespace of their own.

| name      | mounted how                                    | needs                    |
|-----------|------------------------------------------------|--------------------------|
| `tmpfs`   | mount -t tmpfs                                 | a user namespace         |
| `overlay` | two directories of the tmpfs, one over another | a user namespace         |
| ext4, xfs, btrfs | a file of 320 MiB, mostly holes, by mkfs and a loop device | root, mkfs.NAME |

    verdicts = alias_test_by_file_system()

With the process that `unshare` starts, all mounts are gone. Left out: FUSE and NFS, which need a
program or a server of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.alias_test import alias_test
from zerocopy_lab.running.running_broker import importable_here

ON_LOOPS: Final = ("ext4", "xfs", "btrfs")
_LOOP_BYTES: Final = 320 << 20  # mkfs.xfs wants 300 MiB
_TIMEOUT_S: Final = 60.0


class OnFileSystem(NamedTuple):
    """The test of sendfile with a file there: alias, copied, inconclusive; or "" and why not."""

    name: str
    verdict: str
    detail: str


def alias_test_by_file_system() -> list[OnFileSystem]:
    """One for each in the table, those that cannot be had with the reason. Raises Unavailable."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        why = "there is no unshare or no mount on the PATH"
        raise Unavailable("file systems of our own", why, "Install util-linux, on Linux")
    kind = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        ["unshare", *kind, sys.executable, "-P", "-m", __name__],
        env=importable_here({}),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unavailable("file systems of our own", why, "Run as root, or allow user namespaces")
    return [OnFileSystem(*each) for each in json.loads(done.stdout)]


# -- inside the namespace --------------------------------------------------------------------------


def _all_verdicts(directory: Path) -> Iterator[OnFileSystem]:
    memory = directory / "tmpfs"
    yield _tried("tmpfs", memory, ["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
    below = [memory / name for name in ("lower", "upper", "work")]
    if os.path.ismount(memory):
        for each in below:
            each.mkdir()
    lower, upper, work = below
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    yield _tried("overlay", directory / "overlay", ["-t", "overlay", "-o", layers, "overlay"])
    for name in ON_LOOPS:
        yield _on_a_loop(name, directory)


def _on_a_loop(name: str, directory: Path) -> OnFileSystem:
    maker = shutil.which(f"mkfs.{name}", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if maker is None:
        return OnFileSystem(name, "", f"there is no mkfs.{name} here")
    image = directory / f"{name}.image"
    with image.open("wb") as file:
        file.truncate(_LOOP_BYTES)
    made = subprocess.run([maker, "-q", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        return OnFileSystem(name, "", _last_line(made.stderr))
    return _tried(name, directory / name, ["-t", name, "-o", "loop", str(image)])


def _tried(name: str, directory: Path, words: list[str]) -> OnFileSystem:
    """Mounted and tested; a loop is unmounted again, the overlay lies on the tmpfs."""
    directory.mkdir()
    done = subprocess.run(
        ["mount", *words, str(directory)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return OnFileSystem(name, "", _last_line(done.stderr))
    found = alias_test("sendfile", directory=directory)
    if name in ON_LOOPS:
        subprocess.run(["umount", str(directory)], check=True)  # frees the loop device
    return OnFileSystem(name, found.verdict, found.detail)


def _last_line(said: str) -> str:
    lines = [line for line in said.strip().splitlines() if "dmesg" not in line]
    return lines[-1].strip() if lines else "it said nothing"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = list(_all_verdicts(Path(scratch)))
        for mounted in ("overlay", "tmpfs"):
            if os.path.ismount(Path(scratch, mounted)):
                subprocess.run(["umount", str(Path(scratch, mounted))], check=True)
    print(json.dumps(found))
