"""The segments of a partition under the two limits of retention: what is deletable, what stays, and
why.

Left, time: each segment as a bar from its first to its largest timestamp, and the limit that
`retention.ms` draws at "now". Right, size: the same segments as bytes counted from the newest
backwards, and the limit of `retention.bytes`. A segment goes only as a whole, so both limits are
lower bounds on what is kept, and the picture shows what is kept beyond them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from zerocopy_lab.inspect.segment_info import SegmentInfo
from zerocopy_lab.pictures.theme import (
    DIRTY,
    INK,
    PAPER,
    QUIET,
    RESIDENT,
    SENDER,
    Origin,
    Picture,
    byte_count,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    themed,
)

_UNITS: Final = (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1000))
_FAR: Final = 3  # a limit this many times beyond the data would squeeze the data into a line


@themed
def segment_map(
    segments: Sequence[SegmentInfo],
    *,
    now_ms: int,
    retention_ms: int,
    retention_bytes: int,
    origin: Origin,
    title: str = "",
) -> Picture:
    """Segments oldest first, one row each. A limit of -1 is no limit, as in Kafka, and draws no
    line.
    """
    reasons = [textwrap.fill(segment.why, 36) for segment in segments]
    most_lines = max((words.count("\n") + 1 for words in reasons), default=1)
    row_inches = max(0.3, 0.15 * most_lines + 0.04)
    picture = new_picture(1.3 + row_inches * max(len(segments), 1), title, origin.text())
    picture.alt = _in_words(segments, now_ms, retention_ms, retention_bytes, title)
    by_time, by_size = picture.subplots(1, 2, sharey=True, width_ratios=[1.3, 1])
    if not segments:
        for axes in (by_time, by_size):
            say_that_nothing_is_there(axes, "no segments")
        return picture
    _draw_times(by_time, segments, now_ms, retention_ms)
    _draw_sizes(by_size, segments, retention_bytes)
    by_time.set_yticks(range(len(segments)), [f"{segment.base_offset:,}" for segment in segments])
    by_time.set_ylim(len(segments) - 0.45, -0.55)
    by_time.set_ylabel("base offset")
    by_size.tick_params(axis="y", length=0, labelleft=False)
    for row, words in enumerate(reasons):
        by_size.text(
            1.02,
            row,
            words,
            va="center",
            fontsize=8,
            transform=by_size.get_yaxis_transform(),
        )
    legend_above(by_time, _keys(), gap=1.7)
    return picture


def _keys() -> list[Patch]:
    return [
        Patch(facecolor=PAPER, edgecolor=DIRTY, hatch="////", label="deletable"),
        Patch(facecolor=RESIDENT, label="kept"),
        Patch(facecolor=SENDER, label="active: written to"),
    ]


def _looks(segment: SegmentInfo) -> dict[str, Any]:
    if segment.deletable:
        return {"facecolor": PAPER, "edgecolor": DIRTY, "hatch": "////"}
    hue = SENDER if segment.active else RESIDENT
    return {"facecolor": hue, "edgecolor": QUIET}


def _draw_times(
    axes: Axes, segments: Sequence[SegmentInfo], now_ms: int, retention_ms: int
) -> None:
    """Bars by age: now is at the right, as on a timeline."""
    oldest_ms = max(1, *(now_ms - segment.first_ms for segment in segments), 1)
    unit, unit_ms = _unit_for(max(oldest_ms, min(retention_ms, _FAR * oldest_ms)))
    for row, segment in enumerate(segments):
        start, end = ((now_ms - at) / unit_ms for at in (segment.first_ms, segment.largest_ms))
        axes.barh(row, end - start, 0.6, left=start, lw=1, **_looks(segment))
    youngest = min(0, *(now_ms - segment.largest_ms for segment in segments), 0) / unit_ms
    _draw_limit(axes, "retention.ms", retention_ms / unit_ms, oldest_ms / unit_ms, youngest)
    axes.set_xlabel(f"age of the records, {unit} before now")


def _draw_sizes(axes: Axes, segments: Sequence[SegmentInfo], retention_bytes: int) -> None:
    """Bars laid end to end, newest at zero: what lies beyond the limit is the excess."""
    newer_bytes = 0
    total_bytes = max(1, sum(segment.size_bytes for segment in segments))
    scale, unit = (1 << 20, "MiB") if total_bytes >= 1 << 20 else (1 << 10, "KiB")
    for row in range(len(segments) - 1, -1, -1):
        segment = segments[row]
        start, length = newer_bytes / scale, segment.size_bytes / scale
        axes.barh(row, length, 0.6, left=start, lw=1, **_looks(segment))
        newer_bytes += segment.size_bytes
    _draw_limit(axes, "retention.bytes", retention_bytes / scale, total_bytes / scale, 0)
    axes.set_xlabel(f"size, {unit} counted from the newest")


def _draw_limit(axes: Axes, name: str, limit: float, most: float, least: float) -> None:
    """The line of one limit and its name above the axes; an arrow when it lies far outside, nothing
    when it is off. Also sets how far the axes reach, growing to the left.
    """
    inside = 0 <= limit <= _FAR * most
    farthest = 1.06 * max(most, limit if inside else 0)
    axes.set_xlim(farthest, least - (0.03 * farthest if least else 0))
    if limit < 0:
        return
    if inside:
        axes.axvline(limit, color=INK, lw=1.6, ls="--")
    words = name if inside else f"◂ {name} is {limit / most:,.0f}× farther out"
    axes.annotate(
        words,
        (limit if inside else farthest, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center" if inside else "left",
        fontsize=8,
    )


def _unit_for(span_ms: int) -> tuple[str, int]:
    return next((unit for unit in _UNITS if span_ms >= 2 * unit[1]), ("milliseconds", 1))


def _in_words(
    segments: Sequence[SegmentInfo],
    now_ms: int,
    retention_ms: int,
    retention_bytes: int,
    title: str,
) -> str:
    told = []
    for segment in segments:
        unit, unit_ms = _unit_for(max(1, now_ms - segment.first_ms))
        ages = [(now_ms - at) / unit_ms for at in (segment.first_ms, segment.largest_ms)]
        state = "deletable" if segment.deletable else "active" if segment.active else "kept"
        why = f" ({segment.why})" if segment.why else ""
        told.append(
            f"From offset {segment.base_offset}: {byte_count(segment.size_bytes)}, "
            f"{ages[0]:.3g} to {ages[1]:.3g} {unit} old, {state}{why}."
        )
    limits = f"Limits: retention.ms {retention_ms}, retention.bytes {retention_bytes}."
    return in_words(title, "Segments, oldest first.", limits, *told)
