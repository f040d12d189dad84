"""A broker as the row of its parts, in the order in which a byte meets them: whose is each?

Ours is grey, a learner's blue, and one that is at fault red; each box says it in a word as well.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from matplotlib.patches import FancyBboxPatch

from zerocopy_lab.pictures.theme import (
    CPU,
    NOBODY,
    QUIET,
    SENDER,
    Origin,
    Picture,
    in_words,
    new_picture,
    readable_on,
    themed,
)

Whose = Literal["yours", "ours", "at fault"]
_HUES: Final = {"yours": SENDER, "ours": NOBODY, "at fault": CPU}
_IN_A_ROW: Final = 5


class PartBox(NamedTuple):
    """A part, what it does, the lab that it comes from, and whose is in the broker."""

    name: str
    does: str
    lab: str
    whose: Whose


@themed
def part_map(boxes: Sequence[PartBox], *, origin: Origin, title: str = "") -> Picture:
    """Rows of boxes, read as lines of text are."""
    rows = -(-len(boxes) // _IN_A_ROW)
    picture = new_picture(0.3 + 1.15 * rows, title, origin.text())
    picture.alt = in_words(title, *(f"{b.name} (lab {b.lab}): {b.whose}." for b in boxes))
    axes = picture.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, _IN_A_ROW)
    axes.set_ylim(rows, 0)
    for number, box in enumerate(boxes):
        left, top = number % _IN_A_ROW, number // _IN_A_ROW
        hue = _HUES[box.whose]
        axes.add_patch(
            FancyBboxPatch(
                (left + 0.06, top + 0.1),
                0.88,
                0.8,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=hue,
                edgecolor=QUIET,
            )
        )
        head = f"{box.name}\n{box.whose}, lab {box.lab}"
        ink = readable_on(hue)
        axes.text(left + 0.5, top + 0.3, head, ha="center", va="center", color=ink, weight="bold")
        does = textwrap.fill(box.does, 21)
        axes.text(left + 0.5, top + 0.66, does, ha="center", va="center", color=ink, fontsize=7.5)
    return picture
