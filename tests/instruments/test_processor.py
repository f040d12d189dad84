from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.instruments.conftest import needs_linux
from zerocopy_lab.instruments.processor import ProcessorUse, cpu_seconds, processor_use

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


@pytest.fixture
def echo() -> Iterator[subprocess.Popen[str]]:
    """A process that works only when asked to."""
    with subprocess.Popen(
        [sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def _ask(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("once\n")
    process.stdin.flush()
    assert process.stdout.readline() == "once\n"


def test_work_costs_cpu_time_and_the_clock_never_runs_back() -> None:
    before = cpu_seconds()
    readings = [before]
    while readings[-1] - before < 0.05:  # ends when the process has worked, however long it takes
        readings.append(cpu_seconds())
    assert readings == sorted(readings)


def test_another_process_is_metered_by_its_pid(echo: subprocess.Popen[str]) -> None:
    _ask(echo)
    before = processor_use(echo.pid)
    for _ in range(50):
        _ask(echo)
    used = processor_use(echo.pid).since(before)
    assert used.cpu_s > 0
    assert used.voluntary_switches is not None
    assert used.voluntary_switches >= 50 - 5  # it waited for nearly every line
    assert used.user_s >= 0
    assert used.system_s >= 0


def test_touching_fresh_pages_faults() -> None:
    pages = 200
    with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
        if hasattr(memory, "madvise") and hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        before = processor_use()
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
        used = processor_use().since(before)
    assert used.minor_faults is None or used.minor_faults >= pages


@needs_linux
def test_switches_of_all_threads_count(echo: subprocess.Popen[str]) -> None:
    listed = len(os.listdir(f"/proc/{echo.pid}/task"))
    assert listed == 1
    assert processor_use(echo.pid).voluntary_switches is not None


def test_a_process_that_ended_is_an_error_and_not_zero() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ProcessLookupError, match=str(process.pid)):
        processor_use(process.pid)
    with pytest.raises(ProcessLookupError, match=str(process.pid)):
        cpu_seconds(process.pid)


def test_what_is_not_known_stays_unknown() -> None:
    known = ProcessorUse(2.0, 1.0, 1.0, 7, 3, 5, 1)
    unknown = ProcessorUse(1.0, 0.5, 0.5, 5, None, None, None)
    assert known.since(unknown) == ProcessorUse(1.0, 0.5, 0.5, 2, None, None, None)


def test_without_proc_psutil_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    used = processor_use()
    assert used.cpu_s == used.user_s + used.system_s > 0
    assert used.involuntary_switches is None
    assert used.major_faults is None
