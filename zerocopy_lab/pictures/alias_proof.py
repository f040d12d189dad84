"""What came out of the socket after the file had been overwritten: a copy keeps the old bytes, a
reference shows the new.

One row per strategy, one cell per page that was in the socket when the file changed underneath it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from zerocopy_lab.pictures.theme import (
    ABSENT,
    ALIAS,
    COPY,
    INK,
    QUIET,
    RULE,
    Origin,
    Picture,
    byte_count,
    centered,
    in_words,
    legend_above,
    new_picture,
    readable_on,
    say_that_nothing_is_there,
    themed,
)

OLD: Final = "old"
NEW: Final = "new"
MIXED: Final = "mixed"  # some of both within one page
NEITHER: Final = "neither"  # not the bytes of the file at all: ciphertext, or a fault
_FILLS: Final = {OLD: COPY, NEW: ALIAS, MIXED: "#D55E00", NEITHER: ABSENT}
_HATCHES: Final = {OLD: "", NEW: "", MIXED: "////", NEITHER: "xx"}
_MEANS: Final = {
    OLD: "old bytes: they had been copied",
    NEW: "new bytes: only a reference was held",
    MIXED: "both within one page",
    NEITHER: "neither",
}


class AliasRow(NamedTuple):
    """What one strategy delivered: for each page OLD, NEW, MIXED or NEITHER. No pages: it did not
    run, `remark` says why.
    """

    strategy: str
    pages: tuple[str, ...]
    remark: str = ""


@themed
def alias_proof(
    rows: Sequence[AliasRow], *, page_bytes: int, origin: Origin, title: str = ""
) -> Picture:
    """Cells for the pages as they arrived, per strategy; the verdict in words at the end of each
    row.
    """
    picture = new_picture(0.95 + 0.4 * max(len(rows), 1), title, origin.text())
    picture.alt = _in_words(rows, title)
    axes = picture.subplots()
    if not rows:
        say_that_nothing_is_there(axes, "no strategy was tested")
        return picture
    most_pages = max([len(row.pages) for row in rows] + [1])
    for place, row in enumerate(rows):
        _row(axes, place, row, most_pages)
    axes.set_xlim(0, most_pages)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.strategy for row in rows])
    every = 1 if most_pages <= 16 else 4 if most_pages <= 64 else 16
    ticks = range(0, most_pages, every)
    axes.set_xticks([page + 0.5 for page in ticks], [f"{page}" for page in ticks])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"page of {byte_count(page_bytes)} in the socket when the file was overwritten")
    seen = [answer for answer in _FILLS if any(answer in row.pages for row in rows)]
    keys = [
        Patch(facecolor=_FILLS[a], hatch=_HATCHES[a], edgecolor=QUIET, label=_MEANS[a])
        for a in seen
    ]
    legend_above(axes, keys, columns=2)
    return picture


def _row(axes: Axes, place: int, row: AliasRow, most_pages: int) -> None:
    """The cells of one strategy; its verdict stands outside the axes, on the right."""
    for page, answer in enumerate(row.pages):
        fill = _FILLS[answer]
        axes.add_patch(
            Rectangle(
                (page, place - 0.36),
                1,
                0.72,
                facecolor=fill,
                edgecolor=QUIET,
                lw=0.8,
                hatch=_HATCHES[answer],
                clip_on=False,  # the last one's edge lies on that of the axes
            )
        )
        if most_pages <= 16 and answer in (OLD, NEW):
            centered(axes, page + 0.5, place, answer, readable_on(fill))
    if not row.pages:
        axes.add_patch(
            Rectangle(
                (0, place - 0.36), most_pages, 0.72, facecolor="none", edgecolor=RULE, ls="--"
            )
        )
        centered(axes, most_pages / 2, place, "did not run", QUIET)
    axes.text(
        1.01,
        place,
        _verdict(row),
        va="center",
        color=INK,
        fontsize=8.5,
        transform=axes.get_yaxis_transform(),
    )


def _verdict(row: AliasRow) -> str:
    answers = set(row.pages)
    if not answers:
        return row.remark or "no answer"
    verdict = {frozenset({OLD}): "copied", frozenset({NEW}): "nobody copied"}.get(
        frozenset(answers), "no clear answer"
    )
    return f"{verdict} ({row.remark})" if row.remark else verdict


def _in_words(rows: Sequence[AliasRow], title: str) -> str:
    told = [
        f"{row.strategy}: {_verdict(row)}"
        + "".join(
            f", {row.pages.count(a)} of {len(row.pages)} pages {a}"
            for a in _FILLS
            if a in row.pages
        )
        + "."
        for row in rows
    ]
    return in_words(title, "Which bytes arrived after the file was overwritten.", *told)
