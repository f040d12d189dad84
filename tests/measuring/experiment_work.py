"""What contestants in the tests of experiments do; here, so that their processes can import it."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
from pathlib import Path

from zerocopy_lab.measuring.stopwatch import Stopwatch


def note_down(stopwatch: Stopwatch, name: str, journal: str) -> dict[str, float]:
    """Appends `name pid` to a file, so that a test sees who ran when, and where."""
    with stopwatch, open(journal, "a") as file:
        file.write(f"{name} {os.getpid()}\n")
    return {"pid": os.getpid(), "noted_bytes": len(name)}


def chatter(stopwatch: Stopwatch) -> None:
    """Prints, as a student's function may."""
    with stopwatch:
        print("this is not a figure", flush=True)
        os.write(1, b"nor is this\n")


def fail(stopwatch: Stopwatch) -> None:
    raise ValueError(f"the disk is made of cheese, {stopwatch.figures}")


def end_at_once(stopwatch: Stopwatch) -> None:
    os._exit(3)


def hang(stopwatch: Stopwatch) -> None:
    with stopwatch:
        while True:
            time.sleep(3600)


def measure_nothing(_stopwatch: Stopwatch) -> None:
    """Forgets the bracket."""


def claim_to_be_the_clock(stopwatch: Stopwatch) -> dict[str, float]:
    with stopwatch:
        pass
    return {"wall_s": 0.0}


def leave_someone_behind(stopwatch: Stopwatch, pid_file: str) -> None:
    """Starts a process and forgets it."""
    with stopwatch:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        Path(pid_file).write_text(str(child.pid))


def prepare(name: str, journal: str) -> None:
    """Notes down that it was called, before all runs."""
    with open(journal, "a") as file:
        file.write(f"prepare-{name} {os.getpid()}\n")


def leave_in_order(stopwatch: Stopwatch, journal: str) -> None:
    """Notes down, when its process ends, that it could tidy up."""
    with stopwatch:
        atexit.register(Path(journal).write_text, "tidied up")
