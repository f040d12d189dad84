from __future__ import annotations

import os

import pytest


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that open hundreds of logs and never cut the power: forcing nothing to disk."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr("zerocopy_lab.log.atomic_file._fdatasync", lambda fd: None)
