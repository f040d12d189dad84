"""What a lab puts into its notebook: boxes of words and pictures.

Every box goes out twice, as HTML and as plain text, so that it can be read in JupyterLab, on a
code host (which strips styles and scripts), in a terminal and from a plain script. Colours that
carry meaning come with a word that says the same, and the text keeps the page's own colour: light
or dark.

A picture is drawn once, to PNG: the bytes in the notebook, the file beside the report and the
widget's image are the same. It goes out as HTML, too, which has what a bare PNG in JupyterLab has
not: a description for those who cannot see it, and colours for a dark theme. Its name in the
output's metadata lets the headless run check that no picture of a lab is missing.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import display as _untyped_display

if TYPE_CHECKING:
    from zerocopy_lab.pictures.theme import Picture

PICTURE_KEY = "zerocopy_lab_picture"
WORDS_KEY = "zerocopy_lab_words"

_display: Callable[..., Any] = _untyped_display


def display(bundle: Mapping[str, Any], **how: Any) -> Any:
    """Shows a bundle (MIME type -> data) by IPython's `display`, which knows what `how` may be;
    outside IPython its text is printed, since `display` would print the whole bundle there.
    """
    if get_ipython() is not None:
        return _display(bundle, raw=True, **how)
    if text := bundle["text/plain"]:
        print(text)
    return None


EVIDENCE_MIME = "application/vnd.zerocopy_lab.evidence+json"
"""Evidence inside an executed notebook, which may then be handed in by itself."""

TONES = {
    "question": "49, 96, 159",
    "good": "44, 130, 90",
    "bad": "200, 60, 70",
    "unsure": "170, 125, 20",
    "plain": "120, 120, 128",
}
"""Red, green and blue of a box, by what it means; words say the same. As a border they have 3:1 on
white and on black, as a tint over the page's own background they leave its text legible."""


_WRAP_STYLE = (
    "<style>.jp-RenderedText.jp-RenderedText pre{word-break:normal;overflow-wrap:anywhere}</style>"
)
"""JupyterLab breaks printed lines wherever they are full, in the middle of a word."""


def box(
    tone: str, label: str, paragraphs: Iterable[str], carries: Mapping[str, Any] | None = None
) -> None:
    """Shows a box with a label and paragraphs of plain text. What it `carries` beside them (MIME
    type -> data) is kept in the notebook and shown by nobody.
    """
    lines = list(paragraphs)
    markup = _WRAP_STYLE + box_markup(tone, label, lines)
    plain = "\n".join([label, *lines])
    display({"text/html": markup, "text/plain": plain, **(carries or {})})


def evidence_bundle(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a box carries when the evidence has changed."""
    return {EVIDENCE_MIME: told}


def box_markup(tone: str, label: str, lines: Sequence[str]) -> str:
    """A box as HTML: in the colours of the page around it, whether that is light or dark."""
    inner = "".join(f"<p style='margin:.3em 0'>{html.escape(line)}</p>" for line in lines)
    return (
        f"<div style='background:rgba({TONES[tone]},.1);border-left:4px solid rgb({TONES[tone]});"
        f"border-radius:4px;padding:.6em 1em;margin:.4em 0;max-width:52em'>"
        f"<strong>{html.escape(label)}</strong>{inner}</div>"
    )


def show_html(markup: str, plain: str) -> None:
    """Shows HTML, with the same in plain text for readers that have none."""
    display({"text/html": markup, "text/plain": plain})


_GONE = "Controls need their kernel and a page with widgets: run this cell to have them back."
_GONE_STYLE = (
    "<style>.jp-OutputArea-output.jupyter-widgets:not(:has(*)){font-size:0}"
    ".jp-OutputArea-output.jupyter-widgets:not(:has(*))::after{font-size:14px;"
    f"content:'{_GONE}'}}</style>"
)
"""JupyterLab puts "Error displaying widget" where a widget's kernel has gone: text and no element
inside, which tells it from a live one."""


_NAMES = """<script>(area => {
const nameAll = () => {
    area.querySelectorAll('.widget-slider').forEach(slider => {
        const name = slider.querySelector('.widget-label').textContent;
        slider.querySelectorAll('.noUi-handle, .widget-readout').forEach(part => {
            part.setAttribute('aria-label', name);
            if (part.isContentEditable) part.setAttribute('role', 'textbox');
        });
    });
    area.querySelectorAll('.widget-play').forEach(play => {
        play.querySelectorAll('button').forEach((button, number) =>
            button.setAttribute('aria-label', ['play or pause', 'stop', 'repeat'][number]));
    });
};
new MutationObserver(nameAll).observe(area, {childList: true, subtree: true});
nameAll();
})(document.currentScript.closest('.jp-OutputArea') ?? document.body)</script>"""
"""What is dragged of a slider of ipywidgets has no name for a screen reader; the label beside it
has it. The buttons of an animation have none either."""


def show_controls(widget: Any) -> None:
    """Shows a widget; where no kernel runs, in a saved notebook opened again or on a code host, a
    sentence stands in its place.
    """
    show_html(_GONE_STYLE + _NAMES, plain="")
    display({**widget._repr_mimebundle_(), "text/plain": _GONE})


def show_picture(name: str, picture: Picture, words: str, directory: Path) -> None:
    """Shows a picture and, under it, its conclusion in words; keeps the PNG in `directory`.

    ValueError when there are no words: a picture without its conclusion leaves the reader guessing.
    """
    if not words.strip():
        raise ValueError(f"picture {name!r} has no words; say under it what it shows")
    png = picture.png()
    (directory / f"{name}.png").write_bytes(png)
    encoded = base64.b64encode(png).decode()
    display(
        {
            "text/html": picture_markup(encoded, picture.alt),
            "image/png": encoded,
            "text/plain": picture.alt,
        },
        metadata={PICTURE_KEY: name, WORDS_KEY: words, "image/png": {"alt": picture.alt}},
    )
    show_html(f"<p style='max-width:52em'>{html.escape(words)}</p>", plain=words)


PICTURE_CLASS = "zerocopy-lab-picture"
DARK_STYLE = (
    "<style>@media screen {"
    f'[data-jp-theme-light="false"] .{PICTURE_CLASS}, .vscode-dark .{PICTURE_CLASS}'
    "{filter:invert(.93) hue-rotate(180deg)} }</style>"
)
"""Under a dark theme light and dark change places in a picture, and its hues stay. Who knows no
such theme shows the picture on its own white paper."""


def picture_markup(encoded: str, alt: str, style: str = "") -> str:
    """A PNG as HTML: with its description, which JupyterLab leaves out of a bare PNG.

    It is decoded before it is shown, so that a picture that takes another one's place does not
    flicker.
    """
    return (
        f"{DARK_STYLE}<img class='{PICTURE_CLASS}' style='max-width:100%;{style}' decoding='sync' "
        f"alt='{html.escape(alt)}' src='data:image/png;base64,{encoded}'>"
    )


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
