"""Somebody's code, tried in a forked child: it may raise, hang, exit or die, and harms nobody.

A child shares nothing with whoever asked: what the code changes, prints or opens is gone with it,
and of the pipes and sockets that were open before, it has none (a notebook's kernel, and whoever
runs tests in several processes, speaks with the world through them).
It has a time limit (then its whole process group is killed), where wanted one on the processor's
time, which a busy machine does not shorten, and a limit on the memory that it may take beyond what
it began with. It tells its result as JSON through a pipe, with a word that was
drawn for it; a child that ends without it has not answered, so neither `sys.exit()` and
`os._exit()` nor a result that the code wrote into the pipe itself are ever a good answer.

Left out: what only a container can do. The code runs with the rights of the one who asks.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import secrets
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from zerocopy_lab.transfer.connections import is_ready

MEMORY_LIMIT_BYTES = 1 << 30
OUT_OF_TIME = "it did not come back within"
"""What is said of a child that a clock has ended: it, or a busy machine, took too long."""
_TRACE_LINES = 12
_this_is_a_child = False


class Told(NamedTuple):
    """What came of it: a value, or in `problem` why there is none, with the end of a traceback."""

    value: Any
    problem: str | None
    trace: tuple[str, ...] = ()


def in_a_child(
    work: Callable[[], Any],
    limit_s: float,
    memory_bytes: int = MEMORY_LIMIT_BYTES,
    cpu_s: int | None = None,
) -> Told:
    """`work()` in a forked child; its result must be of JSON's types. Never raises for the work."""
    read_end, write_end = os.pipe()
    password = secrets.token_hex(8)
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            _stand_alone(write_end, memory_bytes, cpu_s)
            _speak(write_end, work, password)
        finally:
            os._exit(0)  # not sys.exit: the parent's clean-up is none of the child's business
    os.close(write_end)
    words: bytes | None = None
    try:
        words = _words_before_the_end(read_end, limit_s)
    finally:
        os.close(read_end)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # and whatever it started
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it may not yet have a group of its own
        _, status = os.waitpid(child, 0)
    if words is None:
        return Told(None, f"{OUT_OF_TIME} {limit_s:g} s")
    if words.startswith(password.encode()):
        return Told(**json.loads(words[len(password) :]))
    if words:
        return Told(None, "it wrote a result of its own making")
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return Told(None, f"it had no end after {cpu_s} s of the processor's time")
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        return Told(None, f"it died of {signal.Signals(os.WTERMSIG(status)).name}")
    return Told(None, "it ended its process without an answer")


def in_words(error: BaseException) -> str:
    """`ValueError: too large`, also where asking an exception for its words raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # its __str__ is the learner's code, too
        return f"{type(error).__name__}, whose message could not be had"


def _stand_alone(write_end: int, memory_bytes: int, cpu_s: int | None) -> None:
    global _this_is_a_child
    if not _this_is_a_child:  # a child's children stay in its group, and end with it
        os.setpgid(0, 0)
    _this_is_a_child = True
    faulthandler.disable()  # a death is told in one line, by the parent
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in {0, 1, 2, *_connections()} - {write_end}:
        os.dup2(silence, descriptor)  # not closed: whatever holds its number would close another's
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    if cpu_s is not None:
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    with contextlib.suppress(OSError, ValueError):  # /proc is Linux's, and a limit may be lower
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _connections() -> list[int]:
    """The descriptors of pipes and sockets that are open."""
    found = []
    for descriptor in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):  # that of the listing itself is gone
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                found.append(descriptor)
    return found


def _speak(write_end: int, work: Callable[[], Any], password: str) -> None:
    try:
        told = json.dumps({"value": work(), "problem": None})
    except BaseException as error:  # whatever it raises is a finding, KeyboardInterrupt included
        told = json.dumps({"value": None, "problem": in_words(error), "trace": _trace_of(error)})
    with open(write_end, "wb") as out:
        out.write((password + told).encode())


def _trace_of(error: BaseException) -> list[str]:
    """Where it happened, without the exception's own words (they may raise), and without the rooms
    of this house: whoever wrote the code knows his own.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [each for each in frames if not each.filename.startswith(str(Path(__file__).parent))]
    return "".join(traceback.format_list(theirs)).splitlines()[-_TRACE_LINES:]


def _words_before_the_end(read_end: int, limit_s: float) -> bytes | None:
    """All that the child writes until it ends; None when it takes too long."""
    words, give_up = b"", time.monotonic() + limit_s
    while is_ready(max(give_up - time.monotonic(), 0), read=[read_end]):
        more = os.read(read_end, 65_536)
        if not more:
            return words
        words += more
    return None
