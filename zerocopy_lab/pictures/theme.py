"""One look for every picture: hues, sizes, the footer that says where a figure comes from, and the
words beside it.

Sizes are for a notebook: about nine inches wide, so that nothing has to be scaled and 9-point text
stays 9-point text.

The hues start from Okabe and Ito's set for colour-blind readers (https://jfly.uni-koeln.de/color/)
and are moved in lightness until those that meet in one picture also differ on a grey printer; a
test computes both. Where a picture has more series than hues can keep apart, markers, dashes and
hatches carry the difference as well.

Nothing here goes through pyplot: a picture is an object that its owner drops, not an entry in a
global list of open windows. A notebook shows it because `Picture` says itself how it looks, as PNG
and, for those who cannot see it, in words.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.plain_words import byte_count as byte_count  # for every picture

WIDTH_INCHES: Final = 9.0
DOTS_PER_INCH: Final = 105

INK: Final = "#1A1A1A"
QUIET: Final = "#5F5F5F"  # footers and remarks: darkest grey that still stands back, 6:1 on white
RULE: Final = "#C8C8C8"  # grid lines and the borders of empty cells
PAPER: Final = "#FFFFFF"

SENDER: Final = "#0060A0"  # the process that serves
TOTAL: Final = "#8CC8F0"  # that process and the one that receives
RATE: Final = "#E69F00"
ALIAS: Final = "#F0E442"  # the new bytes arrived: somebody held a reference
COPY: Final = "#0060A0"  # the old bytes arrived: somebody had copied

CPU: Final = "#D55E00"  # moved by the processor
DMA: Final = "#0060A0"  # moved by a device
NOBODY: Final = "#8C8C8C"  # only a reference was passed on

ABSENT: Final = "#F1F1F1"
RESIDENT: Final = "#56B4E9"
DIRTY: Final = "#D55E00"
WRITEBACK: Final = "#6A1B4D"

RECORDED_EARLIER: Final = "RECORDED EARLIER, not measured here"
"""Opens the title and the footer of a picture whose figures come from another machine."""

SERIES: Final = ("#0060A0", "#D55E00", "#14213D", "#2697CC", "#0E8577", "#936F3C", "#4D4D4D")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 1)))

_SETTINGS: Final[dict[Any, Any]] = {  # Any: one matplotlib lists its keys by type, another does not
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET,
    "axes.facecolor": PAPER,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: same widths on every machine
    "font.size": 9.0,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "patch.edgecolor": QUIET,  # a light bar still has 3:1 against the paper, at its edge
    "patch.force_edgecolor": True,
    "patch.linewidth": 0.7,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9.0,
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Origin(NamedTuple):
    """Where the figures of a picture come from; every picture says it in its footer.

    `evidence` is PROVED, COUNTED, TIMED or CITED, or COMPUTED for plain arithmetic. `host` names
    the machine; empty for arithmetic, which is the same everywhere. `recorded` marks figures that
    another machine measured earlier.
    """

    evidence: str
    host: str = ""
    recorded: bool = False

    def text(self, spreads: Iterable[Spread] = ()) -> str:
        """The footer: evidence, n, what the bars span, host; and loudly, when nothing was measured
        here.
        """
        counts = sorted({value.n for value in spreads})
        parts = [RECORDED_EARLIER] if self.recorded else []
        parts.append(self.evidence)
        if counts:
            n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            parts.append(f"median, bars from lowest to highest, n = {n}")
        if self.host:
            parts.append(self.host)
        return "  ·  ".join(parts)


class Picture(Figure):
    """A matplotlib figure that carries its own description, `alt`, and shows itself in a notebook
    without pyplot.
    """

    alt: str = ""

    def png(self) -> bytes:
        """The picture as PNG, exactly as large as it was laid out (nothing cropped, nothing
        scaled).
        """
        with io.BytesIO() as file, matplotlib.rc_context(_SETTINGS):
            self.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Description": self.alt})
            return file.getvalue()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, bytes | str], dict[str, dict[str, str]]]:
        """What IPython asks an object for. The words are the plain-text form, so they are in the
        notebook's file too.
        """
        shown: dict[str, bytes | str] = {"image/png": self.png(), "text/plain": self.alt}
        return shown, {"image/png": {"alt": self.alt}}


def themed(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function draw with this module's settings, and leave matplotlib's own as they were."""

    def drawing(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with matplotlib.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    with contextlib.suppress(
        AttributeError
    ):  # so that help() in a notebook shows the picture's own words
        drawing.__doc__, drawing.__name__ = draw.__doc__, draw.__name__
    return drawing


def new_picture(height_inches: float, title: str, footer: str) -> Picture:
    """An empty picture of notebook width; `title` is the caller's finding, or empty: a picture
    claims nothing itself. What was recorded elsewhere says so above all else.
    """
    title_lines = textwrap.wrap(title, 88)
    if footer.startswith(RECORDED_EARLIER):
        title_lines.insert(0, RECORDED_EARLIER)
    footer_lines = textwrap.wrap(footer, 150)
    height_inches += 0.22 * len(title_lines)
    footer_inches = 0.1 + 0.15 * len(footer_lines)
    picture = Picture(figsize=(WIDTH_INCHES, height_inches + footer_inches), dpi=DOTS_PER_INCH)
    bottom = footer_inches / (height_inches + footer_inches)
    picture.set_layout_engine("constrained", rect=(0.005, bottom, 0.99, 1 - bottom), h_pad=0.06)
    picture.text(
        0.012,
        0.045 / (height_inches + footer_inches),
        "\n".join(footer_lines),
        fontsize=7.5,
        color=QUIET,
        va="bottom",
        ha="left",
    )
    if title_lines:
        picture.suptitle("\n".join(title_lines), x=0.012, ha="left", fontsize=11, weight="bold")
    return picture


def legend_above(
    axes: Axes, handles: Sequence[Artist] | None = None, *, columns: int = 4, gap: float = 0.2
) -> None:
    """The legend over the axes, where no data can be; `gap` in letters' heights."""
    if handles is None:
        handles = axes.get_legend_handles_labels()[0]
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=gap,
        handlelength=1.4,
        columnspacing=1.6,
    )


def say_that_nothing_is_there(axes: Axes, words: str) -> None:
    """Fill axes that have nothing to show with the reason, instead of leaving a blank that looks
    like a fault.
    """
    axes.set_axis_off()
    told = textwrap.fill(words, 110)
    axes.text(0.5, 0.5, told, ha="center", va="center", color=QUIET, transform=axes.transAxes)


def say_why_a_row_is_empty(axes: Axes, row: float, why: str) -> None:
    """In place of a bar that could not be measured on this machine."""
    axes.text(
        0.01,
        row,
        textwrap.fill(f"not here: {why}", 48),  # a longer line would push the axes apart
        color=QUIET,
        va="center",
        fontsize=8,
        transform=axes.get_yaxis_transform(),
    )


def centered(axes: Axes, x: float, y: float, words: str, color: str, **more: Any) -> None:
    """Words in the middle of what is drawn, in 8.5 points unless `more` says otherwise."""
    more = {"fontsize": 8.5, **more}
    axes.text(x, y, words, color=color, ha="center", va="center", **more)


def whiskers(values: Sequence[Spread]) -> list[list[float]]:
    """What matplotlib wants for error bars: how far each range reaches below and above its
    median.
    """
    return [[v.median - v.low for v in values], [v.high - v.median for v in values]]


def in_words(title: str, *sentences: str) -> str:
    """The description of a picture: its title as a sentence, then the others, empty ones left
    out.
    """
    head = f"{title.rstrip('.')}." if title else ""
    return " ".join(sentence for sentence in (head, *sentences) if sentence)


def readable_on(fill: str) -> str:
    """Black or white, whichever a reader sees better on `fill`, where he sees it worse: on white
    paper, or with light and dark turned round for a dark page.
    """

    def least(ink: str) -> float:
        return min(contrast(ink, fill), contrast(turned_round(ink), turned_round(fill)))

    return max((INK, PAPER), key=least)


def contrast(one: str, other: str) -> float:
    """Of two hues, 1 to 21 (WCAG 2.1, "contrast ratio")."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def turned_round(hue: str) -> str:
    """The hue under a dark theme: CSS's invert(.93) hue-rotate(180deg) (Filter Effects 1, 8.1)."""
    red, green, blue = (0.93 - 0.86 * int(hue[at : at + 2], 16) / 255 for at in (1, 3, 5))
    grey = 0.426 * red + 1.43 * green + 0.144 * blue
    turned = (round(255 * min(max(grey - each, 0), 1)) for each in (red, green, blue))
    return "#" + "".join(f"{each:02X}" for each in turned)


def luminance(hue: str) -> float:
    """Relative luminance of `#RRGGBB`, 0 to 1 (WCAG 2.1, "relative luminance")."""
    channels = (int(hue[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def significant(value: float) -> str:
    """Two digits below one, three above, never in powers of ten: what fits beside a bar."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    shown = f"{value:#.{2 if abs(value) < 1 else 3}g}".rstrip(".")
    return shown if "e" not in shown else f"{value:.6f}".rstrip("0")
