"""A console for a broker, in a notebook: topics, partitions, segments, pages in memory, live rates.

    zerocopy_lab.console(broker)          # a RunningBroker, or anything with its attributes

`broker_view` looks, `console_table` shows; here are the buttons. In a headless run the console is
one ordinary table.

Left out: changing anything. The admin client and the command line do that.
"""

from __future__ import annotations

import html
import threading
import traceback
from collections.abc import Mapping
from typing import Any, ClassVar

from zerocopy_lab.classroom.console_table import in_words, markup
from zerocopy_lab.classroom.explore import error_markup
from zerocopy_lab.classroom.lab import nobody_is_watching
from zerocopy_lab.classroom.notebook_output import show_controls, show_html
from zerocopy_lab.running.broker_view import View, Watched, look
from zerocopy_lab.running.running_broker import BrokerNotRunning


def console(broker: Watched, *, live: bool = False, every_s: float = 1.0) -> None:
    """Shows the console: a table with a button and a switch, headless the table alone.

    With `live` the switch is on from the start, so that the console looks every `every_s` seconds
    while the cells below it run. (A switch that is pressed meanwhile has to wait for them.)
    """
    if nobody_is_watching():
        view = look(broker)
        show_html(markup(view), plain=in_words(view))
        return
    view = look(broker)  # stays as it is: what comes later stands in a table of its own
    show_html(f"<p>A first look, which stays:</p>{markup(view)}", plain=in_words(view))
    panel = _Panel(broker, every_s, view)
    show_controls(panel.widget)
    panel.switch(live)


class _Panel:
    """The live console: a table, "Look now", and a switch that looks by itself.

    At most one panel looks by itself: when a cell runs again, the panel of its first run is no
    longer to be seen, and could not be switched off.
    """

    _live: ClassVar[_Panel | None] = None

    def __init__(self, broker: Watched, every_s: float, first_look: View | None = None) -> None:
        import ipywidgets

        self._broker, self._every_s = broker, every_s
        self._before: View | None = first_look
        self._stop = threading.Event()
        self._table = ipywidgets.HTML(layout={"width": "100%", "margin": "0"})
        self._switch = ipywidgets.ToggleButton(description="Live", icon="play")
        button = ipywidgets.Button(description="Look now", icon="refresh")
        button.on_click(self.refresh)
        self._switch.observe(self._switched, names="value")
        frame = ipywidgets.Box([self._table], layout={"max_height": "24em", "overflow": "auto"})
        self.widget = ipywidgets.VBox([ipywidgets.HBox([button, self._switch]), frame])
        self._table.value = "Look now, or go live, to see what has changed since the first look."

    def refresh(self, _: object = None) -> bool:
        """One look; what went wrong is shown in place of the table. Returns whether all was
        well.
        """
        try:
            view = look(self._broker)
            self._table.value = markup(view, self._before)
        except Exception:  # the boundary to the learner: shown in full
            self._table.value = _has_ended(self._broker) or error_markup(traceback.format_exc())
            return False
        self._before = view
        return True

    def switch(self, live: bool) -> None:
        """As if the switch were pressed."""
        self._switch.value = live

    def _switched(self, change: Mapping[str, Any]) -> None:
        self._stop.set()
        self._switch.icon = "pause" if change["new"] else "play"
        if not change["new"]:
            return
        other, _Panel._live = _Panel._live, self
        if other is not None and other is not self:
            other.switch(False)
        self._stop = threading.Event()
        threading.Thread(target=self._follow, args=(self._stop,), daemon=True).start()

    def _follow(self, stop: threading.Event) -> None:
        """Looks again and again until the switch is off or the broker has gone."""
        while not stop.wait(self._every_s):
            if not self.refresh():
                self.switch(False)


def _has_ended(broker: Watched) -> str | None:
    """Words for a broker that is no longer there, which is nobody's error; None: it is there."""
    try:
        _ = broker.pid
    except BrokerNotRunning as ended:
        return (
            "<div style='line-height:1.35;padding:.5em .8em'>This broker is not running any more. "
            "To look at a new one, run this cell again.<br>"
            f"<details><summary>its last words</summary><pre>{html.escape(str(ended))}</pre>"
            "</details></div>"
        )
    return None
