"""Log lines that a program can read: one JSON object each, with `serve --log-format json`.

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
        return json.dumps(line, ensure_ascii=False)


def _plain(argument: object) -> object:
    return argument if isinstance(argument, (bool, int, float, str)) else str(argument)
