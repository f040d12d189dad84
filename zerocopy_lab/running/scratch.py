"""Directories for what a lab stores while it runs."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path


def scratch_directory(lab_id: str) -> Path:
    """A new, empty directory that is there until the notebook's kernel ends.

    Not until the last cell: a widget is moved after that, and reads the same files. A kernel that
    is killed leaves it behind, among the system's temporary files.
    """
    path = Path(tempfile.mkdtemp(prefix=f"zerocopy-lab-{lab_id}-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
