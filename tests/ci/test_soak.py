"""The soak's judge, and a short soak."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ci.soak.__main__ import BOUNDS, Point, grown

ROOT = Path(__file__).resolve().parents[2]
FIRST = Point(descriptors=20, deleted_files_open=3, threads=4, resident_mib=30, data_mib=5)


def test_what_stays_within_its_bounds_is_fine() -> None:
    most = Point._make(figure + bound for figure, bound in zip(FIRST, BOUNDS, strict=True))
    assert grown([FIRST, FIRST, most._replace(deleted_files_open=4), FIRST]) == []


@pytest.mark.parametrize("name", Point._fields)
def test_each_figure_that_grows_is_named(name: str) -> None:
    bound = getattr(BOUNDS, name)
    later = FIRST._replace(**{name: getattr(FIRST, name) + bound + 1})
    (line,) = grown([FIRST, later, FIRST])
    assert line.startswith(f"{name}: from ")


@pytest.mark.slow
def test_a_short_soak() -> None:
    """The half hour is `python -m ci.soak`."""
    command = [sys.executable, "-m", "ci.soak", "--minutes", "0.1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "join_and_leave" in done.stdout
