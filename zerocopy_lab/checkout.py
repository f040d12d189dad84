"""Where the files lie that are not code: the labs, the data they begin with, words about them.

In a checkout they are beside the package. In an installed package they are inside it (`setup.py`
puts them there), and `labs copy DIR` brings the notebooks to where they can be worked on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_LIST = Path("labs", "labs.toml")
_PACKAGE = Path(__file__).resolve().parent
_ROOT = _PACKAGE.parent if (_PACKAGE.parent / _LIST).is_file() else None
FILES_DIR: Final = _ROOT or _PACKAGE / "shipped"
LABS_DIR: Final = FILES_DIR / "labs"
DATA_DIR: Final = FILES_DIR / "data"
DOCS_DIR: Final = FILES_DIR / "docs"


def workplace() -> Path:
    """Where relative paths of results start: inside a checkout's or a copy's `labs/` the directory
    around it; elsewhere, for a notebook or script on its own, the working directory.
    """
    here = Path.cwd()
    inside = [place for place in (here, *here.parents) if (place / _LIST.name).is_file()]
    return inside[0].parent if inside else here
