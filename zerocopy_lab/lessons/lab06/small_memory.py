"""Lab 06, three at one log in a small memory: a producer, a tail reader, a late reader, and who
looks which pages of the log are in memory.

The broker's memory is made small by a control group (`running.limited_group`): the pages that it
brings in count, so that the kernel has to decide, as on a machine whose logs are larger than its
memory. Who writes and reads when is up to the caller (in the notebook); here is what each of them
does, with this kit's own client, one after the other in one thread. `or_recorded` shows the
reference run where control groups may not be made.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

from zerocopy_lab.classroom.explore import Run, Show
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.block_io import process_block_io
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, PageMap, page_map
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.fetching import segments_of
from zerocopy_lab.measuring.recorded import marked, recorded, recorded_origin, recorded_words
from zerocopy_lab.pictures.memory_over_time import Moment
from zerocopy_lab.pictures.pages_over_time import Look, pages_over_time
from zerocopy_lab.pictures.residency_map import PageCell
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.limited_group import LimitedGroup
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.topic_admin import create_topic

TOPIC, RECORDED_AS = "pages", "06 three in a small memory"
MEMORY_BYTES: Final = 20 << 20
TAIL, LATE = "tail reader", "late reader"
_WHO: Final = ("producer: the log's end", TAIL, LATE)
_HISTORY_MESSAGES: Final = 120_000
_PORTION_MESSAGES: Final = 15_000
"""Some 3 MiB: little enough to be dirty all at once."""
_SEGMENT_BYTES: Final = 1 << 20
_CELL_PAGES: Final = 16
_CELL_BYTES: Final = _CELL_PAGES * PAGE_BYTES
_NEWEST_BYTES: Final = 8 << 20
_DIGITS = "0123456789abcdefg"
"""A cell's count of pages in one character: 0 to _CELL_PAGES."""


class SmallMemory:
    """A broker with little memory and a log that is larger, from `with` to the end of the block.

    Raises Unavailable where a control group may not be made or pages cannot be seen.
    """

    def __init__(self) -> None:
        self.scene = Scene()
        self._places: dict[str, tuple[int, int]] = {}  # who -> offset and position in bytes
        self._events = itertools.cycle(flight_events.flight_events())

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._broker = stack.enter_context(RunningBroker())
            group = LimitedGroup(self._broker.data_dir, memory_bytes=MEMORY_BYTES)
            stack.enter_context(group).take(self._broker.pid)
            address = self._broker.bootstrap
            create_topic(address, TOPIC, settings={"segment.bytes": str(_SEGMENT_BYTES)})
            events = flight_events.repeated(_HISTORY_MESSAGES)
            while portion := list(itertools.islice(events, _PORTION_MESSAGES)):
                flight_events.produce(address, TOPIC, portion, {"batch.size": 16 << 10})
                self._flush()
            self._wire = stack.enter_context(Wire(self._broker.host, self._broker.port))
            self._places[TAIL] = _HISTORY_MESSAGES, self._log_bytes()
            self._began_s = time.monotonic()
            self.look()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, batches: int = 8) -> None:
        """The producer: so many batches of 80 events, some 16 KiB each."""
        for _ in range(batches):
            events = itertools.islice(self._events, 80)
            now_ms = int(time.time() * 1000)
            records = [Record(at, now_ms, None, each) for at, each in enumerate(events)]
            produce(self._wire, TOPIC, 0, build_batch(records))

    def read(self, who: str, most_bytes: int = 1 << 20) -> None:
        """A Fetch from where this reader is: the whole batches that come are behind it then."""
        if who not in self._places:
            self._places[who] = 0, 0
            self.scene.moments.append(Moment(self._now_s(), f"{who} begins"))
        offset, position = self._places[who]
        before = process_block_io(self._broker.pid).read_bytes
        came = fetch(self._wire, TOPIC, 0, offset, max_bytes=most_bytes)
        fetched = process_block_io(self._broker.pid).read_bytes - before
        self.scene.device_bytes[who] = self.scene.device_bytes.get(who, 0) + fetched
        for _, header in iterate_headers(memoryview(came.records), may_be_cut=True):
            offset, position = header.last_offset + 1, position + header.total_bytes
        self._places[who] = offset, position

    def look(self, show: Show | None = None) -> None:
        """Which pages are in memory now, and where everybody is; shown now and then."""
        maps = [page_map(segment) for segment in segments_of(self._broker.data_dir, TOPIC)]
        cells = cells_of(maps, _CELL_PAGES)
        readers = (self._places.get(who, (0, None))[1] for who in (TAIL, LATE))
        self.scene.looks.append(Look(self._now_s(), cells, (self._log_bytes(), *readers)))
        if show is not None and len(self.scene.looks) % 6 == 0:
            show(self.scene.picture(), f"{self._now_s():.1f} s")

    def _flush(self) -> None:
        """Clean pages are given up oldest first. Of a memory full of dirty ones the kernel gives up
        those that the disk happens to get first, the newest among them: a busy disk would decide
        what the story begins with.
        """
        for segment in segments_of(self._broker.data_dir, TOPIC):
            with segment.open("rb") as file:
                os.fsync(file.fileno())

    def _log_bytes(self) -> int:
        return sum(each.stat().st_size for each in segments_of(self._broker.data_dir, TOPIC))

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s


def cells_of(maps: Sequence[PageMap], pages_a_cell: int) -> tuple[PageCell, ...]:
    """The pages of some files, one after the other, so many to a cell."""
    resident = b"".join(each.resident for each in maps)
    dirty = b"".join(each.dirty or bytes(len(each.resident)) for each in maps)
    cells = []
    for first in range(0, len(resident), pages_a_cell):
        end = min(first + pages_a_cell, len(resident))
        counts = resident.count(1, first, end), dirty.count(1, first, end)
        cells.append(PageCell(end - first, *counts))
    return tuple(cells)


class Scene:
    """What has been seen so far, drawn and told."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.moments: list[Moment] = []
        self.device_bytes: dict[str, int] = {}
        """what the broker had read from the device for each reader"""

    def picture(self, origin: Origin | None = None) -> Picture:
        """The pages over time and everybody's way through the log."""
        last = self.looks[-1]
        return pages_over_time(
            self.looks[:],
            cell_bytes=_CELL_BYTES,
            who=_WHO,
            until_s=last.at_s,
            until_bytes=len(last.cells) * _CELL_BYTES,
            origin=origin or Origin("COUNTED", f"{len(self.looks)} looks at all pages"),
            moments=self.moments[:],
            title="Which pages of the log are in memory, and where everybody is",
        )

    def words(self) -> str:
        """What became of the newest pages, and who had to go to the device."""
        before = [_newest_in_memory(look) for look in self.looks if look.places[2] is None]
        beside = [_newest_in_memory(look) for look in self.looks if look.places[2] is not None]
        tail, late = (byte_count(self.device_bytes.get(who, 0)) for who in (TAIL, LATE))
        return (
            f"Of the newest {byte_count(_NEWEST_BYTES)} of the log, at least "
            f"{byte_count(min(before))} were in memory before the late reader came, and at the "
            f"worst moment beside it {byte_count(min(beside, default=0))}. From the device the "
            f"broker had {tail} read for the tail reader and {late} for the late one, which got "
            f"{byte_count(self.looks[-1].places[2] or 0)}."
        )

    def plain(self) -> dict[str, Any]:
        """As JSON holds it: each look is its moment, its places and a digit per cell."""
        return {
            "looks": [
                [round(look.at_s, 3), look.places, look.cells[-1].pages, _digits(look)]
                for look in self.looks
            ],
            "moments": [[round(moment.at_s, 3), moment.what] for moment in self.moments],
            "device_bytes": self.device_bytes,
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Scene:
        """The scene that `plain` made these fields of."""
        scene = cls()
        for at_s, places, last_pages, digits in fields["looks"]:
            pages = [_CELL_PAGES] * (len(digits) - 1) + [last_pages]
            counts = (_DIGITS.index(digit) for digit in digits)
            scene.looks.append(Look(at_s, tuple(map(PageCell, pages, counts)), tuple(places)))
        scene.moments = [Moment(*moment) for moment in fields["moments"]]
        scene.device_bytes = dict(fields["device_bytes"])
        return scene


def _newest_in_memory(look: Look) -> int:
    newest = look.cells[-(_NEWEST_BYTES // _CELL_BYTES) :]
    return sum(cell.resident for cell in newest) * PAGE_BYTES


def _digits(look: Look) -> str:
    return "".join(_DIGITS[cell.resident] for cell in look.cells)


def or_recorded(run: Callable[[Show | None], Scene]) -> Run:
    """For `play`: what `run` saw; where it cannot be run, the scene of the reference run."""

    def told(show: Show | None) -> tuple[Picture, str]:
        try:
            scene = run(show)
        except Unavailable as reason:
            there = Scene.of(recorded(RECORDED_AS))
            words = f"A small memory could not be made here: {reason}"
            picture = marked(there.picture(recorded_origin("COUNTED")))
            return picture, f"{words} {recorded_words(there.words())}"
        return scene.picture(), scene.words()

    return told
