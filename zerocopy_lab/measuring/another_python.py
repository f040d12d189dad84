"""A Python with a task, in namespaces of its own where that is asked for: what it says.

    said = ask_python(["-m", "zerocopy_lab.measuring.card_test", "sendfile"], "--net", "two hosts")

`unshare` makes the namespaces; an ordinary user is root in them, where user namespaces are allowed.
Whatever the process mounts or lays there goes with it.
"""

from __future__ import annotations

import builtins
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final, Literal

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.running_broker import importable_here

_PROGRAMS: Final = {"--net": ("unshare", "ip"), "--mount": ("unshare", "mount"), "": ()}
_PACKAGE_OF: Final = {"unshare": "util-linux", "mount": "util-linux", "ip": "iproute2"}
_TIMEOUT_S: Final = 120.0
_OF_THE_SYSTEM: Final = [
    name
    for name, each in vars(builtins).items()
    if isinstance(each, type) and issubclass(each, OSError)
]
_REFUSED: Final = re.compile(rf"({'|'.join(_OF_THE_SYSTEM)}|[\w.]+\.Unavailable):")
"""How a traceback ends where the system, and not the program, is to blame."""


def ask_python(words: Sequence[str], namespace: Literal["", "--net", "--mount"], what: str) -> str:
    """What Python says when it is called with these words. Raises Unavailable, that `what` cannot
    be had, with the last line of its complaint; RuntimeError when it was no refusal of the system
    that ended it.
    """
    if namespace and sys.platform != "linux":
        raise Unavailable(what, f"{sys.platform} has no namespaces", "Run this on Linux")
    for program in _PROGRAMS[namespace]:
        if shutil.which(program, path=programs_path()) is None:
            remedy = f"Install {_PACKAGE_OF[program]}"
            raise Unavailable(what, f"there is no {program} on the PATH", remedy)
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        [*(["unshare", *root, namespace] if namespace else []), sys.executable, "-P", *words],
        env={**importable_here({}), "PATH": programs_path()},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if "Traceback" in done.stderr and not _REFUSED.match(why):
            raise RuntimeError(f"{what} could be had, and then: {done.stderr[-2000:]}")
        raise Unavailable(what, why, "Run as root, or allow user namespaces")
    return done.stdout


def programs_path() -> str:
    """Where programs are; an ordinary user's PATH may lack the directories of root's."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
