"""Lab 06, the film: a segment's pages at several moments, and what one can do to a live broker."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.page_residency import PAGE_BYTES
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.pictures.residency_map import SegmentPages, residency_map
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.workbench import flight_events
from zerocopy_lab.workbench.fetching import evict_when_let_go
from zerocopy_lab.workbench.lessons.page_cache import TOPIC, Written, flush, segment_of
from zerocopy_lab.workbench.lessons.page_frames import frame_of, share_of
from zerocopy_lab.workbench.running_broker import RunningBroker

_LITTLE_AHEAD = {"queued.max.messages.kbytes": 1024, "fetch.message.max.bytes": 256 << 10}
"""librdkafka fetches 64 MiB ahead of what is asked for, unless told otherwise."""


class Film(NamedTuple):
    """The segment's pages at several moments."""

    frames: list[SegmentPages]


def film_of(broker: RunningBroker, written: Written) -> Film:
    """Acknowledged, flushed and read, evicted, a quarter read again. (Where pages cannot be
    evicted, only the first two.)
    """
    film = Film([written.frame])
    look(film, broker.data_dir, "flushed, read")
    with contextlib.suppress(NotEvicted, Unavailable):  # the finding on P2 says so in words
        for action in ("evict everything", "read a quarter"):
            film.frames.append(act(broker, written, action).frames[-1])
    return film


def look(film: Film, data_dir: Path, moment: str) -> None:
    """Adds a frame: what is in memory now."""
    film.frames.append(frame_of(moment, segment_of(data_dir)))


def film_picture(film: Film) -> Picture:
    """One row per moment."""
    pages = max((cell.pages for frame in film.frames for cell in frame.cells), default=1)
    return residency_map(film.frames, cell_bytes=pages * PAGE_BYTES, origin=Origin("COUNTED"))


def film_words(film: Film) -> str:
    """The conclusion under that picture."""
    if not any(frame.cells for frame in film.frames):
        return "This kernel does not tell which pages of a file are in memory."
    told = [
        f"{frame.name}: {share_of(frame, 'resident'):.0%} in memory, "
        f"{share_of(frame, 'dirty'):.0%} only there"
        for frame in film.frames
    ]
    return f"{'; '.join(told)}."


ACTIONS = ("read a quarter", "read everything", "evict everything", "write 5,000 more", "flush")


def act(broker: RunningBroker, written: Written, action: str) -> Film:
    """Does something to the live broker; the frames before and after it."""
    film, segment = Film([]), segment_of(broker.data_dir)
    look(film, broker.data_dir, "before")
    if action == "evict everything":
        evict_when_let_go(segment)
    elif action == "flush":
        flush(segment)
    elif action == "write 5,000 more":
        flight_events.produce(broker.bootstrap, TOPIC, flight_events.repeated(5_000))
    else:
        share = 4 if action == "read a quarter" else 1
        messages = written.sent.messages // share
        flight_events.consume(broker.bootstrap, TOPIC, messages, config=_LITTLE_AHEAD)
    look(film, broker.data_dir, action)
    return film


def action_picture(broker: RunningBroker, written: Written, action: str) -> Picture:
    """The segment's pages before and after an action on the live broker."""
    return film_picture(act(broker, written, action))


def action_words(action: str) -> str:
    """What to look for in that picture."""
    return {
        "read a quarter": "The first quarter comes into memory, and a little beyond it.",
        "read everything": "Whatever was missing comes into memory.",
        "evict everything": "The pages go; the bytes stay on the disk, and the log is as long.",
        "write 5,000 more": "The file grows at its end, and what is new is dirty.",
        "flush": "Dirty pages become clean ones; they stay in memory.",
    }[action]
