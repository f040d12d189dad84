"""The exercises of lab 08: the stamp as a part, a verdict on two batches, cores for a price."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, failed, passed, tried
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.records.batch import HEADER_BYTES, assign_offsets, read_header
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch, read_records, rebuild_batch
from zerocopy_lab.records.restamping import stamp_append_time

_PAIRS = 200
_CLOCK_MS = 1_700_000_000_000


class JudgedBatch(NamedTuple):
    """A batch as it was sent and as it was found, and what had happened to it."""

    sent: bytes
    found: bytes
    happened: str


def _damaged(batch: bytearray, draw: random.Random) -> bytes:
    batch[draw.randrange(HEADER_BYTES, len(batch))] ^= 1 << draw.randrange(8)
    return bytes(batch)


def _with_a_clock(batch: bytearray, draw: random.Random) -> bytes:
    stamp_append_time(memoryview(batch), _CLOCK_MS + draw.randrange(1, 1 << 20))
    return bytes(batch)


def _repacked(batch: bytearray, draw: random.Random) -> bytes:
    header = read_header(memoryview(batch))
    others = [codec for codec in Codec if codec != header.codec]
    records = list(read_records(memoryview(batch)))
    return rebuild_batch(header, records, draw.choice(others))


_HAPPENINGS: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "stamped": lambda batch, _: bytes(batch),
    "clock": _with_a_clock,
    "repacked": _repacked,
    "damaged": _damaged,
}


def drawn_pair(draw: random.Random, happened: str) -> JudgedBatch:
    """A batch in any codec, given its place, and one thing more."""
    records = [
        Record(at, _CLOCK_MS - draw.randrange(1000), None, draw.randbytes(draw.randrange(1, 40)))
        for at in range(draw.randrange(1, 6))
    ]
    sent = build_batch(records, codec=draw.choice(list(Codec)))
    batch = bytearray(sent)
    assign_offsets(memoryview(batch), draw.randrange(1, 1 << 40), draw.randrange(100))
    return JudgedBatch(sent, _HAPPENINGS[happened](batch, draw), happened)


def a_pair(lab: Lab) -> tuple[bytes, bytes]:
    """One pair to look at, drawn from the seed."""
    draw = lab.random("a pair")
    return drawn_pair(draw, draw.choice(list(_HAPPENINGS)))[:2]


_WHAT_TO_LOOK_AT = {
    "stamped": "Only 0-7 and 12-15 are others here: that is a batch in its place.",
    "clock": "The attributes, at 21-22, have bit 3 (0x08) here: the time is the broker's clock.",
    "repacked": "The codec, the lowest three bits of byte 22, is another one here.",
    "damaged": "Codec and time are as they were here, and still a byte behind the header differs.",
}


def _grade_pairs(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("pairs")
    pairs = (drawn_pair(draw, draw.choice(list(_HAPPENINGS))) for _ in range(_PAIRS))
    return tried(
        answer,
        "what_happened(sent, found) -> a word",
        ((pair[:2], pair.happened) for pair in pairs),
        _wrong_word,
        f"{_PAIRS} pairs, each judged by its bytes alone.",
    )


def _wrong_word(said: object, happened: str, *_: bytes) -> str:
    if type(said) is not str or said not in _HAPPENINGS:
        return f"{said!r} is none of the words: {', '.join(_HAPPENINGS)}."
    return f'Not "{said}". {_WHAT_TO_LOOK_AT[happened]}'


class CoresQuestion(NamedTuple):
    """A stream of records and two prices, for exercise 08.3."""

    records_per_s: int
    records_per_batch: int
    passing_us_per_batch: int
    looking_us_per_record: float


def cores_question(lab: Lab) -> CoresQuestion:
    """Drawn from the seed, such that it makes no difference whether a started batch is a whole one,
    or in which order somebody adds up.
    """
    draw = lab.random("cores")
    while True:
        question = CoresQuestion(
            draw.randrange(2_000_001, 9_000_000, 1000),
            draw.randrange(150, 900),
            draw.randrange(110, 400),
            draw.randrange(11, 60) / 10,
        )
        if all(0.01 < cores % 1 < 0.99 for cores in _cores_busy(question)):
            return question


def _cores_busy(question: CoresQuestion) -> tuple[float, float]:
    batches_per_s = question.records_per_s / question.records_per_batch
    passing = batches_per_s * question.passing_us_per_batch / 1e6
    return passing, passing + question.records_per_s * question.looking_us_per_record / 1e6


def cores_needed(question: CoresQuestion) -> tuple[int, int]:
    """Cores for passing through, and for looking at every record besides."""
    passing, looking_too = _cores_busy(question)
    return math.ceil(passing), math.ceil(looking_too)


def _grade_cores(answer: Any, lab: Lab) -> Grade:
    question = cores_question(lab)
    right = cores_needed(question)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return failed("Two whole numbers are wanted: (passing through, looking as well).")
    given = tuple(answer)
    if given == right:
        return passed("One price is for each batch, the other for each record: batching helps one.")
    per_record = question.records_per_s * question.passing_us_per_batch / 1e6
    if given[0] == math.ceil(per_record):
        return failed("Passing through is paid for each batch, not for each record.")
    if given[0] == right[0]:
        return failed("The first is right. Who looks as well pays both: add, then round up.")
    if all(isinstance(each, float) and math.ceil(each) in right for each in given):
        return failed("Nearly: a started core is a whole core.")
    return failed("A core has a million microseconds a second. How many does the stream take?")


EXERCISES = (
    building(
        "08.1",
        "stamp",
        "Give a batch its place in the log, where it lies.",
        (
            "Two fields of the 61 bytes are the broker's. Which, and how long is each?",
            "The base offset has 8 bytes at 0, the leader epoch 4 at 12, big-endian. Write into "
            "the memoryview that you are given, and nowhere else.",
            'struct.pack_into(">q", batch, 0, base_offset) writes the first; ">i" at 12 the '
            "second. Import struct inside your function.",
        ),
    ),
    Exercise(
        "08.2",
        "What has happened to this batch?",
        _grade_pairs,
        (
            "Nothing has to be unpacked: the header says nearly all. Which of its fields would "
            "each of the four change?",
            "Byte 22 holds the codec in its lowest three bits (& 7) and the clock's flag in the "
            "next one (& 8).",
            "Look at byte 22 first: another codec is repacked, a new flag is clock. Else compare "
            "found[16:] with sent[16:]: alike is stamped, else damaged.",
        ),
        takes_code=True,
    ),
    Exercise(
        "08.3",
        "How many cores does each broker need?",
        _grade_cores,
        (
            "How many microseconds of CPU does one second of the stream cost, either way?",
            "Passing through: records a second / records a batch * microseconds a batch. Looking: "
            "records a second * microseconds a record, on top of that.",
            "Divide both sums by 1,000,000 and round up with math.ceil.",
        ),
    ),
)
