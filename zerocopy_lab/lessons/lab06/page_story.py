"""Lab 06, the live page map: what was seen of three at one log (`page_scene`), drawn and told."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from zerocopy_lab.classroom.explore import Run, Show
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.instruments.page_residency import PAGE_BYTES
from zerocopy_lab.lessons.lab06.page_scene import (
    CAUGHT_UP,
    CELL_PAGES,
    EVICTED,
    LATE,
    WHO,
    Scene,
    Script,
    play,
)
from zerocopy_lab.measuring.recorded import (
    marked,
    recorded,
    recorded_origin,
    recorded_words,
)
from zerocopy_lab.pictures.memory_over_time import Moment
from zerocopy_lab.pictures.pages_over_time import Look, pages_over_time
from zerocopy_lab.pictures.residency_map import PageCell
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running.running_broker import RunningBroker

RECORDED_AS = "06 three at one log"
_CELL_BYTES = CELL_PAGES * PAGE_BYTES
_DIGITS = "0123456789abcdefg"
"""A cell's count of pages in one character: 0 to CELL_PAGES."""


def story_of(broker: RunningBroker, lab: Lab) -> Run:
    """For `play`: the three at this broker, shown while they are at work."""
    return partial(_run, broker, lab)


def _run(broker: RunningBroker, lab: Lab, show: Show | None) -> tuple[Picture, str]:
    def seen(scene: Scene) -> None:
        if show is not None and scene.looks:
            show(picture_of(scene), f"{scene.looks[-1].at_s:.1f} s of {scene.script.seconds:g} s")

    scene = play(broker, lab, seen if show is not None else None)
    return story_picture(scene), story_words(scene)


def story_picture(scene: Scene | str) -> Picture:
    """The page map over time; where pages could not be seen, that of the reference run."""
    if isinstance(scene, str):
        return marked(picture_of(scene_from(recorded(RECORDED_AS)), recorded_origin("COUNTED")))
    return picture_of(scene)


def picture_of(scene: Scene, origin: Origin | None = None) -> Picture:
    """What has been seen so far, on axes for the whole scene."""
    return pages_over_time(
        scene.looks[:],  # of a scene that may still be growing
        cell_bytes=_CELL_BYTES,
        who=WHO,
        until_s=scene.script.seconds,
        until_bytes=scene.script.most_bytes,
        origin=origin or Origin("COUNTED", f"{len(scene.looks)} looks at all pages"),
        starts=scene.starts[:],
        moments=scene.moments[:],
        tells_dirty=scene.tells_dirty,
    )


# -- in words --------------------------------------------------------------------------------------


def story_words(scene: Scene | str) -> str:
    """The conclusion under that picture."""
    if isinstance(scene, str):
        told = recorded_words(story_words(scene_from(recorded(RECORDED_AS))))
        return f"Not seen on this machine: {scene} {told}"
    evicted, late, caught_up = (_when(scene, what) for what in (EVICTED, LATE, CAUGHT_UP))
    if evicted is None or late is None:
        return "The late reader did not even begin in time: this machine was too busy."
    return " ".join([_tail_in_words(scene, evicted), _late_in_words(scene, late, caught_up)])


def _when(scene: Scene, what: str) -> float | None:
    return next((moment.at_s for moment in scene.moments if moment.what == what), None)


def _tail_in_words(scene: Scene, evicted_s: float) -> str:
    looks = [look for look in scene.looks if look.at_s >= evicted_s]
    served = sum(_tail_is_in_memory(look) for look in looks)
    told = (
        f"At {evicted_s:.1f} s the old segments were put out of memory. In {served} of the "
        f"{len(looks)} looks since then, all that the tail reader had yet to read was in memory"
    )
    return f"{told}: the eviction was nothing to it." if served == len(looks) else f"{told}."


def _tail_is_in_memory(look: Look) -> bool:
    """All whole cells between the tail reader and the log's end."""
    first = (look.places[1] or 0) // _CELL_BYTES
    return all(cell.resident == cell.pages for cell in look.cells[first:])


def _late_in_words(scene: Scene, late_s: float, caught_up_s: float | None) -> str:
    begun = [look for look in scene.looks if look.at_s <= late_s]
    absent = [
        sum(cell.pages - cell.resident for cell in look.cells) * PAGE_BYTES
        for look in (begun[-1], scene.looks[-1])
    ]
    told = (
        f"The late reader began at {late_s:.1f} s, with {byte_count(absent[0])} of the log absent; "
        f"at the end {byte_count(absent[1])} were."
    )
    if scene.device_bytes is not None:
        before, since = map(byte_count, scene.device_bytes)
        told += f" The broker had {before} read from the device before it came, {since} since."
    if caught_up_s is None:
        return f"{told} It had not caught up when the time was over."
    return f"{told} After {caught_up_s - late_s:.1f} s it had caught up, and is a tail reader too."


# -- the reference run -----------------------------------------------------------------------------


def plain(scene: Scene) -> dict[str, Any]:
    """A scene as JSON holds it: each look is its moment, its places and a digit per cell."""
    return {
        "script": scene.script._asdict(),
        "looks": [_plain_look(look) for look in scene.looks],
        "starts": scene.starts,
        "moments": [[round(moment.at_s, 3), moment.what] for moment in scene.moments],
        "device_bytes": scene.device_bytes,
        "tells_dirty": scene.tells_dirty,
    }


def _plain_look(look: Look) -> list[Any]:
    resident, dirty = (
        "".join(_DIGITS[getattr(cell, count)] for cell in look.cells)
        for count in ("resident", "dirty")
    )
    return [round(look.at_s, 3), look.places, look.cells[-1].pages, resident, dirty]


def scene_from(fields: Mapping[str, Any]) -> Scene:
    """The scene that `plain` made these fields of."""
    return Scene(
        Script(**fields["script"]),
        [_look_from(*look) for look in fields["looks"]],
        fields["starts"],
        [Moment(*moment) for moment in fields["moments"]],
        fields["device_bytes"] and tuple(fields["device_bytes"]),
        fields["tells_dirty"],
    )


def _look_from(
    at_s: float, places: list[int | None], last_pages: int, resident: str, dirty: str
) -> Look:
    pages = [CELL_PAGES] * (len(resident) - 1) + [last_pages]
    counts = ((_DIGITS.index(one) for one in digits) for digits in (resident, dirty))
    return Look(at_s, tuple(map(PageCell, pages, *counts)), tuple(places))
