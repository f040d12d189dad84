"""What a lab stored is there as long as its process, and no longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from zerocopy_lab.running.running_broker import importable_here


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
