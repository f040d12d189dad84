"""The preloaded library does what the plan says, to the calls it names, and to no others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ci.torture.plan import build

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import errno, json, os, sys
from pathlib import Path
from ci.torture.plan import Action, Call, Plan

directory = Path(sys.argv[1])
plan = Plan()
assert Plan.can_be_followed()
child = os.fork()
if not child:
    plan.watch(directory)
    try:
        exec(sys.argv[2])
    finally:
        os._exit(0)
_, status = os.waitpid(child, 0)
where = os.path.basename(plan.where)
print(json.dumps([os.waitstatus_to_exitcode(status), plan.seen, plan.fired, where]))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


def carried_out(library: Path, directory: Path, code: str) -> Any:
    """Exit code, calls seen, calls it was done to, the first one's file."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), code],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(("action", "left"), [("KILL_BEFORE", b"aabb"), ("KILL_AFTER", b"aabbcc")])
def test_the_third_write_is_the_last(
    library: Path, tmp_path: Path, action: str, left: bytes
) -> None:
    code = f"""
plan.arm(Call.WRITE, Action.{action}, 3)
with open(directory / "file", "wb", buffering=0) as file:
    file.write(b"aa"); os.pwrite(file.fileno(), b"bb", 2)
    os.fsync(file.fileno())
    os.pwritev(file.fileno(), [b"cc"], 4); os.pwrite(file.fileno(), b"dd", 6)
"""
    assert carried_out(library, tmp_path, code) == [-signal.SIGKILL, 3, 1, "file"]
    assert (tmp_path / "file").read_bytes() == left


def test_half_a_write_and_then_the_end(library: Path, tmp_path: Path) -> None:
    code = """
plan.arm(Call.CHANGE, Action.KILL_IN_THE_MIDDLE, 2)
with open(directory / "file", "wb", buffering=0) as file:
    file.write(b"aabb")
"""
    assert carried_out(library, tmp_path, code) == [-signal.SIGKILL, 2, 1, "file"]
    assert (tmp_path / "file").read_bytes() == b"aa"


CALLS = {
    "OPEN": 'os.open(directory / "file", os.O_RDONLY)',
    "MAKE": 'os.mkdir(directory / "new")',
    "WRITE": "os.write(fd, b'x')",
    "SYNC": "os.fdatasync(fd)",
    "TRUNCATE": "os.ftruncate(fd, 0)",
    "RENAME": 'os.replace(directory / "file", directory / "other")',
    "REMOVE": 'os.unlink(directory / "file")',
    "SENDFILE": "os.sendfile(pipe, fd, 0, 1)",
}


@pytest.mark.parametrize("call", CALLS)
def test_each_kind_of_call_fails_as_often_as_planned(
    library: Path, tmp_path: Path, call: str
) -> None:
    (tmp_path / "file").write_bytes(b"some")
    code = f"""
fd = os.open(directory / "file", os.O_RDWR)
pipe = os.pipe()[1]
plan.arm(Call.{call}, Action.FAIL, 1, times=2, error=errno.ENOSPC)
for _ in range(2):
    try:
        {CALLS[call]}
    except OSError as error:
        assert error.errno == errno.ENOSPC
        continue
    os._exit(1)
{CALLS[call]}
"""
    exit_code, seen, fired, _ = carried_out(library, tmp_path, code)
    assert (exit_code, seen, fired) == (0, 3, 2)


def test_other_files_and_a_plan_that_was_taken_back(library: Path, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    code = f"""
plan.arm(Call.MAKE, Action.FAIL, 1, times=9, error=errno.EIO, within="this")
(directory / "that").mkdir()
os.mkdir({str(outside / "this")!r})
plan.disarm()
(directory / "this").mkdir()
"""
    assert carried_out(library, inside, code) == [0, 0, 0, ""]
    assert (inside / "this").is_dir()
