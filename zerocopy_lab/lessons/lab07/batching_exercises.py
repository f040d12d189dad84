"""The exercises of lab 07: an accumulator, how many messages ride together, and where bytes begin
to matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.conformance.accumulator import (
    ProducerLimits,
    WaitingRecord,
    accumulator,
    simulated,
)


class Stream(NamedTuple):
    """A learner's own producer for exercise 07.2: messages come evenly, the first at once."""

    gap_ms: int
    message_bytes: int
    linger_ms: int
    batch_bytes: int


def stream_question(lab: Lab) -> Stream:
    """No message comes at the very moment in which the linger is over, drawn from the seed."""
    draw = lab.random("stream")
    gap_ms = draw.choice([2, 3, 4, 5])
    linger_ms = gap_ms * draw.randrange(3, 12) + draw.randrange(1, gap_ms)
    return Stream(gap_ms, draw.randrange(150, 400), linger_ms, draw.choice([1000, 16_384]))


def messages_together(stream: Stream) -> int:
    """How many ride in the first batch, in simulated time, with all that come before it goes."""
    count = stream.linger_ms // stream.gap_ms + 2
    coming = [WaitingRecord(stream.message_bytes, n * stream.gap_ms) for n in range(count)]
    limits = ProducerLimits(stream.linger_ms, stream.batch_bytes, 1000)
    return simulated(accumulator, coming, limits, 1.0)[0].records


def _grade_together(answer: Any, lab: Lab) -> Grade:
    stream = stream_question(lab)
    in_time = stream.linger_ms // stream.gap_ms + 1
    fit = stream.batch_bytes // stream.message_bytes
    if answer == messages_together(stream):
        what = "linger.ms" if in_time <= fit else "batch.size"
        return passed(f"Here {what} decides, and the other setting could as well be larger.")
    if answer == in_time - 1:
        return failed("Count the first message too: its linger begins when it comes.")
    if answer == in_time:
        return failed("So many come in time. Do they fit into one batch?")
    if answer == fit:
        return failed("So many fit. Do they all come before the first has waited long enough?")
    return failed("How many come until the first has waited for linger.ms; how many fit?")


class TwoCosts(NamedTuple):
    """A broker's costs for exercise 07.3, made up: of a batch, and of a byte."""

    batch_us: int
    byte_ns: int
    message_bytes: int


def costs_question(lab: Lab) -> TwoCosts:
    """Drawn from the seed."""
    draw = lab.random("two costs")
    return TwoCosts(draw.randrange(40, 400), draw.randrange(1, 6), draw.randrange(100, 500))


def _grade_half(answer: Any, lab: Lab) -> Grade:
    batch_us, byte_ns, message_bytes = costs_question(lab)
    messages = batch_us * 1000 / (byte_ns * message_bytes)
    if type(answer) not in (int, float):
        return failed("A number of messages is wanted.")
    if abs(answer - messages) <= max(1, 0.05 * messages):
        return passed("From there on a larger batch saves less than half of what it costs.")
    if abs(answer - messages * message_bytes) <= 0.05 * messages * message_bytes:
        return failed("So many bytes. How many messages is that?")
    if abs(answer - messages / 1000) <= 0.05 * messages / 1000:
        return failed("A microsecond has a thousand nanoseconds.")
    return failed("When do the bytes of a batch cost as much as the batch itself?")


EXERCISES = (
    building(
        "07.1",
        "accumulator",
        "When does a producer send, and how much of what waits?",
        (
            "Three questions in a row. May anything go (in_flight)? What fits into one batch? Is "
            "there a reason to send it now?",
            "What fits: the first always, and more while the sum stays within batch_bytes. A "
            "reason: more waits than fits, or it fits exactly, or the oldest has waited for "
            "linger_ms.",
            "Loop over `waiting` with a sum and a count. It is full when count < len(waiting) or "
            "the sum has reached batch_bytes; it is due when now_ms - waiting[0].arrived_ms >= "
            "linger_ms. Return count if it is either, else 0; and 0 when nothing waits.",
        ),
    ),
    Exercise(
        "07.2",
        "How many messages ride in each of your producer's batches?",
        _grade_together,
        (
            "Two limits, and the tighter one decides: how many come in time, how many fit.",
            "In time: the first, and those that come before it has waited for linger_ms.",
            "min(linger_ms // gap_ms + 1, batch_bytes // message_bytes)",
        ),
    ),
    Exercise(
        "07.3",
        "From how many messages on do the bytes cost as much as the batch?",
        _grade_half,
        (
            "A batch of n messages costs: batch + n * message_bytes * byte.",
            "Set the second part equal to the first, in the same unit of time.",
            "batch_us * 1000 / (byte_ns * message_bytes)",
        ),
    ),
)
