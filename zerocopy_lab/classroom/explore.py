"""The one way in which labs build widgets: the same pure function, under controls or over a fixed
list.

    explore(draw, {"partitions": Slider(1, 30, 10)}, sweep=[{"partitions": 3}, {"partitions": 10}])

`draw` takes one setting of every control as keyword arguments and returns a `Picture`. Live, the
learner moves the controls and one image of fixed height is exchanged for the next: no output area
is cleared, so nothing flickers or jumps, and nothing is drawn while a slider is still being
dragged. Whoever measures asks for a button, so that nothing is measured by accident.

While a question of the lab has no guess yet, the sweep is folded, and the widget waits for a hand.

For a static reader (a code host, a report, a headless run) a chart inside a widget does not
exist. So the settings of `sweep` are always drawn as ordinary figures below, by the same
function; headless, that is all there is.

`play` is for what takes its time: a button starts it, and the picture is exchanged again and again
while it goes on; its last picture is the ordinary figure.

An error is shown where the picture would have been, in red and with its traceback, and it carries
ERROR_MARK, which the scan of a run looks for. In the sweep it is raised like any other error of
the notebook.
"""

from __future__ import annotations

import base64
import html
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from zerocopy_lab.classroom.lab import running_lab
from zerocopy_lab.classroom.notebook_output import picture_markup, png_dimensions_px, show_controls
from zerocopy_lab.classroom.prediction import all_guessed, until_all_guessed

if TYPE_CHECKING:
    from zerocopy_lab.pictures.theme import Picture

ERROR_MARK = "zerocopy-lab-widget-error"
PLAY_CLASS = "zerocopy-lab-play"
BUTTON_CLASS = "zerocopy-lab-draw"

_CONTROL_WIDTH = "29em"  # two in a row beside JupyterLab's file browser, in a window of 1280 px
_FRAME_MS = 1000
_CAPTION = "max-width:52em;margin:.3em 0;font-size:14px;line-height:1.5"  # as under other pictures

Setting = Mapping[str, Any]


class Slider(NamedTuple):
    """A whole number from `low` to `high`."""

    low: int
    high: int
    start: int
    step: int = 1
    label: str = ""


class Stops(NamedTuple):
    """A slider over chosen values only: for what a slider of its width could not reach."""

    values: Sequence[Any]
    start: Any
    label: str = ""


class Number(NamedTuple):
    """A whole number to be typed, from `low` to `high`."""

    low: int
    high: int
    start: int
    label: str = ""


class Choice(NamedTuple):
    """One of a few values."""

    options: Sequence[Any]
    start: Any
    label: str = ""


class Steps(NamedTuple):
    """The frames of an animation, `low` to `high`: a button that plays them, one a second."""

    low: int
    high: int
    start: int
    label: str = ""


Control = Slider | Stops | Number | Choice | Steps


def explore(
    draw: Callable[..., Picture],
    controls: Mapping[str, Control],
    sweep: Sequence[Setting],
    words: Callable[..., str],
    *,
    name: str,
    button: str | None = None,
    height_px: int = 420,
) -> None:
    """Shows `draw` under controls (where somebody is watching) and over `sweep` (always).

    `words` takes the same settings and says what the picture shows. `name` names the ordinary
    figures (name-1, name-2, ...). With `button`, that button draws instead of every change.
    Raises ValueError when a setting of the sweep does not name every control, and whatever `draw`
    raises for the sweep.
    """
    lab = running_lab()
    for setting in sweep:
        if setting.keys() != controls.keys():
            raise ValueError(f"the sweep's {dict(setting)} should set {', '.join(controls)}")
    if not lab.headless:
        show_controls(panel(draw, controls, words, button=button, height_px=height_px))
    first = {name: control.start for name, control in controls.items()}
    with until_all_guessed():
        for number, setting in enumerate(sweep, 1):
            if not lab.headless and button is None and setting == first:
                continue  # the widget shows it already
            lab.picture(f"{name}-{number}", draw(**setting), words(**setting))


def panel(
    draw: Callable[..., Picture],
    controls: Mapping[str, Control],
    words: Callable[..., str],
    *,
    button: str | None,
    height_px: int,
) -> Any:
    """The controls above an image and its words, as one ipywidgets box."""
    import ipywidgets

    widgets = {name: _widget(name, control) for name, control in controls.items()}
    screen = _Screen(height_px)
    trigger = ipywidgets.Button(description=button or "", button_style="primary")
    trigger.add_class(BUTTON_CLASS)

    def redraw(_: object = None) -> None:
        setting = {name: widget.value for name, widget in widgets.items()}
        trigger.disabled = True
        try:
            screen.show(draw(**setting), words(**setting))
        except Exception:  # the boundary to the learner: shown in full, in place of the picture
            screen.show_error()
        finally:
            trigger.disabled = False

    if button is None:
        for widget in widgets.values():
            widget.observe(redraw, names="value")
        if all_guessed():
            redraw()
        else:
            screen.say("Guess above, before you look. Whatever is moved here is drawn at once.")
    else:
        trigger.on_click(redraw)
        screen.say(f"Choose, then press “{button}”.")
    top = [*widgets.values()] + ([trigger] if button is not None else [])
    row = ipywidgets.HBox(top, layout={"flex_flow": "row wrap"})
    return ipywidgets.VBox([row, screen.frame, screen.caption])


Show = Callable[["Picture", str], None]
Run = Callable[["Show | None"], "tuple[Picture, str]"]
"""Does what takes its time, shows pictures and words meanwhile, returns the last ones."""


def play(run: Run, *, name: str, button: str, height_px: int) -> None:
    """Shows `run` while it goes on, now and whenever the button is pressed (where somebody is
    watching); its last picture is an ordinary figure called `name` (always).

    Headless, `run` is given None, because nobody sees the pictures in between. Raises what `run`
    raises the first time.
    """
    import ipywidgets

    lab = running_lab()
    if lab.headless:
        lab.picture(name, *run(None))
        return
    screen = _Screen(height_px)
    trigger = ipywidgets.Button(description=button, icon="play", button_style="primary")

    def start(_: object) -> None:
        trigger.disabled = True
        try:
            screen.show(*run(screen.show))
        except Exception:  # the boundary to the learner: shown in full, in place of the picture
            screen.show_error()
        finally:
            trigger.disabled = False

    trigger.disabled = True
    stage = ipywidgets.VBox([trigger, screen.frame, screen.caption])
    stage.add_class(PLAY_CLASS)
    show_controls(stage)
    held_back = not all_guessed()
    picture, words = run(None if held_back else screen.show)
    if held_back:
        screen.say(f"Guess above, before you look. Then press “{button}” to see it live.")
    else:
        screen.show(picture, f"That was it. Press “{button}” to see it again, live.")
    trigger.on_click(start)
    trigger.disabled = False
    with until_all_guessed():
        lab.picture(name, picture, words)


class _Screen:
    """An image, exchanged for the next one in place, and the words under it. It has the room of the
    highest so far, at most `height_px`: nothing jumps, and no picture leaves a hole.
    """

    def __init__(self, height_px: int) -> None:
        import ipywidgets

        self._picture = ipywidgets.HTML(layout={"width": "100%", "margin": "0"})
        self._most_px, self._height_px = height_px, 0
        self.frame = ipywidgets.Box(  # no room for a picture that is not there
            [self._picture], layout={"height": "0px", "overflow": "hidden"}
        )
        self.caption = ipywidgets.HTML()

    def show(self, picture: Picture, words: str) -> None:
        png = picture.png()
        _, needed_px = png_dimensions_px(png)
        self._height_px = max(self._height_px, min(needed_px, self._most_px))
        encoded = base64.b64encode(png).decode()
        self._picture.value = picture_markup(encoded, picture.alt, f"max-height:{self._most_px}px")
        self.frame.layout.height = f"{self._height_px}px"
        self.say(words)

    def say(self, words: str) -> None:
        self.caption.value = f"<p style='{_CAPTION}'>{html.escape(words)}</p>"

    def show_error(self) -> None:
        """The exception that is being handled."""
        self.caption.value = error_markup(traceback.format_exc())


def _widget(name: str, control: Control) -> Any:
    import ipywidgets

    wide = {"style": {"description_width": "initial"}, "layout": {"width": _CONTROL_WIDTH}}
    label = control.label or name.replace("_", " ")
    if isinstance(control, Slider):
        return ipywidgets.IntSlider(
            value=control.start,
            min=control.low,
            max=control.high,
            step=control.step,
            description=label,
            continuous_update=False,
            readout_format=",d",
            **wide,
        )
    if isinstance(control, Number):
        return ipywidgets.BoundedIntText(
            value=control.start,
            min=control.low,
            max=control.high,
            description=label,
            continuous_update=False,
            **wide,
        )
    if isinstance(control, Stops):
        return ipywidgets.SelectionSlider(
            options=list(control.values),
            value=control.start,
            description=label,
            continuous_update=False,
            **wide,
        )
    if isinstance(control, Steps):
        return ipywidgets.Play(
            value=control.start,
            min=control.low,
            max=control.high,
            interval=_FRAME_MS,
            description=label,
            tooltip=label,
            show_repeat=False,
        )
    return ipywidgets.Dropdown(
        options=list(control.options), value=control.start, description=label, **wide
    )


def error_markup(trace: str) -> str:
    """A traceback as HTML that the scan of a run recognises."""
    return (
        f"<div class='{ERROR_MARK}' role='alert' "
        "style='color:#a3333d;max-height:12em;overflow:auto'>"
        f"<strong>This did not work</strong><pre>{html.escape(trace)}</pre></div>"
    )
