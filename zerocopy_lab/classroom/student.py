"""Who a run belongs to, and the problems that are theirs.

A student is an id that the course gives out (a login, a number, "2027-spring-ada"): the parameter
STUDENT of a notebook, or the environment variable ZEROCOPY_LAB_STUDENT where a hub or a script sets
it for everybody. Then results go to a directory of their own, and the numbers in the exercises come
from the id: `seed_of` is the one function for that, in the notebook and in the grader.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final

STUDENT_VARIABLE: Final = "ZEROCOPY_LAB_STUDENT"
_ID = re.compile(r"\w[\w@+.-]{0,63}")


class BadStudent(ValueError):
    """The id cannot be one: it is also the name of a directory."""


def student_id(text: str) -> str:
    """The id as it is compared, stored and drawn from: without spaces around it, letters small.

    "" stays "": nobody in particular. Raises BadStudent.
    """
    cleaned = unicodedata.normalize("NFC", text).strip().casefold()
    if cleaned and not _ID.fullmatch(cleaned):
        raise BadStudent(
            f"{text!r} is no student's id: a letter or digit, then up to 63 more of these or "
            "of @ + . - _"
        )
    return cleaned


def student_of(parameters: Mapping[str, object]) -> str:
    """STUDENT of a notebook's parameters, or the environment's. Raises BadStudent."""
    given = parameters.get("STUDENT") or os.environ.get(STUDENT_VARIABLE, "")
    return student_id(str(given))


def seed_of(student: str, problem: int = 1) -> int:
    """The seed of a student's numbers, below 2^31. `problem` is the notebook's SEED: 1 as a rule;
    any other gives other numbers, that are no less theirs.

    Nobody in particular has `problem` itself for a seed. Raises BadStudent.
    """
    cleaned = student_id(student)
    if not cleaned:
        return problem
    drawn = hashlib.sha256(f"zerocopy_lab/{cleaned}/{problem}".encode()).digest()
    return int.from_bytes(drawn[:4]) >> 1


def results_of(out_dir: Path, student: str) -> Path:
    """Where a student's results go below OUT_DIR, so that nobody writes over another's."""
    return out_dir / "students" / student if student else out_dir
