"""The console's table: one look at a broker as HTML, and as plain text.

It is made to fit beside JupyterLab's file browser in a window of 1280 px: all columns but the first
have a fixed width, so that nothing moves when figures do, and a narrower window scrolls sideways.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from zerocopy_lab.pictures.theme import DIRTY, RESIDENT
from zerocopy_lab.plain_words import byte_count, duration
from zerocopy_lab.running.broker_view import OnDisk, PartitionRow, View

_COLUMNS = (
    ("partition", "", "the name of its directory"),
    ("log start<br>offset", "5.8em", "the first offset that can be read"),
    ("log end<br>offset", "6.8em", "the offset that the next message gets"),
    ("messages<br>/ s", "6.2em", "since the look before"),
    ("segments", "5.5em", ".log files"),
    ("size", "5em", "of all .log files"),
    ("in memory", "7.6em", "the part of the log that is in the page cache"),
    ("dirty", "5em", "in memory and not yet on the disk"),
    ("retention<br>.ms", "5.8em", "segments go when their youngest message is older"),
    ("retention<br>.bytes", "5.4em", "the oldest segments go when the log is larger"),
    ("segment<br>.bytes", "4.8em", "a segment is closed when it is as large"),
)
"""Heading, width ("": what is left), what it means."""

_FONT = "font-size:12px;line-height:1.35;font-variant-numeric:tabular-nums"
_TABLE = f"border-collapse:collapse;table-layout:fixed;width:100%;min-width:66em;margin:0;{_FONT}"
_QUIET = "opacity:.8"  # of the page's own colour, light or dark
_LINE = "1px solid rgba(128,128,128,.8)"
_HEAD = f"{_QUIET};font-weight:normal;vertical-align:bottom;border-bottom:{_LINE}"
_LEFT = "text-align:left;padding:.25em 0;overflow:hidden;text-overflow:ellipsis"
_RIGHT = "text-align:right;padding:.25em 0 .25em .5em;box-sizing:border-box"


def markup(view: View, before: View | None = None) -> str:
    """The view as an HTML table, with rates if there was an earlier look."""
    rows = "".join(_row(view, row, before) for row in view.partitions)
    empty = f"<tr><td style='{_LEFT}' colspan='{len(_COLUMNS)}'>no topics yet</td></tr>"
    return (
        f"<div style='padding:.5em .8em;overflow-x:auto;{_FONT}'>"
        f"<table style='{_TABLE}'><thead><tr>{_headings()}</tr></thead>"
        f"<tbody>{rows or empty}</tbody></table>"
        f"<div style='{_QUIET};margin-top:.5em'>{_broker_line(view, before)}</div>"
        f"<div style='{_QUIET}'>{_KEY}</div></div>"
    )


def _headings() -> str:
    return "".join(
        f"<th title='{meaning}' style='{_HEAD};white-space:normal;"
        f"{_RIGHT if number else _LEFT}{width and f';width:{width}'}'>{heading}</th>"
        for number, (heading, width, meaning) in enumerate(_COLUMNS)
    )


def _row(view: View, row: PartitionRow, before: View | None) -> str:
    name = html.escape(row.name)
    cells = [
        f"{row.first_offset:,}",
        f"{row.end_offset:,}",
        _rate(view, row, before),
        str(row.files.segments),
        byte_count(row.files.log_bytes),
        _share_bar(row.files),
        "?" if row.files.dirty_bytes is None else byte_count(row.files.dirty_bytes),
        *_limits(view.settings.get(row.topic, {})),
    ]
    shown = "".join(f"<td style='{_RIGHT};white-space:nowrap'>{cell}</td>" for cell in cells)
    return f"<tr><td style='{_LEFT};white-space:nowrap' title='{name}'>{name}</td>{shown}</tr>"


def _rate(view: View, row: PartitionRow, before: View | None) -> str:
    """Messages a second between two looks; a dash when there was but one."""
    if before is None:
        return "–"
    ends = {(each.topic, each.partition): each.end_offset for each in before.partitions}
    messages = row.end_offset - ends.get((row.topic, row.partition), 0)
    return f"{messages / (view.at_s - before.at_s):,.0f}"


def _share_bar(files: OnDisk) -> str:
    """The share of a partition that is in memory, as a bar and in figures."""
    if files.resident_bytes is None:
        return "?"
    if not files.log_bytes:
        return "–"
    share = files.resident_bytes / files.log_bytes
    dirty = min((files.dirty_bytes or 0) / files.log_bytes, share)
    return (
        f"<span style='display:inline-block;width:3.4em;height:.7em;"
        f"border:{_LINE};background:{_ON_DISK_HUE}'>"
        f"{_stretch(DIRTY, dirty)}{_stretch(RESIDENT, share - dirty)}</span>"
        f"<span style='display:inline-block;width:3.2em'>{share:.0%}</span>"
    )


def _stretch(hue: str, share: float) -> str:
    return f"<span style='float:left;height:100%;background:{hue};width:{share:.1%}'></span>"


_ON_DISK_HUE = "#e0e0e0"
_KEY = " ".join(
    f"<span style='display:inline-block;width:.7em;height:.7em;background:{hue};"
    f"border:{_LINE};margin:0 .3em 0 {left}'></span>{meaning}"
    for hue, meaning, left in (
        (RESIDENT, "in memory", "0"),
        (DIRTY, "in memory, dirty", ".8em"),
        (_ON_DISK_HUE, "on the disk only", ".8em"),
    )
)


def _limits(settings: Mapping[str, str]) -> tuple[str, str, str]:
    """retention.ms, retention.bytes and segment.bytes in words."""
    kept_ms, kept_bytes = (int(settings.get(f"retention.{name}", "-1")) for name in ("ms", "bytes"))
    segment_bytes = settings.get("segment.bytes")
    closes_at = byte_count(int(segment_bytes)) if segment_bytes else "?"
    if "delete" not in settings.get("cleanup.policy", "delete"):
        return "compacted", "–", closes_at
    return (
        "no limit" if kept_ms < 0 else duration(kept_ms),
        "no limit" if kept_bytes < 0 else byte_count(kept_bytes),
        closes_at,
    )


def _broker_line(view: View, before: View | None) -> str:
    files = [row.files for row in view.partitions]
    told = [
        _counted(len(files), "partition"),
        _counted(sum(each.segments for each in files), "segment"),
        byte_count(sum(each.log_bytes for each in files)),
    ]
    if before is not None:
        seconds = view.at_s - before.at_s
        share = (view.broker_cpu_s - before.broker_cpu_s) / seconds
        told.append(f"broker CPU {share:.0%} of one core, in the last {seconds:.1f} s")
    return " · ".join(told)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def in_words(view: View) -> str:
    """The view as plain text, one line a partition."""
    return "\n".join(map(_row_in_words, view.partitions)) or "no topics yet"


def _row_in_words(row: PartitionRow) -> str:
    resident = "?" if row.files.resident_bytes is None else byte_count(row.files.resident_bytes)
    return (
        f"{row.name}: offsets {row.first_offset:,} to {row.end_offset:,}, "
        f"{_counted(row.files.segments, 'segment')}, {byte_count(row.files.log_bytes)}, "
        f"{resident} in memory"
    )
