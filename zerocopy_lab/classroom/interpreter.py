"""Whether the interpreter that runs a notebook is the one that has the labs' packages.

An editor opens a notebook with whatever Python it finds first, and a beginner cannot tell from
"No module named 'psutil'" that nothing is missing: another kernel is to be chosen.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

_OLDEST = (3, 11)
_IMPORTED = ("confluent_kafka", "crc32c", "cramjam", "ipywidgets", "kio", "matplotlib", "psutil")


class WrongInterpreter(ImportError):
    """The labs cannot run here; the message says which Python to choose."""


def check_interpreter() -> None:
    """Raises WrongInterpreter when this Python is too old or lacks a package of the labs."""
    running = tuple(sys.version_info[:2])
    missing = [name for name in _IMPORTED if find_spec(name) is None]
    if running < _OLDEST or missing:
        lacks = f" and lacks {', '.join(missing)}" if missing else ""
        raise WrongInterpreter(
            f"the labs cannot run in {sys.executable}, which is Python "
            f"{'.'.join(map(str, running))}{lacks}. Choose the Python in .venv of this checkout "
            "(in a notebook: as its kernel), which `python3 ci/start.py` makes"
        )
