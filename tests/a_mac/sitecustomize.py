"""Python as a Mac has it, as far as Linux can pretend: for a process with this directory in its
PYTHONPATH, and for all that it starts.

Python imports this by itself before anything else, so what a module looks for while it is imported
is gone, too. `sys.platform` is darwin; what only Linux's Python has is missing; nothing is found in
/proc and /sys. Only psutil may go on reading there: on a Mac it has other ways.

Left out: what the two kernels do differently behind the same names (their sendfile, their sockets).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import resource
import select
import signal
import socket
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import psutil

LINUX_ONLY = {
    os: r"posix_fadvise|POSIX_FADV_.*|posix_fallocate|sched_(?!yield|get_priority).*|SCHED_BATCH"
    r"|splice|SPLICE_.*|memfd_create|MFD_.*|eventfd.*|EFD_.*|timerfd.*|TFD_.*|pipe2|fdatasync"
    r"|copy_file_range|getrandom|GRND_.*|RWF_.*|pidfd_open|P_PIDFD|PIDFD_.*|unshare|setns|CLONE_.*"
    r"|O_(DIRECT|PATH|TMPFILE|NOATIME|RSYNC|LARGEFILE)|[gs]etres[ug]id|(get|set|list|remove)xattr",
    select: r"epoll|EPOLL.*",
    socket: r"TCP_(CONGESTION|CORK|QUICKACK|INFO|USER_TIMEOUT|DEFER_ACCEPT)|MSG_(MORE|ERRQUEUE)"
    r"|SOCK_(CLOEXEC|NONBLOCK)|SO_(PEERCRED|BINDTODEVICE|MARK|INCOMING_CPU)|AF_(NETLINK|PACKET|ALG)",
    resource: r"RUSAGE_THREAD|prlimit|RLIMIT_(SIGPENDING|MSGQUEUE|NICE|RTPRIO|RTTIME|OFILE)",
    mmap: r"MAP_(POPULATE|DENYWRITE|EXECUTABLE)|MADV_(HUGEPAGE|DONTFORK|REMOVE|POPULATE_.*)",
    signal: r"SIGRT(MIN|MAX)|SIGPWR|SIGSTKFLT|SIGPOLL|sigtimedwait|sigwaitinfo|pidfd_send_signal",
    fcntl: r"F_[GS]ETPIPE_SZ|F_(ADD|GET)_SEALS|F_SEAL_.*|F_NOTIFY|DN_.*",
    time: r"CLOCK_(BOOTTIME|TAI)|pthread_getcpuclockid",
}
_PSUTIL = str(Path(psutil.__file__).parent)
_real_stat = os.stat


def nothing_in_proc(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: nothing is found in /proc and /sys."""
    if event not in ("open", "os.listdir", "os.scandir") or _asked_by_psutil():
        return
    path = os.fspath(arguments[0]) if isinstance(arguments[0], str | os.PathLike) else ""
    if re.match(r"/(proc|sys)(/|$)", str(path)):
        raise FileNotFoundError(2, "No such file or directory", path)


def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
    """os.stat, which no audit hook sees."""
    nothing_in_proc("open", (path,))
    return _real_stat(path, *arguments, **options)


def _asked_by_psutil() -> bool:
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if frame.f_code.co_filename.startswith(_PSUTIL):
            return True
        frame = frame.f_back
    return False


sysconfig.get_config_vars()  # how this Python was built is in a file that names its platform
for module, names in LINUX_ONLY.items():
    for name in [each for each in dir(module) if re.fullmatch(names, each)]:
        delattr(module, name)
sys.platform = "darwin"
os.stat = stat
sys.addaudithook(nothing_in_proc)
