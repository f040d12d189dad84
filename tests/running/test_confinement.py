"""Walls: whatever a program does between them, the machine outside is as it was."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.manifest import SOLUTIONS_DIR
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.confinement import Allowance, Ran, require_walls, run_confined
from zerocopy_lab.running.running_broker import importable_here

pytestmark = pytest.mark.namespaces


@pytest.fixture(autouse=True)
def _walls() -> None:
    try:
        require_walls()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody on this machine who would be glad of a call."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


TRIES = """
import json, os, socket, sys
port, canary, hidden = json.load(sys.stdin)
found = {}
def attempt(name, deed):
    try:
        found[name] = repr(deed())
    except OSError as error:
        found[name] = type(error).__name__
attempt("call the machine", lambda: socket.create_connection(("127.0.0.1", port), 3))
attempt("call somebody", lambda: socket.create_connection(("192.0.2.1", 80), 3))
def talk_to_itself():
    with socket.create_server(("127.0.0.1", 0)) as mine:
        with socket.create_connection(mine.getsockname()):
            return "heard"
attempt("talk to itself", talk_to_itself)
attempt("read what is outside", lambda: open(canary).read())
attempt("look beside the labs", lambda: open(os.path.join(hidden, "../../README.md")))
attempt("write outside", lambda: open(canary, "w"))
for place in ("/", "/dev", "/etc", os.path.dirname(hidden)):
    attempt("write into " + place, lambda: open(os.path.join(place, "left-behind"), "w"))
attempt("write into its own", lambda: open("mine", "w").write("four"))
attempt("read the solutions", lambda: os.listdir(hidden))
attempt("take a look at others", lambda: [p for p in os.listdir("/proc") if p.isdigit()])
attempt("become root", lambda: os.setuid(0) if os.getuid() else os.chroot("/tmp"))
print(json.dumps(found))
"""


def test_nothing_gets_out_and_little_is_seen(tmp_path: Path, listener: socket.socket) -> None:
    canary = tmp_path / "canary"
    canary.write_text("sings")
    given = json.dumps([listener.getsockname()[1], str(canary), str(SOLUTIONS_DIR)])
    ran = run_confined(["-c", TRIES], given.encode(), Allowance(), hidden=[SOLUTIONS_DIR])
    assert ran.problem is None
    found = json.loads(ran.said)
    assert found.pop("talk to itself") == "'heard'", "the loopback is there"
    assert found.pop("write into its own") == "4"
    assert found.pop("read the solutions") == "[]"
    assert found.pop("take a look at others") == "['1']"
    assert set(found.values()) <= {
        *("OSError", "PermissionError", "ConnectionRefusedError", "FileNotFoundError"),
    }, found
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert canary.read_text() == "sings"
    assert not (LABS_DIR / "left-behind").exists()


FORKS = """
import os, sys
children = 0
try:
    while True:
        if os.fork() == 0:
            os.setsid()
            import time; time.sleep(600)
        children += 1
except BlockingIOError:
    print(children, flush=True)
"""


def test_a_fork_bomb_ends_at_the_limit_and_nobody_of_it_stays() -> None:
    before = marked_processes("os.setsid()")
    ran = run_confined(["-c", FORKS], b"", Allowance(processes=40))
    assert ran.problem is None
    assert 10 < int(ran.said) < 40
    assert marked_processes("os.setsid()") == before


def marked_processes(mark: str) -> list[int]:
    """Processes whose command line holds this."""
    found = []
    for each in psutil.process_iter(["cmdline"]):
        if any(mark in word for word in each.info["cmdline"] or ()):
            found.append(each.pid)
    return found


@pytest.mark.parametrize(
    ("program", "limits", "problem"),
    [
        ("while True: pass", Allowance(seconds=1), "it took longer than 1 s"),
        (
            "import os\nfor _ in range(3): os.fork()\nhold = b'x' * (64 << 20)\nwhile True: pass",
            Allowance(memory_bytes=256 << 20),
            "it took more than 0.25 GiB of memory",
        ),
        ("b'x' * (8 << 30)", Allowance(address_space_bytes=1 << 30), "MemoryError"),
        ("open('x', 'wb').write(b'x' * (9 << 20))", Allowance(disk_bytes=8 << 20), "it ended"),
        ("while True: print('x' * 65536)", Allowance(), "it said more than 64 MiB"),
        ("raise SystemExit('no')", Allowance(), "it ended with 1: no"),
    ],
    ids=["time", "memory", "one-allocation", "disk", "words", "its-own-end"],
)
def test_a_limit_is_told(program: str, limits: Allowance, problem: str) -> None:
    ran = run_confined(["-c", program], b"", limits)
    assert ran.problem is not None
    assert problem in ran.problem


def test_who_does_not_listen_is_no_problem() -> None:
    assert run_confined(["-c", "print(7)"], b"x" * (1 << 20), Allowance()) == Ran(b"7\n", None)


GRADER = """
from zerocopy_lab.running.confinement import Allowance, run_confined
waits = "import time; time.sleep(600)  # outlives-nobody"
run_confined(["-c", waits], b"", Allowance())
"""


def test_when_the_grader_is_killed_the_program_dies() -> None:
    environment: dict[str, Any] = importable_here({})
    grader = subprocess.Popen([sys.executable, "-P", "-c", GRADER], env=environment)
    try:
        wait_for(lambda: len(marked_processes("outlives-nobody")) >= 3)  # it, its walls, the inside
        inside = psutil.Process(grader.pid).children(recursive=True)
        assert inside
    finally:
        os.kill(grader.pid, signal.SIGKILL)
        grader.wait()
    _, alive = psutil.wait_procs(inside, timeout=10)
    assert alive == []


def wait_for(happened: Any, timeout_s: float = 20) -> None:
    import time

    give_up = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.02)
