"""The exercises of lab 04: what the processor moves, where calls and copies meet, what vanishes."""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab


def _grade_copied(answer: Any, lab: Lab) -> Grade:
    if answer == 2:
        return passed("Out of the page cache, and into the socket. The rest is DMA, or not at all.")
    hints = {
        4: "Four moves, but who makes them? Two of them need no processor.",
        3: "With the file in memory three moves are left. Does the processor make all three?",
        0: "That would be sendfile. A loop has a buffer: how do bytes get in and out of it?",
    }
    return failed(
        hints.get(answer, "Follow one byte: page cache, buffer, socket. Count the arrows.")
    )


class TwoPrices(NamedTuple):
    """A learner's own machine for exercise 04.2."""

    call_ns: int
    copy_ns_per_kib: int


def two_prices(lab: Lab) -> TwoPrices:
    """Drawn from the seed."""
    draw = lab.random("two prices")
    return TwoPrices(draw.randrange(100, 900, 10), draw.choice([20, 25, 40, 50]))


def _grade_meeting_point(answer: Any, lab: Lab) -> Grade:
    prices = two_prices(lab)
    chunk_bytes = prices.call_ns / prices.copy_ns_per_kib * 1024
    if not isinstance(answer, int | float):
        return failed("The answer is a number of bytes.")
    if abs(answer - chunk_bytes) <= 1:
        return passed("Above it copies are the larger part of the price, below it calls.")
    if abs(answer - 2 * chunk_bytes) <= 1:
        return failed("You set two calls against one copy. A chunk is copied in and out.")
    if abs(answer - chunk_bytes / 1024) <= 1:
        return failed("That is the answer in KiB. The question asks for bytes.")
    return failed("Per chunk: 2 calls, 2 copies of the chunk. At which size is that the same time?")


MOVES = ("disk to page cache", "page cache to buffer", "buffer to socket", "socket to card")
_GONE = {MOVES[1], MOVES[2]}


def _grade_gone(answer: Any, lab: Lab) -> Grade:
    chosen = set(answer)
    if unknown := chosen - set(MOVES):
        return failed(f"{sorted(map(str, unknown))} is none of {', '.join(MOVES)}.")
    if chosen == _GONE:
        return passed("sendfile has no buffer, so there is nothing to copy into or out of.")
    if MOVES[0] in chosen:
        return failed("sendfile too needs the page in memory. Who spares it the disk?")
    if MOVES[3] in chosen:
        return failed("The bytes still have to leave the machine.")
    return failed(
        "The loop has a buffer of its own, sendfile has none. Which moves does that spare?"
    )


EXERCISES = (
    Exercise("04.1", "How many GB does the processor copy for a file of 1 GB?", _grade_copied),
    Exercise(
        "04.2", "At which chunk size do calls and copies cost the same?", _grade_meeting_point
    ),
    Exercise("04.3", "Which moves does sendfile spare?", _grade_gone),
)
