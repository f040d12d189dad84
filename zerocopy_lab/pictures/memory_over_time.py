"""How much of what was written waits to reach the disk, second by second.

The curve that belongs to "it is written" and "it is safe" being two moments: dirty memory rises as
the producer writes, stays while nobody is in a hurry, and falls when the kernel flushes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.pictures.theme import (
    DIRTY,
    PAPER,
    QUIET,
    WRITEBACK,
    Origin,
    Picture,
    byte_count,
    in_words,
    legend_above,
    new_picture,
    say_that_nothing_is_there,
    themed,
)


class MemorySample(NamedTuple):
    """At a moment (seconds from the start): how much was dirty, how much under writeback (None:
    the instrument could not see it).
    """

    at_s: float
    dirty_bytes: int
    writeback_bytes: int | None = None


class Moment(NamedTuple):
    """Something that happened, to be seen in the curve."""

    at_s: float
    what: str


@themed
def memory_over_time(
    samples: Sequence[MemorySample],
    *,
    origin: Origin,
    moments: Sequence[Moment] = (),
    title: str = "",
) -> Picture:
    """Dirty and writeback memory as two lines over seconds, with the moments as dotted
    verticals.
    """
    amounts = [a for s in samples for a in (s.dirty_bytes, s.writeback_bytes) if a is not None]
    most = max(amounts, default=0)
    picture = new_picture(3.0, title, origin.text())
    picture.alt = in_words(
        title,
        f"Memory that waits to be written: {len(samples)} samples, at most {byte_count(most)}.",
        *(f"At {moment.at_s:.3g} s: {moment.what}." for moment in moments),
    )
    axes = picture.subplots()
    if not samples:
        say_that_nothing_is_there(axes, "no samples")
        return picture
    scale, unit = (1 << 20, "MiB") if most >= 1 << 20 else (1 << 10, "KiB")
    _draw_lines(axes, samples, scale)
    draw_moments(axes, moments)
    end = max([sample.at_s for sample in samples] + [moment.at_s for moment in moments])
    axes.set_xlim(min(0, samples[0].at_s), 1.12 * end if end > 0 else 1)
    axes.set_ylim(0, max(1.3 * most / scale, 1))
    axes.set_xlabel("seconds")
    axes.set_ylabel(f"memory, {unit}")
    axes.grid(True, axis="y")
    legend_above(axes)
    return picture


def _draw_lines(axes: Axes, samples: Sequence[MemorySample], scale: int) -> None:
    times = [sample.at_s for sample in samples]
    dirty = [sample.dirty_bytes / scale for sample in samples]
    axes.plot(times, dirty, color=DIRTY, lw=2, marker="o", ms=3, label="dirty: only in memory")
    seen = [(s.at_s, s.writeback_bytes / scale) for s in samples if s.writeback_bytes is not None]
    if seen:
        times, leaving = [at for at, _ in seen], [amount for _, amount in seen]
        axes.plot(times, leaving, color=WRITEBACK, lw=1.6, ls="--", label="on its way to the disk")


def draw_moments(axes: Axes, moments: Sequence[Moment]) -> None:
    """Three lines of text in turn, so that neighbours do not write over each other."""
    for number, moment in enumerate(moments):
        axes.axvline(moment.at_s, color=QUIET, lw=1, ls=":")
        axes.annotate(
            moment.what,
            (moment.at_s, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(3, -9 - 11 * (number % 3)),
            textcoords="offset points",
            fontsize=8,
            zorder=5,  # over the next moment's line
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5},
        )
