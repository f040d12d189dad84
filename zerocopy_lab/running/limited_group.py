"""A control group for a process: its disk made slow, its memory made small.

A virtual disk is often as fast as memory, and a machine with much memory never evicts anything.
Then what a late reader does to the others cannot be seen. The kernel can lend one process a slow
disk and a small memory, and leaves everybody else alone:

    with LimitedGroup(Path(data_dir), read_bytes_per_s=32 << 20) as group:
        group.take(broker.pid)          # cold reads of the broker now come at 32 MiB/s

| limit              | version 1 of the interface               | version 2    |
|--------------------|------------------------------------------|--------------|
| `read_bytes_per_s` | blkio: blkio.throttle.read_bps_device    | io.max       |
| `memory_bytes`     | memory: memory.limit_in_bytes            | memory.max   |

The memory limit counts the page cache that the group's processes brought in, too: its pages go
when the group is full, however much is free elsewhere. Needs root or a delegated group. Sources:
the kernel's admin-guide, cgroup-v1/blkio-controller, cgroup-v1/memory and cgroup-v2.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from zerocopy_lab.instruments.unavailable import Unavailable

_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")
_REMEDY = "Run as root, or in a delegated group (systemd-run --user --scope -p Delegate=yes)"
_numbers = itertools.count(1)


class LimitedGroup:
    """Limits for the processes that `take` puts in, from `with` to the end of the block; then they
    are where they were, and without limits.

    `read_bytes_per_s` limits reads from the device that holds `path`. Raises Unavailable where the
    kernel, the account or the file system does not allow it.
    """

    def __init__(
        self, path: Path, *, read_bytes_per_s: int | None = None, memory_bytes: int | None = None
    ) -> None:
        self._wanted: dict[str, tuple[str, str, str]] = {}  # controller -> files and the value
        if read_bytes_per_s is not None:
            device = _disk_of(path)
            self._wanted["io"] = (
                "blkio.throttle.read_bps_device",
                "io.max",
                f"{device} {read_bytes_per_s}",
            )
        if memory_bytes is not None:
            self._wanted["memory"] = ("memory.limit_in_bytes", "memory.max", str(memory_bytes))
        self._groups: list[Path] = []

    def __enter__(self) -> Self:
        name = f"zerocopy-lab-{os.getpid()}-{next(_numbers)}"
        try:
            for controller, (old_file, new_file, value) in self._wanted.items():
                group, is_new = _make_group(controller, name)
                if group not in self._groups:
                    self._groups.append(group)
                if is_new and controller == "io":
                    value = value.replace(" ", " rbps=")
                (group / (new_file if is_new else old_file)).write_text(value)
        except OSError as error:
            self._remove()
            raise Unavailable("a control group", str(error), _REMEDY) from None
        except BaseException:
            self._remove()
            raise
        return self

    def take(self, pid: int) -> None:
        """Put a process and its threads under the limits. Raises Unavailable."""
        for group in self._groups:
            try:
                (group / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                raise Unavailable("a control group", str(error), _REMEDY) from None

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for group in self._groups:
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):  # it ended just now
                    (group.parent / "cgroup.procs").write_text(pid)
            group.rmdir()
        self._groups.clear()


def _make_group(controller: str, name: str) -> tuple[Path, bool]:
    """A new group that can have this limit, and whether its interface is version 2."""
    why = f"no control group for {controller} is mounted"
    for parent, is_new in _parents(controller):
        group = parent / name
        try:
            if is_new and controller not in (parent / "cgroup.subtree_control").read_text().split():
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
            group.mkdir(exist_ok=True)
        except OSError as error:
            why = str(error)
            continue
        return group, is_new
    raise Unavailable("a control group", why, _REMEDY)


def _parents(controller: str) -> Iterator[tuple[Path, bool]]:
    """Groups below which a new one may be made: the own one and those above it, version 1 first,
    since a controller belongs to one hierarchy only.
    """
    names = {"io": "blkio"}.get(controller, controller)
    own = dict(_own_groups())
    for root, kind, options in _hierarchies():
        is_new = kind == "cgroup2"
        if not is_new and names not in options:
            continue
        if is_new and controller not in (root / "cgroup.controllers").read_text().split():
            continue
        place = root / own.get("" if is_new else names, "/").strip("/")
        for parent in (place, *place.parents):
            if parent.is_relative_to(root) and (parent / "cgroup.procs").exists():
                yield parent, is_new


def _own_groups() -> Iterator[tuple[str, str]]:
    """Controller -> path of our group; "" stands for version 2. See cgroups(7)."""
    for line in _OWN.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        yield from ((controller, path) for controller in controllers.split(","))


def _hierarchies() -> Iterator[tuple[Path, str, set[str]]]:
    """Where control groups are mounted, which version, which controllers. See proc(5)."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError as error:
        raise Unavailable("a control group", str(error), "They exist on Linux") from None
    for line in lines:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield Path(before.split()[4]), kind, set(options.split(","))


def _disk_of(path: Path) -> str:
    """MAJOR:MINOR of the whole disk below a path."""
    number = os.stat(path).st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not device.exists():
        why = f"{path} is on a file system without a block device of its own"
        raise Unavailable("a slow device", why, "Choose a directory on ext4 or xfs")
    disk = device.resolve()
    return ((disk.parent if (disk / "partition").exists() else disk) / "dev").read_text().strip()
