"""Lab 06, by hand: what one can do to a live broker, and its segment's pages before and after."""

from __future__ import annotations

from pathlib import Path

from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageMap, page_map
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.lessons.lab06.page_cache import TOPIC, Written, flush, segment_of
from zerocopy_lab.measuring.fetching import evict_when_let_go
from zerocopy_lab.pictures.residency_map import PageCell, SegmentPages, residency_map
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker

CELLS = 64

_WORDS = {
    "read a quarter": "The first quarter comes into memory, and more that was fetched ahead.",
    "read everything": "Whatever was missing comes into memory.",
    "evict everything": "The pages go; the bytes stay on the disk, and the log is as long.",
    "write 5,000 more": "The file grows at its end, and what is new is dirty.",
    "flush": "Dirty pages become clean ones; they stay in memory.",
}
ACTIONS = tuple(_WORDS)

_LITTLE_AHEAD = {"queued.max.messages.kbytes": 1024, "fetch.message.max.bytes": 256 << 10}
"""librdkafka fetches 64 MiB ahead of what is asked for, unless told otherwise."""


class ByHand:
    """A broker, what was written to it, and what was done to it last."""

    def __init__(self, broker: RunningBroker, written: Written) -> None:
        self._broker, self._written = broker, written
        self._segment = segment_of(broker.data_dir)
        self._why_not: str | None = None

    def picture(self, action: str) -> Picture:
        """Does it; the segment's pages before and after."""
        frames, self._why_not = [], None
        try:
            frames.append(_frame_of("before", self._segment))
            self._do(action)
            frames.append(_frame_of(action, self._segment))
        except (NotEvicted, Unavailable) as reason:
            self._why_not = f"Not on this machine: {reason}"
        pages = max((cell.pages for frame in frames for cell in frame.cells), default=1)
        return residency_map(
            frames,
            cell_bytes=pages * PAGE_BYTES,
            origin=Origin("COUNTED", "pages of one segment"),
            why_empty=self._why_not or "",
        )

    def words(self, action: str) -> str:
        """What to look for in that picture, or why it could not be done."""
        return self._why_not or _WORDS[action]

    def _do(self, action: str) -> None:
        if action == "evict everything":
            evict_when_let_go(self._segment)
        elif action == "flush":
            flush(self._segment)
        elif action == "write 5,000 more":
            flight_events.produce(self._broker.bootstrap, TOPIC, flight_events.repeated(5_000))
        else:
            share = 4 if action == "read a quarter" else 1
            messages = self._written.sent.messages // share
            flight_events.consume(self._broker.bootstrap, TOPIC, messages, config=_LITTLE_AHEAD)


def _frame_of(moment: str, segment: Path) -> SegmentPages:
    """What of the segment is in memory now. Raises Unavailable."""
    return SegmentPages(moment, cells_of(page_map(segment)))


def cells_of(pages: PageMap) -> tuple[PageCell, ...]:
    """A page map summed up in at most CELLS cells."""
    per_cell = max(1, -(-len(pages.resident) // CELLS))
    return tuple(
        PageCell(
            len(pages.resident[at : at + per_cell]),
            sum(pages.resident[at : at + per_cell]),
            sum(pages.dirty[at : at + per_cell]) if pages.dirty is not None else 0,
        )
        for at in range(0, len(pages.resident), per_cell)
    )
