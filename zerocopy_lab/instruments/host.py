"""Which machine is this? A figure without its host is worth nothing, so every result carries this
description.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil


@dataclass(frozen=True)
class HostDescription:
    """Plain values that may be saved and shown. None: this system does not say."""

    system: str
    kernel: str
    architecture: str
    cpu_model: str | None
    cpu_count: int
    usable_cpu_count: int
    memory_bytes: int
    virtual_machine: str | None
    container: str | None
    python: str

    def text(self) -> str:
        """One line for the foot of a picture."""
        memory = f"{self.memory_bytes / 2**30:.0f} GiB"
        virtual = f", virtual machine ({self.virtual_machine})" if self.virtual_machine else ""
        container = f", in {self.container}" if self.container else ""
        cpus = f"{self.usable_cpu_count} x {self.cpu_model or self.architecture}"
        machine = f"{self.system} {self.kernel}, {cpus}, {memory}{virtual}{container}"
        return f"{machine}, Python {self.python}"


class FileSystem(NamedTuple):
    """The file system that holds a path."""

    kind: str
    device: str
    mount_point: Path


def describe_host() -> HostDescription:
    """Describe the machine this runs on."""
    return HostDescription(
        system=platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=_cpu_model(),
        cpu_count=os.cpu_count() or 1,
        usable_cpu_count=len(usable_cpus()),
        memory_bytes=psutil.virtual_memory().total,
        virtual_machine=_virtual_machine(),
        container=_container(),
        python=platform.python_version(),
    )


def usable_cpus() -> list[int]:
    """The processors this process may run on (a container may have fewer than the machine)."""
    if sys.platform != "linux":
        return list(range(os.cpu_count() or 1))
    return sorted(os.sched_getaffinity(0))


def file_system_of(path: Path) -> FileSystem | None:
    """The file system of a path: that of the longest mount point above it, and of these the last.

    None where the system's mounts cannot be listed.
    """
    resolved = path.resolve()
    found = None
    for mount in psutil.disk_partitions(all=True):
        here = Path(mount.mountpoint)
        if resolved.is_relative_to(here) and (
            found is None or here.is_relative_to(found.mount_point)
        ):
            found = FileSystem(mount.fstype, mount.device, here)
    return found


def congestion_control() -> str | None:
    """How TCP here decides how much may be under way (`bbr`, `cubic`, ...): tcp(7),
    tcp_congestion_control, of this network namespace. None where the system does not say.
    """
    with contextlib.suppress(OSError):
        return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return None


def _cpu_model() -> str | None:
    if sys.platform != "linux":
        return platform.processor() or None
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _colon, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return None


def _virtual_machine() -> str | None:
    """The maker of the virtual hardware, where the firmware or the processor's flags tell."""
    with contextlib.suppress(OSError):
        maker = Path("/sys/class/dmi/id/sys_vendor").read_text().strip()
        if any(
            word in maker
            for word in ("QEMU", "VMware", "innotek", "Xen", "Amazon EC2", "Google", "Microsoft")
        ):
            return maker
    with contextlib.suppress(OSError):
        if " hypervisor" in Path("/proc/cpuinfo").read_text():
            return "hypervisor not named"
    return None


def _container() -> str | None:
    """`docker`, `podman`, `kubernetes`, … or None: the marks that container engines leave."""
    if Path("/run/.containerenv").exists():
        return "podman"
    if Path("/.dockerenv").exists():
        return "docker"
    return "kubernetes" if "KUBERNETES_SERVICE_HOST" in os.environ else None
