"""Where the checkout keeps what is not code: the labs, and the data that they begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_ROOT = Path(__file__).resolve().parent.parent
LABS_DIR: Final = _ROOT / "labs"
DATA_DIR: Final = _ROOT / "data"
