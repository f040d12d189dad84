"""What holds for every picture: nothing overlaps or sticks out, it says its origin, it is told in
words, it leaves no trace.
"""

from __future__ import annotations

import io
from functools import cache
from itertools import combinations
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tests.pictures.examples import EMPTY, EXAMPLES
from tests.pictures.test_hues import contrast_with_paper
from zerocopy_lab.pictures.theme import (
    ABSENT,
    DOTS_PER_INCH,
    WIDTH_INCHES,
    Origin,
    Picture,
    new_picture,
)

ALL = {**EXAMPLES, **{f"{name}, empty": draw for name, draw in EMPTY.items()}}
each = pytest.mark.parametrize("name", ALL)


@cache
def drawn(name: str) -> Picture:
    """Drawn once for all tests: none of them changes it."""
    return ALL[name]()


@cache
def texts_as_drawn(picture: Picture) -> list[tuple[str, Any]]:
    """Every piece of text that a reader sees, with its box in pixels. Ticks outside the axes' view
    are not drawn.
    """
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    axes_texts: set[Text] = set()
    shown: set[Text] = set()
    for axis in picture.findobj(Axis):
        ticks: Any = axis
        axes_texts |= set(axis.findobj(Text))
        shown |= {tick.label1 for tick in ticks._update_ticks() if tick.label1.get_visible()}
        shown |= {axis.label, axis.offsetText}
    off = {
        text
        for axes in picture.axes
        if not axes.axison
        for a in (axes.xaxis, axes.yaxis)
        for text in a.findobj(Text)
    }
    texts = [text for text in picture.findobj(Text) if text not in axes_texts or text in shown]
    return [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()))
        for text in texts
        if isinstance(text, Text)
        and text.get_visible()
        and text.get_text().strip()
        and text not in off
    ]


def overlaps(picture: Picture) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share more than a pixel in both directions."""
    return [
        (one, other)
        for (one, a), (other, b) in combinations(texts_as_drawn(picture), 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


@each
def test_every_bar_stands_out_from_the_paper(name: str) -> None:
    """By its hue or by its edge: 3:1 (WCAG 2.1, non-text contrast); not where nothing is."""
    for axes in drawn(name).axes:
        for bar in (bar for bars in axes.containers for bar in bars if isinstance(bar, Rectangle)):
            hues = [to_hex(hue) for hue in (bar.get_facecolor(), bar.get_edgecolor())]
            assert hues[0] == ABSENT.lower() or max(map(contrast_with_paper, hues)) >= 3, hues


@each
def test_no_text_runs_into_another(name: str) -> None:
    assert overlaps(drawn(name)) == []


@each
def test_no_text_leaves_the_picture(name: str) -> None:
    picture = drawn(name)
    width, height = picture.bbox.width, picture.bbox.height
    outside = [
        words
        for words, box in texts_as_drawn(picture)
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]
    assert outside == []


@each
def test_is_as_wide_as_a_notebook_and_readable(name: str) -> None:
    picture = drawn(name)
    pixels = imread(io.BytesIO(picture.png()))
    assert pixels.shape[1] == int(WIDTH_INCHES * DOTS_PER_INCH)
    assert pixels[..., :3].std() > 0, "nothing was drawn"
    sizes = [float(text.get_fontsize()) for text in picture.findobj(Text) if isinstance(text, Text)]
    assert min(sizes) >= 7


@each
def test_is_told_in_words(name: str) -> None:
    picture = drawn(name)
    assert len(picture.alt) > 10
    assert "  " not in picture.alt
    shown, about = picture._repr_mimebundle_()
    assert shown["text/plain"] == picture.alt == about["image/png"]["alt"]
    assert shown["image/png"][:4] == b"\x89PNG"


@each
def test_says_where_its_figures_come_from(name: str) -> None:
    footer = [
        words for words, _ in texts_as_drawn(drawn(name)) if "·" in words or "COMPUTED" in words
    ]
    assert len(footer) == 1


@each
def test_leaves_no_trace_in_matplotlib(name: str) -> None:
    before = dict(matplotlib.rcParams)
    ALL[name]()
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []


def test_the_overlap_check_can_fail() -> None:
    picture = new_picture(1, "a title", "a footer")
    picture.text(0.5, 0.5, "one")
    picture.text(0.5, 0.5, "other")
    assert overlaps(picture) == [("one", "other")]


def test_a_finding_is_shown_only_when_the_caller_has_one() -> None:
    assert new_picture(1, "", "footer").get_suptitle() == ""
    assert new_picture(1, "Nobody copied", "footer").get_suptitle() == "Nobody copied"


def test_recorded_figures_say_so_first() -> None:
    assert Origin("TIMED", "host", recorded=True).text().startswith("RECORDED EARLIER")
    assert "RECORDED" not in Origin("TIMED", "host").text()
