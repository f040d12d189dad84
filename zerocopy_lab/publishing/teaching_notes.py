"""What docs/teaching.md says about each lab, so that a teacher finds it in the notebook, too.

A lab's section begins with `### 05 Zero copy`. In it, a list item that begins with the number of an
exercise (`- **05.2** ...`) is about that exercise.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from zerocopy_lab.checkout import DOCS_DIR
from zerocopy_lab.classroom.manifest import LabEntry

_EXERCISE = re.compile(r"^- \*\*(\d\d\.\d+)\*\* (.*(?:\n  .*)*)\n?", re.MULTILINE)


class TeachingNotes(NamedTuple):
    """A lab's section without the items about exercises, and those by the exercise's id."""

    text: str
    exercises: dict[str, str]


def notes_on(entry: LabEntry) -> TeachingNotes:
    """The notes on a lab. Raises LookupError when the document has no section about it."""
    document = (DOCS_DIR / "teaching.md").read_text(encoding="utf-8")
    title = re.escape(f"### {entry.id} {entry.title}")
    section = re.search(rf"^{title}\n(.*?)(?=^##|\Z)", document, re.MULTILINE | re.DOTALL)
    if section is None:
        raise LookupError(f"docs/teaching.md has no section '### {entry.id} {entry.title}'")
    told = {found[1]: " ".join(found[2].split()) for found in _EXERCISE.finditer(section[1])}
    return TeachingNotes(_EXERCISE.sub("", section[1]).strip(), told)
