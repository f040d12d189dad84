"""A console for a broker, in a notebook: topics, partitions, segments, pages in memory, live rates.

    zerocopy_lab.console(broker)          # a RunningBroker, or anything with its attributes

What the broker says comes through Kafka's own admin client (topics, offsets, settings), what its
disk says from its directory (segments, bytes), what the kernel says from the page cache and from
/proc (pages in memory, dirty pages, CPU). `look` takes one look at everything, as plain values;
rates are the difference of two looks. In a headless run the console is one ordinary table.

Left out: changing anything. The admin client and the command line do that.
"""

from __future__ import annotations

import html
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from zerocopy_lab.instruments.page_residency import PAGE_BYTES, page_counts
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.pictures.theme import byte_count
from zerocopy_lab.workbench.explore import error_markup
from zerocopy_lab.workbench.lab import nobody_is_watching
from zerocopy_lab.workbench.notebook_output import display, show_html
from zerocopy_lab.workbench.topic_admin import admin_client

_ANSWER_TIMEOUT_S = 10
_SETTINGS = ("retention.ms", "retention.bytes", "segment.bytes", "cleanup.policy")


class Watched(Protocol):
    """What a broker must have to be looked at."""

    @property
    def bootstrap(self) -> str:
        """HOST:PORT."""

    @property
    def pid(self) -> int:
        """Its process."""

    data_dir: Path


class OnDisk(NamedTuple):
    """A partition's files: how many segments, their bytes, how many of these are in memory."""

    segments: int
    log_bytes: int
    resident_bytes: int | None
    dirty_bytes: int | None


class PartitionRow(NamedTuple):
    """One partition: offsets from the broker, files from its disk, pages from the kernel."""

    topic: str
    partition: int
    first_offset: int
    end_offset: int
    files: OnDisk


class View(NamedTuple):
    """One look at a broker."""

    at_s: float
    broker_cpu_s: float
    partitions: tuple[PartitionRow, ...]
    settings: Mapping[str, Mapping[str, str]]
    """topic -> setting -> value"""


def look(broker: Watched) -> View:
    """Asks the broker, its disk and the kernel. Raises KafkaException, BrokerNotRunning."""
    admin = admin_client(broker.bootstrap)
    topics = admin.list_topics(timeout=_ANSWER_TIMEOUT_S).topics
    rows = _offsets(admin, [(name, p) for name, topic in topics.items() for p in topic.partitions])
    partitions = tuple(
        PartitionRow(*of, first, end, _on_disk(broker.data_dir, *of))
        for of, (first, end) in sorted(rows.items())
    )
    settings = _settings(admin, list(topics))
    return View(time.monotonic(), cpu_seconds(broker.pid), partitions, settings)


def _offsets(admin: Any, of: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
    """(topic, partition) -> first offset and the one after the last."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

    partitions = [TopicPartition(*each) for each in of]
    if not partitions:
        return {}
    ends = []
    specs: Any = OffsetSpec  # untyped
    for spec in (specs.earliest(), specs.latest()):
        asked = admin.list_offsets(dict.fromkeys(partitions, spec))
        answers = {p: future.result(_ANSWER_TIMEOUT_S).offset for p, future in asked.items()}
        ends.append({(p.topic, p.partition): offset for p, offset in answers.items()})
    return {each: (ends[0][each], ends[1][each]) for each in of}


def _settings(admin: Any, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

    if not topics:
        return {}
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics])
    return {
        resource.name: {
            name: entry.value
            for name, entry in future.result(_ANSWER_TIMEOUT_S).items()
            if name in _SETTINGS
        }
        for resource, future in asked.items()
    }


def _on_disk(data_dir: Path, topic: str, partition: int) -> OnDisk:
    """What is in the partition's directory now; None: the kernel does not tell."""
    segments = list((data_dir / f"{topic}-{partition}").glob("*.log"))
    try:
        log_bytes = sum(path.stat().st_size for path in segments)
        counts = [page_counts(path) for path in segments]
    except FileNotFoundError:  # retention was faster than we: look again
        return _on_disk(data_dir, topic, partition)
    except Unavailable:
        return OnDisk(len(segments), log_bytes, None, None)
    resident, dirty = (
        min(log_bytes, PAGE_BYTES * sum(getattr(each, state) or 0 for each in counts))
        for state in ("resident", "dirty")
    )
    return OnDisk(len(segments), log_bytes, resident, dirty)


# -- what is shown ---------------------------------------------------------------------------------


def markup(view: View, before: View | None = None) -> str:
    """The view as an HTML table, with rates if there was an earlier look."""
    head = ["topic", "p", "offsets", "segments", "bytes", "in memory", "dirty", "messages/s"]
    head += ["keeps for", "keeps at most", "segment size"]
    seconds = view.at_s - before.at_s if before else 0.0
    rows = "".join(_row(view, row, before, seconds) for row in view.partitions)
    cells = "".join(f"<th style='{_CELL};color:#5f5f5f'>{name}</th>" for name in head)
    empty = f"<tr><td style='{_CELL}' colspan='{len(head)}'>no topics yet</td></tr>"
    return (
        "<div style='color:#1c1c1e;background:#fdfdfb;padding:.6em 1em;overflow-x:auto;"
        "font-size:12px'>"
        f"<table style='border-collapse:collapse;font-variant-numeric:tabular-nums'>"
        f"<thead><tr>{cells}</tr></thead><tbody>{rows or empty}</tbody></table>"
        f"<div style='color:#5f5f5f;margin-top:.4em'>{_broker_line(view, before, seconds)}</div>"
        "</div>"
    )


_CELL = "text-align:left;padding:.2em .8em .2em 0;white-space:nowrap"


def _row(view: View, row: PartitionRow, before: View | None, seconds: float) -> str:
    settings = view.settings.get(row.topic, {})
    cells = [
        html.escape(row.topic),
        str(row.partition),
        f"{row.first_offset:,} … {row.end_offset:,}",
        str(row.files.segments),
        byte_count(row.files.log_bytes),
        _share_bar(row),
        "?" if row.files.dirty_bytes is None else byte_count(row.files.dirty_bytes),
        f"{_messages_since(before, row) / seconds:,.0f}" if seconds else "–",
        _kept_for(settings.get("retention.ms", "-1")),
        _kept_bytes(settings.get("retention.bytes", "-1")),
        _kept_bytes(settings.get("segment.bytes", "-1")),
    ]
    return "<tr>" + "".join(f"<td style='{_CELL}'>{cell}</td>" for cell in cells) + "</tr>"


def _share_bar(row: PartitionRow) -> str:
    """The share of a partition that is in memory, as a bar and in figures."""
    if row.files.resident_bytes is None:
        return "?"
    share = row.files.resident_bytes / row.files.log_bytes if row.files.log_bytes else 0.0
    return (
        "<span style='display:inline-block;width:6em;height:.7em;background:#e4e4e4;"
        f"margin-right:.5em'><span style='display:block;height:100%;background:#56b4e9;"
        f"width:{share:.0%}'></span></span>{share:.0%}"
    )


def _messages_since(before: View | None, row: PartitionRow) -> int:
    known = before.partitions if before else ()
    earlier = {(each.topic, each.partition): each.end_offset for each in known}
    return row.end_offset - earlier.get((row.topic, row.partition), 0)


def _kept_for(retention_ms: str) -> str:
    if retention_ms == "-1":
        return "ever"
    hours = int(retention_ms) / 3_600_000
    return f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} hours"


def _kept_bytes(setting: str) -> str:
    return "any size" if setting == "-1" else byte_count(int(setting))


def _broker_line(view: View, before: View | None, seconds: float) -> str:
    total = sum(row.files.log_bytes for row in view.partitions)
    told = f"partitions: {len(view.partitions)} · log: {byte_count(total)}"
    if before and seconds:
        share = (view.broker_cpu_s - before.broker_cpu_s) / seconds
        told += f" · broker CPU {share:.0%} of one core"
    return told


# -- the widget ------------------------------------------------------------------------------------


def console(broker: Watched, *, every_s: float = 1.0) -> None:
    """Shows the console: live with a button and a switch, headless as one table."""
    if nobody_is_watching():
        view = look(broker)
        show_html(markup(view), plain="\n".join(map(_in_words, view.partitions)) or "no topics yet")
        return
    display(_Panel(broker, every_s).widget)


def _in_words(row: PartitionRow) -> str:
    resident = "?" if row.files.resident_bytes is None else byte_count(row.files.resident_bytes)
    return (
        f"{row.topic}-{row.partition}: offsets {row.first_offset} to {row.end_offset}, "
        f"{row.files.segments} segments, {byte_count(row.files.log_bytes)}, {resident} in memory"
    )


class _Panel:
    """The live console: a table of fixed height, "Look now", and a switch that looks by itself."""

    def __init__(self, broker: Watched, every_s: float) -> None:
        import ipywidgets

        self._broker, self._every_s = broker, every_s
        self._before: View | None = None
        self._stop = threading.Event()
        self._table = ipywidgets.HTML()
        self._live = ipywidgets.ToggleButton(description="Live", icon="play")
        button = ipywidgets.Button(description="Look now", icon="refresh")
        button.on_click(self.refresh)
        self._live.observe(self._switch, names="value")
        frame = ipywidgets.Box([self._table], layout={"height": "200px", "overflow": "auto"})
        self.widget = ipywidgets.VBox([ipywidgets.HBox([button, self._live]), frame])
        self.refresh()

    def refresh(self, _: object = None) -> bool:
        """One look; an error is shown in place of the table. Returns whether all was well."""
        try:
            view = look(self._broker)
            self._table.value = markup(view, self._before)
        except Exception:  # the boundary to the learner: shown in full
            self._table.value = error_markup(traceback.format_exc())
            return False
        self._before = view
        return True

    def _switch(self, change: Mapping[str, Any]) -> None:
        self._stop.set()
        if change["new"]:
            self._stop = threading.Event()
            threading.Thread(target=self._follow, args=(self._stop,), daemon=True).start()

    def _follow(self, stop: threading.Event) -> None:
        """Looks again and again until the switch is off or the broker has gone."""
        while not stop.wait(self._every_s):
            if not self.refresh():
                self._live.value = False
