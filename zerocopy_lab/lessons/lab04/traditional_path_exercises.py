"""The exercises of lab 04: the loop itself, where calls and copies meet, and two bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, failed, passed
from zerocopy_lab.classroom.lab import Lab


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


class FourWays(NamedTuple):
    """CPU of a learner's own broker for exercise 04.3, in ms per GiB; nothing of it is Python."""

    small_loop: int
    large_loop: int
    small_sendfile: int
    large_sendfile: int


def four_ways(lab: Lab) -> FourWays:
    """Drawn from the seed: neither change is worth nothing, and no two ways cost the same."""
    draw = lab.random("four ways")
    large_sendfile = draw.randrange(100, 200)
    large_loop = large_sendfile + draw.randrange(60, 200)
    small_sendfile = large_sendfile + draw.randrange(210, 400)
    small_loop = max(large_loop, small_sendfile) + draw.randrange(150, 300)
    return FourWays(small_loop, large_loop, small_sendfile, large_sendfile)


def bounds(ways: FourWays) -> tuple[float, float]:
    """The share of copies: with large chunks, and with small ones."""
    lost = ways.small_loop - ways.large_sendfile
    return (
        (ways.large_loop - ways.large_sendfile) / lost,
        (ways.small_loop - ways.small_sendfile) / lost,
    )


_NEAR = 0.006
"""Two decimals are enough."""


def _grade_bounds(answer: Any, lab: Lab) -> Grade:
    ways = four_ways(lab)
    right = sorted(bounds(ways))
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return failed("Answer with two shares, the smaller first: (0.25, 0.5), for example.")
    if not all(type(share) in (int, float) for share in answer):
        return failed("Both shares are numbers from 0 to 1.")
    given = list(answer)
    if _near(given, right):
        return passed(
            "Between these two lies what copies are worth. One of them alone proves nothing."
        )
    if _near(sorted(given), right):
        return failed("These are the two; put the smaller one first.")
    if _near([each / 100 for each in given], right):
        return failed("That is in percent. Shares are from 0 to 1.")
    if _near(sorted(given), sorted(1 - each for each in right)):
        return failed("That is what larger chunks bring back. What is asked is not copying.")
    lost = ways.small_loop - ways.large_sendfile
    if _near(sorted(each / lost for each in given), right):
        return failed("These are milliseconds. Of the whole difference, which share is that?")
    return failed(
        "Twice you can stop copying and change nothing else: once with small chunks, once with "
        "large ones. What does each save, of the whole difference?"
    )


def _near(given: list[float], right: list[float]) -> bool:
    return all(abs(a - b) <= _NEAR for a, b in zip(given, right, strict=True))


EXERCISES = (
    building(
        "04.1",
        "loop",
        "Send a slice of a file through a buffer, a chunk in a turn.",
        (
            "A turn is two calls: one takes bytes out of the file, the other puts them into the "
            "socket. Where in the file? And how many bytes at most?",
            "From piece.position + sent_bytes. As many as a chunk has, but not more than are left: "
            "piece.length - sent_bytes. The socket may take fewer: return what it took.",
            "chunk = os.pread(piece.file.fd, count, position), then return sock.send(chunk). With "
            "nothing left, return 0.",
        ),
    ),
    Exercise(
        "04.2",
        "At which chunk size do calls and copies cost the same?",
        _grade_meeting_point,
        (
            "What does one turn of the loop cost for its calls, and what for its copies?",
            "A turn is 2 calls, and it copies the chunk twice. Which chunk makes both equal?",
            "The twos cancel: call_ns / copy_ns_per_kib is the chunk in KiB. Times 1024.",
        ),
    ),
    Exercise(
        "04.3",
        "At least and at most, which share of the loss is due to copies?",
        _grade_bounds,
        (
            "The whole difference is small_loop - large_sendfile. In which two pairs of the four "
            "are the chunks the same, and only the copies differ?",
            "small_loop against small_sendfile, large_loop against large_sendfile: two savings.",
            "Divide both by small_loop - large_sendfile; the smaller first.",
        ),
    ),
)
