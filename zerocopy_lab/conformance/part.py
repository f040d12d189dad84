"""What a part is: a mechanism small enough for a notebook cell, with an exam and a place to work.

A part has a name (also of its file in a directory of parts), the shape of its function, our own
function of that shape, and an exam that both have to pass. An exam draws its values anew each time:
nobody can know them beforehand, so an answer that was written down for one case fails. It compares
with an oracle of its own, which is not the package's mechanism but the plainest way to the answer.

A new kind of part is one file here that holds a `Part`, and a line in `parts`.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from zerocopy_lab.conformance.child import Told, in_a_child
from zerocopy_lab.conformance.examiner import NotConforming

EXAM_LIMIT_S = 20.0

PartFunction = Callable[..., Any]


class NotBegun(Exception):
    """The function is still the stub: it answers None."""


class Part(NamedTuple):
    """One kind of part."""

    name: str
    lab: str
    does: str
    shape: str
    """The function's head and what it returns, as a learner writes it."""
    ours: PartFunction
    exam: Callable[[PartFunction, random.Random], str]
    """Returns in words what was shown; raises NotConforming (a hint with figures), NotBegun."""
    limit_s: float = EXAM_LIMIT_S
    used_by: str = "RunningBroker(parts=lab.parts_dir)"


class Examined(NamedTuple):
    """How a function did. `passed` None: it is still the stub."""

    passed: bool | None
    words: str
    trace: tuple[str, ...] = ()


def examine(
    part: Part,
    load: Callable[[], PartFunction],
    *,
    seed: int | None = None,
    limit_s: float | None = None,
    cpu_s: int | None = None,
) -> Examined:
    """The part's exam on the function that `load` returns, both in a child with a time limit
    (None: the part's), and one on the processor's time of each of its processes.

    `seed` repeats an exam; None draws one that nobody knows. Never raises for the function's sake.
    """
    drawn = secrets.randbits(64) if seed is None else seed
    told = in_a_child(
        lambda: _sit(part, load, random.Random(drawn)), limit_s or part.limit_s, cpu_s=cpu_s
    )
    if told.problem is not None:
        return Examined(False, _in_words(part, told), told.trace)
    state, words = told.value
    return Examined(state, words)


def _sit(
    part: Part, load: Callable[[], PartFunction], draw: random.Random
) -> tuple[bool | None, str]:
    try:
        return True, part.exam(load(), draw)
    except NotConforming as broken:
        return False, str(broken)
    except NotBegun:
        return None, f"Write {part.shape}."


def _in_words(part: Part, told: Told) -> str:
    problem = told.problem or ""
    if told.trace:
        return f"{part.name} raised {problem}"
    return f"{part.name} gave no answer: {problem}"


def require_argument_kept(kept: bool, what: str) -> None:
    """Raise NotConforming when the function changed what it was given."""
    if not kept:
        raise NotConforming(f"your function changed {what}, which the broker goes on using")
