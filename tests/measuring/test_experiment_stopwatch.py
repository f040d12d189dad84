from __future__ import annotations

import mmap
import os
import subprocess
import sys

import pytest

from zerocopy_lab.instruments.host import usable_cpus
from zerocopy_lab.measuring import stopwatch as stopwatch_module
from zerocopy_lab.measuring.stopwatch import Stopwatch, pinning_unavailable

FRESH_PAGES = 500
WORK_ONCE = "import sys\nfor line in sys.stdin: print(sum(range(300_000)), flush=True)"


def test_all_processes_are_in_the_total() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORK_ONCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        stopwatch = Stopwatch()
        stopwatch.also("receiver", other.pid)
        with stopwatch:
            other.stdin.write("work\n")
            other.stdin.flush()
            other.stdout.readline()
            subprocess.run([sys.executable, "-c", ""], check=True)
        figures = stopwatch.figures
        other.kill()
    parts = [figures[name] for name in ("cpu_s", "receiver_cpu_s", "children_cpu_s")]
    assert all(part > 0 for part in parts)
    assert figures["total_cpu_s"] == pytest.approx(sum(parts))
    assert figures["wall_s"] > 0


def test_only_the_bracket_counts() -> None:
    stopwatch = Stopwatch()
    touch_fresh_pages()
    with stopwatch:
        pass
    empty = dict(stopwatch.figures)
    with stopwatch:
        touch_fresh_pages()
    assert empty["minor_faults"] < FRESH_PAGES <= stopwatch.figures["minor_faults"]


def touch_fresh_pages() -> None:
    with mmap.mmap(-1, FRESH_PAGES * mmap.PAGESIZE) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(FRESH_PAGES):
            memory[page * mmap.PAGESIZE] = 1


@pytest.mark.skipif(bool(pinning_unavailable()), reason=str(pinning_unavailable()))
def test_pinned_inside_and_free_again_outside() -> None:
    usable = set(usable_cpus())
    chosen = max(usable)
    with subprocess.Popen([sys.executable, "-c", WORK_ONCE], stdin=subprocess.PIPE) as other:
        stopwatch = Stopwatch(chosen)
        stopwatch.also("receiver", other.pid)
        with stopwatch:
            inside = os.sched_getaffinity(0), os.sched_getaffinity(other.pid)
        outside = os.sched_getaffinity(0), os.sched_getaffinity(other.pid)
        other.kill()
    assert inside == ({chosen}, usable - {chosen})
    assert outside == (usable, usable)


def test_where_nothing_can_be_pinned_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch_module, "usable_cpus", lambda: [0])
    if hasattr(os, "sched_setaffinity"):
        assert "only one processor" in str(pinning_unavailable())
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert "lets no process choose" in str(pinning_unavailable())
