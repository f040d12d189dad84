"""Running a program that nobody trusts: between walls, for so long, with so much, and no longer.

    ran = run_confined(["-m", "some.module"], given, Allowance(seconds=30), hidden=[solutions])

`walls` shuts it in; this side gives it its input, takes what it says on standard output, and ends
it with everything that it started when it takes too long, takes too much memory or says too much.
When this process dies, however it dies, the program dies too.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psutil

from zerocopy_lab.checkout import DATA_DIR, LABS_DIR
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.running_broker import importable_here

_LOOK_EVERY_S = 0.1
_MOST_SAID_BYTES = 64 << 20
_REMEDY = (
    "Allow user namespaces (sysctl kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns), or run in a virtual machine of its own with "
    "--no-walls"
)


class Allowance(NamedTuple):
    """What a program may take, it and all it starts together; its files lie in memory, too."""

    seconds: float = 60
    memory_bytes: int = 3 << 30
    disk_bytes: int = 1 << 30
    processes: int = 256
    address_space_bytes: int = 16 << 30


class Ran(NamedTuple):
    """What it said, and in `problem` why it did not come to its own end; None: it did."""

    said: bytes
    problem: str | None


def run_confined(
    words: Sequence[str],
    given: bytes,
    limits: Allowance,
    hidden: Sequence[Path] = (),
    *,
    walls: bool = True,
) -> Ran:
    """What Python says when it is called with these words and reads `given`.

    `hidden` are directories that it finds empty. Without `walls` only time and memory are held.
    Raises Unavailable where there can be no walls.
    """
    if walls:
        require_walls()
    return _run(_command(words, limits, hidden) if walls else _python(words), given, limits)


@cache
def require_walls() -> None:
    """Tries them once. Raises Unavailable with what the kernel said."""
    if sys.platform != "linux":
        raise Unavailable("confinement", f"{sys.platform} has no namespaces", "Run it on Linux")
    tried = _run(_command(["-c", "print('in')"], Allowance(), ()), b"", Allowance())
    if tried.said.strip() != b"in":
        raise Unavailable("confinement", tried.problem or "it said nothing", _REMEDY)


def _python(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", *words]


def _command(words: Sequence[str], limits: Allowance, hidden: Sequence[Path]) -> list[str]:
    package = Path(__file__).resolve().parent.parent
    python = (Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_paths()["stdlib"]))
    # Of a checkout only what the labs need: beside it lie results of others, secrets, submissions.
    seen = {str(path.resolve()) for path in (*python, package, LABS_DIR, DATA_DIR)} | {sys.prefix}
    outermost = [path for path in seen if not any(_is_within(path, other) for other in seen)]
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        **dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME"), "/tmp"),
        **dict.fromkeys(("USER", "LOGNAME"), "student"),
    }
    wanted = {
        "program": _python(words),
        "environment": environment,
        "seen": sorted(outermost),
        "hidden": [str(path.resolve()) for path in hidden],
        **limits._asdict(),
    }
    return _python(["-m", "zerocopy_lab.running.walls", json.dumps(wanted)])


def _is_within(path: str, other: str) -> bool:
    return path != other and Path(path).is_relative_to(other)


def _run(command: Sequence[str], given: bytes, limits: Allowance) -> Ran:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=importable_here({}),
        start_new_session=True,
    )
    family = psutil.Process(process.pid)
    try:
        said, complaint, problem = _converse(process, family, given, limits)
    finally:
        for each in [*_descendants(family), family]:
            _kill(each)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if problem is None and process.returncode:
        last = complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        problem = f"it ended with {process.returncode}: {last[-1][:300]}"
    return Ran(said, problem)


def _converse(
    process: subprocess.Popen[bytes], family: psutil.Process, given: bytes, limits: Allowance
) -> tuple[bytes, bytes, str | None]:
    """What it said on both outputs until it ended or had to be stopped, and why it had to be."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    said: dict[object, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    os.set_blocking(process.stdin.fileno(), False)
    give_up = time.monotonic() + limits.seconds
    look_again = 0.0
    problem = None
    with selectors.DefaultSelector() as selector:
        for pipe in said:
            selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while problem is None and any(pipe in _registered(selector) for pipe in said):
            for key, _ in selector.select(_LOOK_EVERY_S):
                if key.fileobj is process.stdin:
                    given = _give(key.fd, given)
                    if not given:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                more = os.read(key.fd, 65_536)
                said[key.fileobj] += more
                if not more:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if now > give_up:
                problem = f"it took longer than {limits.seconds:g} s"
            elif max(map(len, said.values())) > _MOST_SAID_BYTES:
                problem = f"it said more than {_MOST_SAID_BYTES >> 20} MiB"
            elif now > look_again:
                look_again = now + _LOOK_EVERY_S
                if _memory_bytes(family) > limits.memory_bytes:
                    problem = f"it took more than {limits.memory_bytes / 2**30:g} GiB of memory"
    return bytes(said[process.stdout]), bytes(said[process.stderr]), problem


def _registered(selector: selectors.BaseSelector) -> list[object]:
    return [key.fileobj for key in selector.get_map().values()]


def _give(descriptor: int, given: bytes) -> bytes:
    """What is left to give; nothing when nobody listens any more."""
    try:
        return given[os.write(descriptor, given[:65_536]) :]
    except BrokenPipeError:
        return b""


def _descendants(family: psutil.Process) -> list[psutil.Process]:
    try:
        return list(family.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _memory_bytes(family: psutil.Process) -> int:
    """What the processes have for themselves."""
    total = 0
    for each in [family, *_descendants(family)]:
        try:
            told = each.memory_info()
        except psutil.NoSuchProcess:
            continue
        total += max(told.rss - getattr(told, "shared", 0), 0)
    return total


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return
