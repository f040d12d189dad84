"""What a lab stored is there as long as its process, and no longer."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

from zerocopy_lab.running.running_broker import importable_here
from zerocopy_lab.running.scratch import ScratchDirectory, scratch_directory


def paths_printed_by(program: str) -> list[Path]:
    """What a Python of its own prints, which has ended then."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=importable_here({}),
    )
    return [Path(word) for word in done.stdout.split()]


PROGRAM = """
from zerocopy_lab.running.scratch import scratch_directory
path = scratch_directory("77")
(path / "file").write_text("stored")
assert (path / "file").read_text() == "stored"
print(path)
"""


def test_a_scratch_directory_goes_with_its_process() -> None:
    [path] = paths_printed_by(PROGRAM)
    assert path.name.startswith("zerocopy-lab-77-")
    assert not path.exists()


KILLED_PROGRAM = (
    PROGRAM
    + """
import os, signal
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_the_next_process_removes_what_a_killed_one_left() -> None:
    killed = subprocess.run(
        [sys.executable, "-c", "import sys" + KILLED_PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=importable_here({}),
    )
    assert killed.returncode == -signal.SIGKILL
    left, alive = Path(killed.stdout.strip()), scratch_directory("77")
    try:
        assert (left / "file").exists()
        paths_printed_by(PROGRAM)
        assert not left.exists()
        assert alive.exists()
    finally:
        shutil.rmtree(left, ignore_errors=True)


def test_it_goes_with_its_block_with_its_object_or_when_told() -> None:
    with ScratchDirectory("78") as scratch:
        kept = ScratchDirectory("78")
        assert scratch.path.parent == kept.path.parent
    assert not scratch.path.exists()
    held, path = kept, kept.path
    del kept
    assert path.exists()
    del held
    assert not path.exists()
    told = ScratchDirectory("78")
    told.remove()
    told.remove()
    assert not told.path.exists()


BROKER_PROGRAM = """
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import scratch_directory
from zerocopy_lab.running.topic_admin import create_topic
path = scratch_directory("77")
broker = RunningBroker(path).start()
create_topic(broker.bootstrap, "kept")
print(path, broker.log_path)
"""


def test_a_broker_that_nobody_closed_ends_before_its_files_go() -> None:
    data_dir, log_path = paths_printed_by(BROKER_PROGRAM)
    assert not data_dir.exists()
    assert not log_path.parent.exists()
