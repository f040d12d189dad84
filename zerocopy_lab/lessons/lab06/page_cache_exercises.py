"""The exercises of lab 06: what survives, how late is too late, which counter tells."""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab

_SURVIVES = {"kill -9": "kept", "power cut": "lost"}


def _grade_survival(answer: Any, lab: Lab) -> Grade:
    if not isinstance(answer, dict) or set(answer) != set(_SURVIVES):
        return failed(f"Answer with a dict whose keys are {list(_SURVIVES)}.")
    if answer == _SURVIVES:
        return passed("The pages belong to the kernel: they outlive the process, not the machine.")
    if answer["kill -9"] != "kept":
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
    "Cached": "Cached is the whole machine's, and does not say who was served from it.",
}


def _grade_counter(answer: Any, lab: Lab) -> Grade:
    if answer == "read_bytes":
        return passed("It counts what had to be fetched from the device for this process.")
    hint = _COUNTERS.get(str(answer), f"Choose among read_bytes, {', '.join(_COUNTERS)}.")
    return failed(hint)


EXERCISES = (
    Exercise("06.1", "Which events survive what?", _grade_survival),
    Exercise("06.2", "How late may a consumer be?", _grade_lag),
    Exercise("06.3", "Which counter shows that a consumer was served from memory?", _grade_counter),
)
