"""The exercises of lab 06: what survives, how late is too late, which counter tells, and a page
cache of one's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from zerocopy_lab.classroom.exercises import NOT_ATTEMPTED, Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab

_SURVIVES = {"kill -9": "kept", "power cut": "lost"}


def _grade_survival(answer: Any, lab: Lab) -> Grade:
    if not isinstance(answer, dict) or set(answer) != set(_SURVIVES):
        return failed(f"Answer with a dict whose keys are {list(_SURVIVES)}.")
    said = {event: str(word).strip().lower() for event, word in answer.items()}
    if said == _SURVIVES:
        return passed("The pages belong to the kernel: they outlive the process, not the machine.")
    if said["kill -9"] != "kept":
        return failed("Whose memory are dirty pages: the broker's, or the kernel's?")
    return failed("Dirty means: in memory only. What is left of memory without power?")


class LagLimit(NamedTuple):
    """A learner's own broker for exercise 06.2."""

    page_cache_bytes: int
    written_bytes_per_s: int


def lag_limit(lab: Lab) -> LagLimit:
    """Drawn from the seed: whole seconds come out."""
    draw = lab.random("lag limit")
    rate = draw.randrange(20, 200) * 1_000_000
    return LagLimit(rate * draw.randrange(60, 600), rate)


def _grade_lag(answer: Any, lab: Lab) -> Grade:
    cache_bytes, rate = lag_limit(lab)
    if answer == cache_bytes / rate:
        return passed("Beyond that the oldest pages had to make room, and the disk joins in.")
    if answer == cache_bytes / rate / 60:
        return failed("That is right in minutes. The question asks for seconds.")
    return failed("How long does it take until the whole cache has been written over once?")


_COUNTERS = {
    "rchar": "rchar counts what was asked for in some calls; sendfile adds to it from memory too.",
    "wchar": "wchar is about writing, and no meter of the device either.",
    "cached": "Cached is the whole machine's, and does not say who was served from it.",
}


def _grade_counter(answer: Any, lab: Lab) -> Grade:
    named = str(answer).strip().lower()
    if named == "read_bytes":
        return passed("It counts what had to be fetched from the device for this process.")
    hint = _COUNTERS.get(named, "Choose among read_bytes, rchar, wchar and Cached.")
    return failed(hint)


# -- a page cache of one's own ---------------------------------------------------------------------

Touch = tuple[Literal["write", "read"], int]
"""Somebody writes or reads a page, by its number."""

_CASES = 300


def touches(draw: random.Random) -> tuple[int, list[Touch]]:
    """A memory's pages, and who touches what: somebody writes at the end, somebody reads a little
    behind, somebody reads from the start.
    """
    room, end, late = draw.randrange(1, 12), draw.randrange(0, 20), 0
    touched: list[Touch] = []
    for _ in range(draw.randrange(0, 60)):
        who = draw.random()
        if who < 0.4 or end == 0:
            touched.append(("write", end))
            end += draw.random() < 0.8  # a page is written to more than once
        elif who < 0.7:
            touched.append(("read", max(0, end - draw.randrange(1, 6))))
        else:
            touched.append(("read", late % end))
            late += draw.random() < 0.9
    return room, touched


def from_device(room: int, touched: Sequence[Touch]) -> int:
    """The answer by another way than the obvious one: a read comes from memory if its page was
    touched before, and fewer than `room` other pages have been since.
    """
    count = 0
    for at, (what, page) in enumerate(touched):
        before = [other for _, other in touched[:at]]
        if what == "write":
            continue
        if page not in before:
            count += 1
            continue
        last = len(before) - 1 - before[::-1].index(page)
        count += len(set(before[last + 1 :]) - {page}) >= room
    return count


def _grade_cache(answer: Any, lab: Lab) -> Grade:
    if not callable(answer):
        return failed("The answer is a function of room and touched that returns a number.")
    draw = lab.random("touches")
    first: tuple[int, list[Touch]] = (2, [("write", 0), ("read", 0)])
    for room, touched in [first, *(touches(draw) for _ in range(_CASES))]:
        wanted, told = from_device(room, touched), answer(room, list(touched))
        if told is None:
            return NOT_ATTEMPTED
        if type(told) is not int or told != wanted:
            return failed(_what_is_wrong(answer, room, touched, told))
    return passed(f"In all {_CASES} drawn cases. A log larger than memory, read from its start, is "
                  "the worst that can happen to such a cache.")  # fmt: skip


def _what_is_wrong(
    answer: Callable[[int, list[Touch]], Any], room: int, touched: list[Touch], told: Any
) -> str:
    """The shortest beginning that is answered wrongly, and what to think about."""
    for length in range(len(touched) + 1):
        wanted, told_now = from_device(room, touched[:length]), answer(room, touched[:length])
        if told_now != wanted:
            touched, told = touched[:length], told_now
            break
    wanted = from_device(room, touched)
    why = "a page that was written is in memory, and touching a page again makes it the newest"
    if isinstance(told, int) and told > wanted:
        why = "does a page that is written have to come from the device? Is one touched again old?"
    elif isinstance(told, int):
        why = f"no more than {room} pages have room: which one goes when another comes?"
    return f"room={room}, touched={touched}: it is {wanted}, yours says {told!r}. Think: {why}"


EXERCISES = (
    Exercise(
        "06.1",
        "Which events survive what?",
        _grade_survival,
        (
            "Whose are the pages, the process's or the kernel's?",
            "kill -9 ends a process: the kernel, with its pages, goes on. A power cut ends both.",
            'After kill -9 they are "kept"; what becomes of memory without power?',
        ),
    ),
    Exercise(
        "06.2",
        "How late may a consumer be?",
        _grade_lag,
        (
            "The newest bytes are in memory, as many as there is room for.",
            "After how many seconds has the producer written as much as the cache holds?",
            "Bytes of cache divided by bytes per second.",
        ),
    ),
    Exercise(
        "06.3",
        "Which counter shows that a consumer was served from memory?",
        _grade_counter,
        (
            "Three of them also count what never saw a device, or count for everybody.",
            "Which one stood still when a consumer read soon, and rose when one read late?",
            "The lab itself used it, per process: see “Read soon, read late”.",
        ),
    ),
    Exercise(
        "06.4",
        "Write a page cache: how many reads go to the device?",
        _grade_cache,
        (
            "Keep the pages that are in memory in the order in which they were touched last.",
            "A touched page becomes the newest. A read of a page that is not there counts one. "
            "With more than `room`, the oldest goes. A write brings its page in, uncounted.",
            "An OrderedDict does it: move_to_end(page) for a touch, popitem(last=False) for the "
            "one that goes.",
        ),
        takes_code=True,
    ),
)
