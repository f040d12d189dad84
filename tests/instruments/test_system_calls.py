from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from zerocopy_lab.instruments import perf_meter, strace_meter, system_calls
from zerocopy_lab.instruments.system_calls import (
    METERS,
    MeterName,
    available_meter,
    count_system_calls,
    counting_system_calls,
    why_no_meter,
)
from zerocopy_lab.instruments.unavailable import Unavailable

PREADS = """
import os, sys, threading
def preads(count):
    for _ in range(count):
        os.pread(fd, 1, 0)
with open(sys.argv[1], "rb") as file:
    fd = file.fileno()
    {wait}
    preads(700)
    thread = threading.Thread(target=preads, args=(77,))
    thread.start()
    thread.join()
    {done}
"""
SAY_AND_WAIT = "print(flush=True); input()"
AT_ONCE = [sys.executable, "-S", "-c", PREADS.format(wait="", done="")]
WHEN_TOLD = [
    sys.executable, "-S", "-c",
    PREADS.format(wait=SAY_AND_WAIT, done=SAY_AND_WAIT),
]  # fmt: skip


@pytest.fixture(params=list(METERS))
def meter(request: pytest.FixtureRequest) -> MeterName:
    name: MeterName = request.param
    if reason := why_no_meter(name):
        pytest.skip(f"{name}: {reason}")
    return name


@pytest.fixture
def preader() -> Iterator[subprocess.Popen[str]]:
    """A process that reads 777 times, in two threads, when it is told to."""
    with subprocess.Popen(
        [*WHEN_TOLD, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_command_is_counted_exactly(meter: MeterName) -> None:
    with_reads = count_system_calls([*AT_ONCE, __file__], ("pread64", "sendfile"), meter=meter)
    without = count_system_calls([sys.executable, "-S", "-c", ""], ("pread64",), meter=meter)
    assert with_reads.of("pread64") - without.of("pread64") == 777
    assert with_reads.of("sendfile") == 0
    assert with_reads.counts["other"] > 0


def test_both_meters_agree_on_every_call() -> None:
    if reasons := [reason for name in METERS if (reason := why_no_meter(name))]:
        pytest.skip("; ".join(reasons))
    names = ("read", "write", "openat", "close", "mmap", "fstat", "brk")
    perf, strace = (count_system_calls(["cat", __file__], names, meter=name) for name in METERS)
    assert perf.counts == strace.counts


def test_a_running_process_is_counted_while_the_block_lasts(
    meter: MeterName, preader: subprocess.Popen[str]
) -> None:
    assert preader.stdin is not None
    assert preader.stdout is not None
    with counting_system_calls(preader.pid, ("pread64",), meter=meter) as calls:
        preader.stdin.write("\n")
        preader.stdin.flush()
        preader.stdout.readline()
    assert calls.of("pread64") == 777
    assert calls.meter == meter
    assert preader.poll() is None, "counting must leave the process alive"


def test_a_process_that_ended_cannot_be_counted(meter: MeterName) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(Unavailable), counting_system_calls(process.pid, meter=meter):
        pytest.fail("the block must not start without a meter")


def test_a_failing_command_is_an_error_and_not_a_count(meter: MeterName) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        count_system_calls([sys.executable, "-c", "raise SystemExit(3)"], meter=meter)


def test_without_both_meters_there_are_two_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    available_meter.cache_clear()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match=r"no perf on PATH.*no strace on PATH"):
        count_system_calls(["true"])


def test_a_meter_that_answers_zero_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(
        _command: list[str], _names: tuple[str, ...], **_: object
    ) -> system_calls.SystemCalls:
        return system_calls.SystemCalls("perf", {})

    monkeypatch.setattr(system_calls, "count_system_calls", silent)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "answered 0 reads" in str(why_no_meter("perf"))


def test_what_perf_writes() -> None:
    report = (
        "# started on Sun Nov 22 08:10:33 2026\n\n"
        "20,,raw_syscalls:sys_enter,4995282,100.00,,\n"
        "3,,syscalls:sys_enter_sendfile64,4995282,100.00,,\n"
        "1,,syscalls:sys_enter_exit_group,4995282,100.00,,\n"
    )
    assert perf_meter.read_report(report) == {"total": 20, "sendfile": 3, "exit_group": 1}


@pytest.mark.parametrize("count", ["<not counted>", "<not supported>", "7"])
def test_what_perf_did_not_count_throughout_is_refused(count: str) -> None:
    with pytest.raises(Unavailable, match="not counted throughout"):
        perf_meter.read_report(f"{count},,syscalls:sys_enter_read,1000,50.00,,\n")


def test_what_strace_writes() -> None:
    report = (
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        " 60.00    0.000742          23        31        13 openat\n"
        " 40.00    0.000000           0         5           read\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        "100.00    0.000742          20        36        13 total\n"
    )
    assert strace_meter.read_report(report) == {"openat": 31, "read": 5}
    assert strace_meter.read_report("") == {}
