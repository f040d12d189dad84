"""The ladder: what is left of the throughput when the mechanisms are taken away, one at a time.

Each rung has all mechanisms of the one above it but one. The factor beside it is what that one was
worth *at that point of the ladder*; in another order it may be worth more or less, because
mechanisms share work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.pictures.theme import (
    INK,
    SENDER,
    TOTAL,
    Origin,
    Picture,
    in_words,
    new_picture,
    say_that_nothing_is_there,
    say_why_a_row_is_empty,
    significant,
    themed,
    whiskers,
)
from zerocopy_lab.plain_words import factor

NO_CLEAR_CHANGE = "no clear change"


class Rung(NamedTuple):
    """What was taken away (or "everything on" for the first) and what was then measured; None with
    the reason why not. `step` is the change against the rung before, where the caller compared
    round by round and knows better than the two ranges do.
    """

    name: str
    measured: Spread | None
    why_not: str = ""
    step: str = ""


@themed
def ladder(rungs: Sequence[Rung], *, unit: str, origin: Origin, title: str = "") -> Picture:
    """Bars from the full system downwards, each with its factor against the rung measured
    before.
    """
    spreads = [rung.measured for rung in rungs if rung.measured]
    height = 0.8 + 0.42 * max(len(rungs), 1)
    picture = new_picture(height, title, origin.text(spreads))
    steps = steps_of(rungs)
    picture.alt = _in_words(rungs, steps, unit, title)
    axes = picture.subplots()
    if not spreads:
        say_that_nothing_is_there(axes, "nothing was measured")
        return picture
    for place, (rung, step) in enumerate(zip(rungs, steps, strict=True)):
        if rung.measured:
            _draw_rung(axes, place, rung.measured, step)
        else:
            say_why_a_row_is_empty(axes, place, rung.why_not)
    axes.set_xlim(0, 1.25 * max(value.high for value in spreads))
    axes.set_ylim(len(rungs) - 0.45, -0.55)
    axes.set_yticks(range(len(rungs)), [rung.name for rung in rungs])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.set_xlabel(unit)
    axes.grid(True, axis="x")
    return picture


def _draw_rung(axes: Axes, place: int, value: Spread, step: str) -> None:
    axes.barh(place, value.median, 0.62, color=SENDER if place == 0 else TOTAL)
    axes.errorbar(
        value.median, place, xerr=whiskers([value]), ecolor=INK, elinewidth=1, capsize=2, fmt="none"
    )
    axes.annotate(
        f"{significant(value.median)}   {step}".rstrip(),
        (value.high, place),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )


def _in_words(rungs: Sequence[Rung], steps: Sequence[str], unit: str, title: str) -> str:
    told = [
        f"{rung.name}: {rung.measured.text(unit) if rung.measured else 'not here, ' + rung.why_not}"
        f"{', ' + step if step else ''}."
        for rung, step in zip(rungs, steps, strict=True)
    ]
    return in_words(title, "Mechanisms taken away one at a time.", *told)


def steps_of(rungs: Sequence[Rung]) -> list[str]:
    """For each rung, how it compares with the rung measured before it: `÷ 2.5`, `× 1.1`, `no clear
    change` or nothing.

    "No clear change" when the two ranges overlap: a factor then would be a claim that the figures
    do not carry.
    """
    steps: list[str] = []
    before: Spread | None = None
    for rung in rungs:
        now = rung.measured
        if now is None or before is None:
            steps.append("")
        elif rung.step:
            steps.append(rung.step)
        elif now.low <= before.high and before.low <= now.high:
            steps.append(NO_CLEAR_CHANGE)
        elif now.median <= 0 or before.median <= 0:
            steps.append("")
        elif now.median < before.median:
            steps.append(f"÷ {factor(before.median / now.median)}")
        else:
            steps.append(f"× {factor(now.median / before.median)}")
        before = now or before
    return steps
