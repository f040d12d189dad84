from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zerocopy_lab.classroom import lab as lab_module
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry

COPYING_SENDFILE = '''\
"""Python imports this module by itself at its start: in every broker, sendfile copies."""

import os
import sys


def read_and_write(out_fd, in_fd, position, count):
    return os.write(out_fd, os.pread(in_fd, min(count, 65536), position))


if "serve" in sys.orig_argv:
    os.sendfile = read_and_write
'''


COPYING_LATER = '''\
"""The same, but the first 64 KiB of an answer go without a copy."""

import os
import sys

sendfile, begun = os.sendfile, set()


def read_and_write_later(out_fd, in_fd, position, count):
    if out_fd in begun:
        return os.write(out_fd, os.pread(in_fd, min(count, 65536), position))
    begun.add(out_fd)
    return sendfile(out_fd, in_fd, position, min(count, 65536))


if "serve" in sys.orig_argv:
    os.sendfile = read_and_write_later
'''


@pytest.fixture
def lab_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lab]:
    """Makes the lab with an id the running one, in fast mode, for this test only."""

    def started(lab_id: str, seed: int = 1) -> Lab:
        out_dir = tmp_path / lab_id
        out_dir.mkdir(exist_ok=True)
        running = Lab(lab_entry(lab_id), True, seed, out_dir, True)
        monkeypatch.setattr(lab_module, "_running", running)
        return running

    return started


@pytest.fixture
def brokers_that_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: whatever transfer a broker is told to use, sendfile(2) is a read and a write."""
    _sabotage(COPYING_SENDFILE, tmp_path, monkeypatch)


@pytest.fixture
def brokers_that_copy_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: sendfile(2) for the beginning of an answer, a read and a write for the rest."""
    _sabotage(COPYING_LATER, tmp_path, monkeypatch)


def _sabotage(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "sabotage"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(directory))
