"""The machine that a conclusion was reached on, in words a reader can compare with their own.

What `instruments.host` finds, plus the file system and the rights of this run. Nothing here names
a person or a place: no host name, no user, no path.
"""

from __future__ import annotations

import os
from pathlib import Path

from zerocopy_lab.instruments.host import congestion_control, describe_host, file_system_of


def host_facts(results_directory: Path) -> dict[str, str]:
    """Name -> value. `results_directory` tells which file system is meant."""
    host = describe_host()
    file_system = file_system_of(results_directory)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    facts = {
        "system": f"{host.system} {host.kernel}, {host.architecture}",
        "processor": f"{host.usable_cpu_count} × {host.cpu_model or host.architecture}",
        "memory": f"{host.memory_bytes / 2**30:.0f} GiB",
        "file system": file_system.kind if file_system else "unknown",
        "congestion control": congestion_control() or "",
        "virtual machine": host.virtual_machine,
        "container": host.container,
        "Python": host.python,
        "rights": "root" if is_root else "ordinary user",
    }
    return {name: value for name, value in facts.items() if value}
