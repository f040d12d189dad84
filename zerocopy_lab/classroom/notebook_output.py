"""What a lab puts into its notebook: boxes of words and pictures.

Every box goes out twice, as HTML and as plain text, so that it can be read in JupyterLab, on a
code host (which strips styles and scripts) and in a terminal. Colours that carry meaning come
with a word that says the same, and every box sets its own text colour, so that it stays readable
under a dark theme.

A picture is drawn once, to PNG: the bytes in the notebook, the file beside the report and the
widget's image are the same. Its name in the output's metadata lets the headless run check that no
picture of a lab is missing.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.display import display as _untyped_display

if TYPE_CHECKING:
    from zerocopy_lab.pictures.theme import Picture

PICTURE_KEY = "zerocopy_lab_picture"
WORDS_KEY = "zerocopy_lab_words"

display: Callable[..., Any] = _untyped_display

TONES = {
    "question": ("#eef3fb", "#31609f"),
    "good": ("#edf6ee", "#2c6e49"),
    "bad": ("#fbeeee", "#a3333d"),
    "unsure": ("#fbf6e6", "#8a6d1a"),
    "plain": ("#f4f4f5", "#52525b"),
}
"""Background and accent of a box, by what it means."""


def box(tone: str, label: str, paragraphs: Iterable[str]) -> None:
    """Shows a box with a label and paragraphs of plain text."""
    lines = list(paragraphs)
    background, accent = TONES[tone]
    inner = "".join(f"<p style='margin:.3em 0'>{html.escape(line)}</p>" for line in lines)
    show_html(
        f"<div style='background:{background};color:#1c1c1e;border-left:4px solid {accent};"
        f"border-radius:4px;padding:.6em 1em;margin:.4em 0;max-width:52em'>"
        f"<strong style='color:{accent}'>{html.escape(label)}</strong>{inner}</div>",
        plain="\n".join([label, *lines]),
    )


def show_html(markup: str, plain: str) -> None:
    """Shows HTML, with the same in plain text for readers that have none."""
    display({"text/html": markup, "text/plain": plain}, raw=True)


def show_picture(name: str, picture: Picture, words: str, directory: Path) -> None:
    """Shows a picture and, under it, its conclusion in words; keeps the PNG in `directory`.

    ValueError when there are no words: a picture without its conclusion leaves the reader guessing.
    """
    if not words.strip():
        raise ValueError(f"picture {name!r} has no words; say under it what it shows")
    png = picture.png()
    (directory / f"{name}.png").write_bytes(png)
    display(
        {"image/png": base64.b64encode(png).decode(), "text/plain": picture.alt},
        raw=True,
        metadata={PICTURE_KEY: name, WORDS_KEY: words, "image/png": {"alt": picture.alt}},
    )
    show_html(f"<p style='max-width:52em'>{html.escape(words)}</p>", plain=words)


def png_dimensions_px(png: bytes) -> tuple[int, int]:
    """Width and height from a PNG's header (PNG specification, IHDR: bytes 16 to 23)."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Shows rows of words; columns of numbers stand under each other, digit by digit."""
    sides = ["right" if _are_numbers(column) else "left" for column in zip(*rows, strict=True)]
    head = _table_row("th", headings, sides)
    body = "".join(_table_row("td", row, sides) for row in rows)
    show_html(
        "<table style='font-variant-numeric:tabular-nums'>"
        f"<thead>{head}</thead><tbody>{body}</tbody></table>",
        plain="\n".join(" | ".join(row) for row in [headings, *rows]),
    )


def _table_row(tag: str, texts: Sequence[str], sides: Sequence[str]) -> str:
    cells = "".join(
        f"<{tag} style='text-align:{side};padding:.25em 1em .25em 0;vertical-align:top'>"
        f"{html.escape(text)}</{tag}>"
        for text, side in zip(texts, sides, strict=True)
    )
    return f"<tr>{cells}</tr>"


def _are_numbers(column: Sequence[str]) -> bool:
    """Numbers, with a unit or without, and gaps between them."""
    number = re.compile(r"([\d,.]+( [A-Za-z]{1,3})?)?")
    return any(column) and all(number.fullmatch(text) for text in column)
