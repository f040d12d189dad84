"""Under which conditions figures were taken. Without them a figure is worth nothing: one commit
showed fetches of 1 MiB at 0.84 and at 1.99 times Kafka's rate, under two congestion controls.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sysconfig
import time
import timeit
from pathlib import Path

import psutil

import zerocopy_lab
from zerocopy_lab.instruments.host import describe_host, file_system_of
from zerocopy_lab.instruments.network import congestion_controls
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.network.loopback import unpaced_control
from zerocopy_lab.running import apache_kafka

_LOOK_S = 2.0
_QUIET_PERCENT = 5


def conditions(workspace: Path) -> dict[str, str]:
    """By name, in words. Takes two seconds, to see what else this machine is doing."""
    file_system = file_system_of(workspace)
    return {
        "taken": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": describe_host().text(),
        "versions": ", ".join(_versions()),
        "congestion control": _congestion_control(),
        "file system": "unknown" if file_system is None else file_system.kind,
        "others at work before": _others_at_work(),
        "pinned": "the bare loops and what is held against them: each server to one processor, the "
        "client to another, both kept from halting; nothing else",
    }


def congestion_control() -> str:
    """The system's default."""
    return congestion_controls()[0]


def _congestion_control() -> str:
    try:
        default = congestion_control()
    except Unavailable as reason:
        return str(reason)
    here = unpaced_control()
    return default + (f"; this broker gives loopback peers {here}" if here else "")


def _others_at_work() -> str:
    percent = psutil.cpu_percent(_LOOK_S)
    word = "quiet" if percent <= _QUIET_PERCENT else "NOT QUIET"
    return f"{word}: {percent:.0f} % of the processors"


def _interpreter() -> str:
    """How fast this Python is: builds of one version differ, by profile-guided optimization above
    all, and not every build (Debian's) tells how it was made. So a little work is timed.
    """
    times, work = 20_000, "f(*(n, n), k={'n': n}); n += 1"
    made = "n = 0\ndef f(*a, k): return [each + k['n'] for each in a]"
    call_ns = min(timeit.repeat(work, made, number=times, repeat=20)) / times * 1e9
    told = str(sysconfig.get_config_var("CONFIG_ARGS"))
    built = [word for word in ("--enable-optimizations", "--with-lto") if word in told]
    return f"{call_ns:.0f} ns for a small call in Python{', built '.join(['', *built])}"


def _versions() -> list[str]:
    found = [f"zerocopy_lab {zerocopy_lab.__version__}", _interpreter()]
    found.append(f"Apache Kafka {apache_kafka.default_version()}")
    for name, words, pattern in (
        ("Java", ["java", "-version"], r'version "([^"]+)"'),
        ("kcat", ["kcat", "-V"], r"Version (\S+)"),
    ):
        if shutil.which(name.lower()) is None:
            continue
        with contextlib.suppress(OSError):
            said = subprocess.run(words, capture_output=True, text=True, check=False)
            version = re.search(pattern, said.stdout + said.stderr)
            found.append(f"{name} {version[1] if version else 'of unknown version'}")
    return found
