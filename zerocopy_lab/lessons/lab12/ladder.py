"""The ladder of lab 12 as a picture, a table and words."""

from __future__ import annotations

from typing import Final

from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab12.orders import CLIENTS, Client
from zerocopy_lab.lessons.lab12.raced_topics import SIZES, SMALL, Cell
from zerocopy_lab.lessons.lab12.rungs import (
    CLAIMED,
    COMPRESSION,
    DIRECTIONS,
    INDEX,
    NO_FLUSH,
    RUNGS,
    UNTOUCHED,
    WHOLE,
    ZERO_COPY,
    Direction,
    Mechanism,
    WayToAsk,
)
from zerocopy_lab.lessons.lab12.stand import Ladder
from zerocopy_lab.lessons.lab12.worth import (
    MILLION,
    VERB,
    kinds,
    ranks,
    rate_in_words,
    seconds_in_words,
    those_that_make_the_millions,
    together,
    worth,
    zero_copy,
)
from zerocopy_lab.pictures.ablation import Panel, ablation
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.plain_words import factor
from zerocopy_lab.verdict.answer import in_a_row

_WHOLE_ROW: Final = "as it comes"
_ROWS: Final = [rung for rung in RUNGS if rung.name not in (COMPRESSION, INDEX)]
"""Compression is no part of the broker as it comes, and who jumps is asked in another way: both are
told in words.
"""


def _row(rung: Mechanism) -> str:
    return f"without {rung.name}\n({rung.instead})"


def ladder_picture(ladder: Ladder | Unmeasured) -> Picture:
    """A dot for each rung, size and client, on both sides of a million."""
    origin = Origin("TIMED", describe_host().text())
    if isinstance(ladder, Unmeasured):
        return ablation([], [Panel("", {})], unit="", mark=MILLION, mark_name="", origin=origin)
    series = [(client, size) for client in CLIENTS for size in SIZES]
    panels = [
        Panel(
            VERB[direction],
            {
                f"{client}, {size:,} bytes": by_row
                for client, size in series
                if (by_row := _column(ladder, direction, client, size))
            },
        )
        for direction in DIRECTIONS
    ]
    return ablation(
        [_WHOLE_ROW, *map(_row, _ROWS)],
        panels,
        unit="messages/s",
        mark=MILLION,
        mark_name="a million",
        origin=origin,
        title="The whole broker, and without one thing at a time",
    )


def _column(ladder: Ladder, direction: Direction, client: Client, size: int) -> dict[str, Spread]:
    """What was measured of one series, by the rows of the picture."""
    ways: dict[str, WayToAsk] = {_WHOLE_ROW: WHOLE}
    for rung in _ROWS:
        if (pair := rung.ways(direction)) and rung.name not in ladder.why_not:
            ways[_row(rung)] = pair[1]
    cells = {row: Cell(direction, client, size, way) for row, way in ways.items()}
    return {row: spread(ladder.rates(cell)) for row, cell in cells.items() if cell in ladder.runs}


def ladder_words(ladder: Ladder | Unmeasured) -> str:
    """The conclusion under the picture."""
    if isinstance(ladder, Unmeasured):
        return f"Not measured: {ladder}"
    more = [name for name in those_that_make_the_millions(ladder) if name not in CLAIMED]
    unnamed = f" The article's sentence does not name {' and '.join(more)}." if more else ""
    return (
        f"{ladder.subject.words}: {headline(ladder)} Messages a second fall without "
        f"{ranking_in_words(ladder)}.{unnamed}"
    )


def show_ladder(ladder: Ladder | Unmeasured) -> None:
    """A row for each rung: what a million messages of 100 bytes take; and what was left out."""
    if isinstance(ladder, Unmeasured):
        return
    rows = []
    for direction in DIRECTIONS:
        rows.append([VERB[direction], _WHOLE_ROW, "", *_prices(ladder, direction, WHOLE)])
        for rung in RUNGS:
            one = worth(ladder, rung.name, direction)
            if one and rung.name != COMPRESSION:
                prices = _prices(ladder, direction, rung.ways(direction)[1])  # type: ignore[index]
                told = f"÷ {factor(one.times.median)}, {rung.instead}"
                rows.append([VERB[direction], f"without {rung.name}", told, *prices])
    head = ["", "the broker", "messages a second", "s a million", "broker CPU, s a million"]
    show_table(head, rows)
    for name, reason in ladder.why_not.items():
        print(f"without {name}: not here: {reason}")


def _prices(ladder: Ladder, direction: Direction, way: WayToAsk) -> list[str]:
    cell = Cell(direction, "ours", SMALL, way)
    cpu = ladder.broker_cpu_s(cell)
    each = [ladder.seconds(cell), *([cpu] if cpu else [])]
    told = (seconds_in_words(spread(values).median).removesuffix(" s") for values in each)
    return [*told, *([] if cpu else ["-"])]


def sums_in_words(ladder: Ladder | Unmeasured) -> str:
    """One by one against all at once, and what compression is worth."""
    if isinstance(ladder, Unmeasured):
        return ""
    told = [each.in_words for direction in DIRECTIONS if (each := together(ladder, direction))]
    kind_by_kind = (f"{kind}: {', '.join(names) or '-'}" for kind, names in kinds(ladder).items())
    lines = [words[:1].upper() + words[1:] for words in told]
    return "\n".join([f"Losses that {'; '.join(kind_by_kind)}.", *lines, _compression(ladder)])


def _compression(ladder: Ladder) -> str:
    """What a producer that compresses gains or loses."""
    worths = [
        (direction, client, one)
        for direction in DIRECTIONS
        for client in CLIENTS
        if (one := worth(ladder, COMPRESSION, direction, SMALL, client))
    ]
    told = [f"{VERB[way]}, {client}, {one.times.text()} times" for way, client, one in worths]
    return f"With lz4 there were, of messages a second: {'; '.join(told)}."


def ranking_in_words(ladder: Ladder) -> str:
    """`batching ÷ 1,080; then untouched batches ÷ 20 and TLS ÷ 15 (not told apart)`."""
    told = []
    for group in ranks(ladder):
        names = [f"{one.mechanism} ÷ {factor(one.times.median)}" for one in group]
        told.append(in_a_row(names) + (" (not told apart)" if len(names) > 1 else ""))
    return "; then ".join(told) or "nothing of it by more than chance would do"


def headline(ladder: Ladder) -> str:
    """One sentence: is it zero copy that makes millions, or something else?"""
    makers = those_that_make_the_millions(ladder)
    zero = zero_copy(ladder)
    made = " and ".join(makers) if makers else "none of the mechanisms alone"
    if zero is None:
        return f"What makes the millions here is {made}; zero copy could not be taken away."
    if zero.makes_the_millions is False:
        by_tls = "with TLS, which takes zero copy along,"
        how = "without zero copy" if zero.mechanism == ZERO_COPY else by_tls
        left = f"{how} there were still {rate_in_words(spread(zero.without).median)}"
        if not makers:
            return f"It is not zero copy that makes millions: {left}."
        return f"It is not zero copy that makes millions, it is {made}: {left}."
    if zero.makes_the_millions:
        return f"Zero copy is among what makes the millions: {made}."
    return f"What makes the millions here is {made}; of zero copy the rounds do not tell."


CHOICES: Final = (*CLAIMED, UNTOUCHED, NO_FLUSH)
"""Of the prediction, as the notebook asks it."""


def answer(ladder: Ladder | Unmeasured) -> str | None:
    """Which of the choices costs the most when it is lost; None where nobody could tell."""
    first = [] if isinstance(ladder, Unmeasured) else _costliest(ladder)
    return first[0] if len(first) == 1 else None


def _costliest(ladder: Ladder) -> list[str]:
    """Of the choices, those that cost the most and are not told apart."""
    groups = ([each.mechanism for each in group] for group in ranks(ladder))
    chosen = ([name for name in names if name in CHOICES] for names in groups)
    return next(filter(None, chosen), [])


def why_unclear(ladder: Ladder | Unmeasured) -> str:
    """Where `answer` tells nothing; "" where it does."""
    if isinstance(ladder, Unmeasured):
        return str(ladder)
    first = _costliest(ladder)
    return "" if len(first) == 1 else f"The rounds do not tell apart: {in_a_row(first) or 'all'}."
