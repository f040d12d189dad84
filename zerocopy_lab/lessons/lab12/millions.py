"""Lab 12: what makes millions of messages a second, and a broker of one's own.

| module | holds |
|---|---|
| `rungs` | what is taken away, and what stands in its place |
| `orders`, `load`, `own_client`, `evict_behind` | the loads, in processes of their own |
| `stand`, `raced_topics` | brokers, rounds, topics: what is measured |
| `worth` | what each mechanism is worth, and the rule of the verdict |
| `ladder`, `findings` | the same as picture, table, words; what it says of C1 |
| `limit` | who spends the processor's time now |
| `part_plan`, `million`, `yours`, `wrong_parts` | the learner's broker: tried, raced, broken |
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zerocopy_lab.classroom.evidence import Quantity
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.conformance.parts import NoSuchPart
from zerocopy_lab.conformance.seats import PartRefused
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab12 import limit, stand
from zerocopy_lab.lessons.lab12.findings import findings
from zerocopy_lab.lessons.lab12.ladder import (
    answer,
    ladder_picture,
    ladder_words,
    show_ladder,
    sums_in_words,
    why_unclear,
)
from zerocopy_lab.lessons.lab12.million import Journey, journey_lines, travel
from zerocopy_lab.lessons.lab12.millions_exercises import chain, two_losses
from zerocopy_lab.lessons.lab12.raced_topics import NotAsBelieved
from zerocopy_lab.lessons.lab12.rungs import DIRECTIONS
from zerocopy_lab.lessons.lab12.stand import Ladder
from zerocopy_lab.lessons.lab12.worth import together
from zerocopy_lab.lessons.lab12.wrong_parts import Accused, accused_in
from zerocopy_lab.running.running_broker import BrokerNotRunning

__all__ = [
    "answer",
    "chain",
    "findings",
    "ladder_picture",
    "ladder_words",
    "show_ladder",
    "sums_in_words",
    "two_losses",
    "why_unclear",
]


def measure(which: str, lab: Lab) -> Ladder | Unmeasured:
    """The ladder of the broker that BROKER names; or why it would be another contestant than the
    one that is talked about.
    """
    try:
        return stand.measure(which, lab)
    except NotAsBelieved as reason:
        return Unmeasured(f"the broker is set otherwise than this lab believes: {reason}")


def try_out(lab: Lab, parts: Path) -> Journey | Accused:
    """The learner's broker, with a million events; who is at fault is named."""
    try:
        journey = travel(lab, parts)
    except (BrokerNotRunning, PartRefused, NoSuchPart) as refusal:
        accused = accused_in(str(refusal))
        if not accused.named:
            raise
        box("bad", f"At fault: part {accused.named}", [accused.words])
        return accused
    label = "Your broker passes" if journey.passes else "Your broker does not pass"
    if journey.accused:
        label += f"; at fault: part {', part '.join(journey.accused)}"
    box("good" if journey.passes else "bad", label, journey_lines(journey))
    return journey


def invariants(tried: Journey | Accused) -> dict[str, bool]:
    """Whatever the machine's speed."""
    if isinstance(tried, Accused):
        return {"the part at fault is named": bool(tried.named)}
    return {
        "what went in came out, byte for byte, over a kill -9": tried.unchanged,
        "the follower's copy is the leader's log": tried.copy_is_identical,
        "verify finds no fault": not tried.faults,
    }


def figures(ladder: Ladder | Unmeasured, spent: limit.Profile | Unmeasured) -> Sequence[Quantity]:
    """Of no claim: all at once against the sum, and where the processor's time goes."""
    sums = []
    if isinstance(ladder, Ladder):
        for direction in DIRECTIONS:
            if both := together(ladder, direction):
                name = f"{direction}: without all, against the sum of the losses"
                sums.append(Quantity(name, both.more_than_the_sum, "×"))
    return [*sums, *limit.figures(spent)]
