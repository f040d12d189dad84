"""What all tests share: no skip goes unnoticed where everything should run; nothing stays running.

With ZEROCOPY_LAB_NO_SKIP=1 in the environment (continuous integration sets it) a skipped test
fails and says why it was skipped. What no package can install, because only another kernel could
do it, is listed below by name; such skips stay skips and are counted at the end.
"""

from __future__ import annotations

import gc
import os
import re
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest

from tests.children import children

NO_SKIP = os.environ.get("ZEROCOPY_LAB_NO_SKIP") == "1"

# What a kernel may lack: a name, and how the reason of such a skip reads.
KERNEL_LACKS = {
    "kernel TLS": re.compile(r"kernel TLS|kTLS|module tls", re.IGNORECASE),
    "FUSE": re.compile(r"/dev/fuse"),
}


def excuse(reason: str) -> str | None:
    """The name of what the kernel lacks, when that is why a test was skipped."""
    return next((name for name, reads in KERNEL_LACKS.items() if reads.search(reason)), None)


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped; pytest keeps it as (path, line, reason)."""
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Makes a skip a failure, where nothing may be skipped. An expected failure is no skip."""
    if not (NO_SKIP and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = reason_of(report)
    if excuse(reason) is None:
        report.outcome = "failed"
        report.longrepr = f"skipped, and ZEROCOPY_LAB_NO_SKIP=1 forbids that: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The skip of a test."""
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The skip of a whole module."""
    report = yield
    refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says by name what this kernel could not do."""
    reasons = map(reason_of, terminalreporter.stats.get("skipped", []))
    lacks = Counter(name for name in map(excuse, reasons) if name is not None)
    for name, count in lacks.items():
        terminalreporter.write_line(f"not testable on this kernel: {name} ({count} tests)")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is let go of has gone by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory into which other users may look. Those above pytest's own ones are closed again
    whenever another pytest begins.
    """
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session", autouse=True)
def _nothing_stays_running() -> Iterator[None]:
    """Fails the last test when a process that some test started is still there."""
    yield
    _, still_there = psutil.wait_procs(children(), timeout=5)  # one may just be ending
    assert not still_there, f"tests left processes running: {still_there}"
