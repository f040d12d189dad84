from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Iterator

import pytest

from zerocopy_lab.instruments.processor import ProcessorUse, cpu_seconds, processor_use

SLEEPS = 50
SLEEPER = f"""
import queue, sys, threading, time
lines = queue.Queue()
def sleep_for_each_line():
    while line := lines.get():
        for _ in range({SLEEPS}):
            time.sleep(1e-6)
        print(line, end='', flush=True)
threading.Thread(target=sleep_for_each_line, daemon=True).start()
for line in sys.stdin:
    lines.put(line)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    """A process whose second thread gives the processor away so many times when asked to."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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


def test_another_process_is_metered_by_its_pid(sleeper: subprocess.Popen[str]) -> None:
    before = processor_use(sleeper.pid)
    _ask(sleeper)
    used = processor_use(sleeper.pid).since(before)
    assert used.cpu_s > 0
    assert used.user_s >= 0
    assert used.system_s >= 0


def test_switches_of_all_threads_count(sleeper: subprocess.Popen[str]) -> None:
    _ask(sleeper)
    before = processor_use(sleeper.pid)
    _ask(sleeper)
    used = processor_use(sleeper.pid).since(before)
    assert used.voluntary_switches is not None
    assert used.voluntary_switches >= SLEEPS, "the first thread alone makes a few"


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
