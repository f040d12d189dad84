"""Log lines: text for people, or one JSON object each, with `serve --log-format json`.

What a client says of itself (its name, a topic's, a group's) ends up in them. A line break in it
must not begin a line of its own, nor an escape code reach the terminal of whoever reads the log: so
what is not printable is escaped.

    {"time": "2026-01-31T12:00:00.123+00:00", "level": "warning", "logger":
    "zerocopy_lab.network.connection",
     "event": "closed the connection of %s: %s", "arguments": ["127.0.0.1:40000", "..."], "message":
     "closed the ..."}

`event` is the same for all lines of one kind, whatever their arguments: that is what to count and
to alert on.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any


class TextLines(logging.Formatter):
    """Formats a record as one line of text; the lines of a traceback follow, indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in logging
        """The line."""
        return _escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - its name in logging
        """The traceback."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {_escaped(line)}" for line in lines)


class JsonLines(logging.Formatter):
    """Formats a record as in the module's docstring; a traceback is the field `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "event": str(record.msg),
            "arguments": [_plain(argument) for argument in arguments if argument is not None],
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False)
        return text if text.isprintable() else json.dumps(line).replace("\x7f", "\\u007f")


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _plain(argument: object) -> object:
    return argument if isinstance(argument, (bool, int, float, str)) else str(argument)
