"""Interrupts of the disk that holds a file: a device that has moved bytes by itself says so.

A disk with DMA is told where in memory the bytes shall go, and interrupts a processor when they are
there; in between the processor is free. `/proc/interrupts` has a line for each interrupt, with a
count for each processor and the name that the device's driver gave it:

    36:          0     699122   PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0

Which line belongs to a disk is found from the device's place in /sys (`virtio1`, `nvme0`, ...).
One interrupt may report several requests at once, and everybody's requests are in the count: it
is a lower bound of nothing and shows only whether the device was at work, and how much more than
otherwise. See proc(5).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from zerocopy_lab.instruments.unavailable import Unavailable

_INTERRUPTS = Path("/proc/interrupts")
_DEVICES = Path("/sys/dev/block")
_DISK: Final = re.compile(r"(virtio|nvme|ata|mmc|vd|sd|xvd)\w*")
_REMEDY: Final = "Choose a directory on a disk that the kernel lists there"


def disk_interrupts(path: Path) -> int:
    """Interrupts of the disk below `path` since the machine started, on all processors.

    Raises Unavailable where the kernel does not tell (macOS, some containers and drivers).
    """
    names = _names_of_the_disk(path)
    try:
        lines = _INTERRUPTS.read_text().splitlines()
    except OSError as error:
        raise Unavailable("disk interrupts", str(error), "Run this part on Linux") from None
    counts = [_count(line) for line in lines[1:] if _is_named(line, names)]
    if not counts:
        why = f"no line of {_INTERRUPTS} names {' or '.join(sorted(names))}"
        raise Unavailable("disk interrupts", why, _REMEDY)
    return sum(counts)


def _names_of_the_disk(path: Path) -> set[str]:
    """How drivers call it: the disk's own name, and those of the devices that it hangs on."""
    number = os.stat(path).st_dev
    device = _DEVICES / f"{os.major(number)}:{os.minor(number)}"
    if not device.exists():
        why = f"{path} is on a file system without a block device of its own"
        raise Unavailable("disk interrupts", why, _REMEDY)
    place = device.resolve()
    on_the_way = place.parts[place.parts.index("devices") + 1 :]
    return {part for part in on_the_way if _DISK.fullmatch(part)}


def _is_named(line: str, names: set[str]) -> bool:
    """`virtio1-req.0` is virtio1's; `virtio1-config` reports no request."""
    name = line.split()[-1] if line.split() else ""
    return re.split(r"[-q.:]", name)[0] in names and not name.endswith("-config")


def _count(line: str) -> int:
    """The sum over the processors: the numbers between the colon and the first word."""
    total = 0
    for word in line.partition(":")[2].split():
        if not word.isdigit():
            break
        total += int(word)
    return total
