"""The words of the labs: each heading links to them, and those that labs lean on are there."""

from __future__ import annotations

import pytest

from zerocopy_lab.checkout import LABS_DIR
from zerocopy_lab.classroom.evidence import Evidence
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.classroom.navigation import heading

GLOSSARY = LABS_DIR.parent / "docs" / "glossary.md"


def test_every_heading_links_to_it() -> None:
    assert GLOSSARY.is_file()
    assert all("(../docs/glossary.md)" in heading(entry) for entry in labs().values())


@pytest.mark.parametrize(
    "word", [*Evidence, "RECORDED", "Page cache", "Segment", "Offset", "Zero copy", "Part"]
)
def test_it_has_the_words(word: str) -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    assert any(word in line and line.startswith("- **") for line in text.splitlines())
