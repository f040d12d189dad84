"""What clients say of themselves stays within its log line."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from zerocopy_lab.commands.log_lines import JsonLines, TextLines

FORGED = "x\n2026-01-01 ERROR forged\x1b[2J\x9b31m\u2028\x7f\u202e"


def record(message: str, *arguments: object, failure: bool = False) -> logging.LogRecord:
    return logging.LogRecord(
        "zerocopy_lab.x", 30, "x.py", 1, message, arguments, sys.exc_info() if failure else None
    )


def test_a_text_line_is_one_line_without_escape_codes() -> None:
    text = TextLines().format(record("refused %s of group ümläut", FORGED))
    assert text.isprintable()
    assert r"x\n2026-01-01 ERROR forged\x1b[2J\x9b31m\u2028\x7f\u202e of group ümläut" in text
    assert "WARNING zerocopy_lab.x: refused x" in text


def test_a_traceback_is_indented_and_its_message_cannot_begin_a_line() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        text = TextLines().format(record("failed", failure=True))
    first, *more = text.split("\n")
    assert "WARNING zerocopy_lab.x: failed" in first
    assert "    Traceback (most recent call last):" in more
    for line in more:
        assert line.startswith("    ")
        assert line.isprintable()


@pytest.mark.parametrize("said", [FORGED, "\U000e0001", "plain ü"])
def test_a_json_line_is_printable_and_says_the_same(said: str) -> None:
    text = JsonLines().format(record("refused %s", said))
    assert text.isprintable()
    line = json.loads(text)
    assert line["arguments"] == [said]
    assert line["message"] == f"refused {said}"
