"""The processes that tests have started and not ended."""

from __future__ import annotations

import psutil


def children() -> list[psutil.Process]:
    """Those of this process and theirs, save what has ended and multiprocessing's own bookkeeper,
    which lives as long as the interpreter.
    """
    return [child for child in psutil.Process().children(recursive=True) if _counts(child)]


def _counts(child: psutil.Process) -> bool:
    try:
        ended = child.status() == psutil.STATUS_ZOMBIE
        return not ended and "resource_tracker" not in " ".join(child.cmdline())
    except psutil.NoSuchProcess:
        return False
