"""What a table looks like; what a picture must bring is tested with the labs that show it."""

from __future__ import annotations

import re

import pytest

from zerocopy_lab.classroom import notebook_output
from zerocopy_lab.classroom.notebook_output import show_table

ROWS = [["a.log", "1,048,187", "970 KiB", "4 to 6"], ["...", "", "0 B", "5"]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The table, as it would be shown."""
    kept: dict[str, str] = {}
    monkeypatch.setattr(
        notebook_output, "show_html", lambda markup, plain: kept.update(markup=markup, plain=plain)
    )
    show_table(["file", "bytes", "size", "replicas"], ROWS)
    return kept


def test_numbers_stand_under_each_other_and_words_at_the_left(shown: dict[str, str]) -> None:
    for row in shown["markup"].split("<tr>")[1:]:
        assert re.findall("text-align:(left|right)", row) == ["left", "right", "right", "left"]


def test_a_table_can_be_read_without_html(shown: dict[str, str]) -> None:
    lines = shown["plain"].splitlines()
    assert lines[:2] == ["file | bytes | size | replicas", "a.log | 1,048,187 | 970 KiB | 4 to 6"]
