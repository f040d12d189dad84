from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zerocopy_lab.classroom import lab as lab_module
from zerocopy_lab.classroom import manifest
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import LabEntry

LabMaker = Callable[..., Lab]


def entry_of_a_test(**changes: object) -> LabEntry:
    """A lab that is on nobody's list."""
    entry = LabEntry(
        id="77",
        name="77_of_a_test",
        title="Of a test",
        asks="Does it hold?",
        minutes=1,
        prerequisites=(),
        platforms=(sys.platform,),
        timeout_s=60,
        claims=("Z2",),
        exercises=(),
        pictures=("shown",),
    )
    return entry._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabMaker:
    """Makes a lab the running one, for this test only; keyword arguments change its entry."""

    def started(*, headless: bool = True, **changes: object) -> Lab:
        out_dir = tmp_path / "of-the-lab"
        out_dir.mkdir(exist_ok=True)
        running = Lab(entry_of_a_test(**changes), True, 1, out_dir, headless)
        monkeypatch.setattr(lab_module, "_running", running)
        return running

    return started


@pytest.fixture
def labs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory in place of `labs/`."""
    monkeypatch.setattr(manifest, "LABS_DIR", tmp_path)
    return tmp_path
