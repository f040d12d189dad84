"""The machine that a conclusion was reached on, in words a reader can compare with their own.

Nothing here identifies a person or a place: no host name, no user, no path.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil


def host_facts(results_directory: Path) -> dict[str, str]:
    """Name -> value, for conclusions and reports. `results_directory` tells which file system is
    meant.
    """
    return {
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "processor": f"{_processor_name()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "file system": _file_system_of(results_directory),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "rights": "root" if hasattr(os, "geteuid") and os.geteuid() == 0 else "ordinary user",
    }


def host_line(facts: dict[str, str]) -> str:
    """The facts on one line, for the foot of a picture."""
    return " · ".join([facts["system"], facts["processor"], facts["file system"], facts["Python"]])


def _processor_name() -> str:
    """What /proc/cpuinfo calls the processor; `platform` knows only its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _file_system_of(path: Path) -> str:
    """The type of the file system that holds `path`: the longest mount point above it."""
    mounts = [
        p for p in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(p.mountpoint)
    ]
    return max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else "unknown"
