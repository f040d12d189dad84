"""What a table looks like; what a picture must bring is tested with the labs that show it."""

from __future__ import annotations

import re

import pytest

from zerocopy_lab.classroom import notebook_output
from zerocopy_lab.classroom.notebook_output import box, show_html, show_table

ROWS = [["a.log", "1,048,187", "970 KiB", "4 to 6"], ["...", "", "0 B", "5"]]


def test_outside_a_notebook_the_words_are_printed_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    box("bad", "Exercise 1: failed", ["Not so.", "Stuck?"], carries={"application/json": {"a": 1}})
    show_html("<style>p {}</style>", plain="")
    show_table(["file", "bytes"], [["a.log", "1,048"]])
    told = capsys.readouterr().out
    assert told == "Exercise 1: failed\nNot so.\nStuck?\nfile | bytes\na.log | 1,048\n"


def test_in_a_notebook_the_whole_bundle_goes_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(notebook_output, "get_ipython", object)
    monkeypatch.setattr(notebook_output, "_display", lambda what, **how: sent.append((what, how)))
    show_html("<p>seen</p>", plain="read")
    assert sent == [({"text/html": "<p>seen</p>", "text/plain": "read"}, {"raw": True})]
    assert capsys.readouterr().out == ""


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
