"""The exercises of lab 13: which settings change bytes, how long a crowd waits, and at which size
the bytes cost more than asking.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed, tried
from zerocopy_lab.classroom.lab import Lab

CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
COMPRESSIONS: Final = ("producer", "uncompressed", *CODECS[1:])
CLOCKS: Final = ("CreateTime", "LogAppendTime")
_CASES: Final = 60

# -- 13.1 ------------------------------------------------------------------------------------------


def is_stored_as_sent(settings: Mapping[str, str], codec: str) -> bool:
    """Whether a topic with these settings keeps a batch of this codec as it came, its place
    apart. (Kafka's LogValidator, appendTime and targetCompression.)
    """
    wanted = settings["compression.type"].replace("uncompressed", "none")
    return wanted in ("producer", codec) and settings["message.timestamp.type"] == CLOCKS[0]


def drawn_topic(draw: random.Random) -> tuple[dict[str, str], str]:
    """Settings of a topic, as DescribeConfigs tells them, and the codec of a batch."""
    codec = draw.choice(CODECS)
    same = codec.replace("none", "uncompressed")
    settings = {
        "compression.type": draw.choice([*COMPRESSIONS, "producer", same, same]),
        "message.timestamp.type": draw.choice([CLOCKS[0], CLOCKS[0], CLOCKS[1]]),
        "flush.messages": draw.choice(["1", "9223372036854775807"]),
        "retention.ms": draw.choice(["-1", "604800000"]),
        "min.insync.replicas": draw.choice(["1", "2"]),
        "max.message.bytes": draw.choice(["1048588", "10485760"]),
    }
    names = draw.sample(list(settings), len(settings))
    return {name: settings[name] for name in names}, codec


def _grade_stored(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("topics")
    topics = (drawn_topic(draw) for _ in range(_CASES))
    return tried(
        answer,
        "stored_as_sent(settings, codec) -> True or False",
        ((topic, is_stored_as_sent(*topic)) for topic in topics),
        _why_stored,
        f"{_CASES} topics. (It is what Kafka's LogValidator decides for each batch.)",
    )


def _why_stored(said: object, right: bool, settings: Mapping[str, str], codec: str) -> str:
    if type(said) is not bool:
        return f"Answer with True or False; you said {said!r}."
    case = (
        f"compression.type={settings['compression.type']}, message.timestamp.type="
        f"{settings['message.timestamp.type']}, a batch with codec {codec}: "
    )
    if not right and settings["message.timestamp.type"] == CLOCKS[1]:
        return case + "the broker's own time goes into the header, and with it a new CRC."
    if not right:
        return case + "the topic wants another codec than the batch has, so it is packed anew."
    if settings["compression.type"] == "uncompressed":
        return case + "uncompressed is what the batch is already: there is nothing to repack."
    if settings["compression.type"] != "producer":
        return case + "the batch has the codec that the topic wants: there is nothing to repack."
    return case + "nothing here touches the bytes of a batch. When and where they lie is no change."


# -- 13.2 ------------------------------------------------------------------------------------------


def waits_of(due_ms: list[int], takes_ms: list[int]) -> list[int]:
    """From due to answered, of one server that answers in order."""
    waits, free_at = [], 0
    for due, takes in zip(due_ms, takes_ms, strict=True):
        free_at = max(due, free_at) + takes
        waits.append(free_at - due)
    return waits


def drawn_crowd(draw: random.Random) -> tuple[list[int], list[int]]:
    """When questions are due, and how long each takes; now and then one takes very long."""
    count, gap = draw.randrange(1, 40), draw.randrange(2, 12)
    start = draw.randrange(0, 500)
    due = [start + number * gap for number in range(count)]
    takes = [draw.randrange(1, gap + 1) for _ in range(count)]
    takes[draw.randrange(count)] = draw.randrange(5 * gap, 40 * gap)
    return due, takes


def _grade_waits(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("crowds")
    crowds = (drawn_crowd(draw) for _ in range(_CASES))
    return tried(
        answer,
        "waits(due_ms, takes_ms) -> a list",
        ((crowd, waits_of(*crowd)) for crowd in crowds),
        _wrong_waits,
        f"{_CASES} crowds. Whoever looks only at takes_ms never sees who stood behind.",
    )


def _wrong_waits(said: Any, right: list[int], due: list[int], takes: list[int]) -> str | None:
    if not isinstance(said, list | tuple):
        return f"Answer with a list, a wait for each question; you said {said!r}."
    if list(said) == right:
        return None
    case = f"due {due[:6]}..., taking {takes[:6]}...: " if len(due) > 6 else f"{due}, {takes}: "
    if list(said) == takes:
        return case + "that is how long each takes. Who stands behind a slow one waits for it, too."
    if len(said) != len(right):
        return case + f"{len(right)} questions, and you gave {len(said)} waits."
    at = next(at for at, (a, b) in enumerate(zip(said, right, strict=True)) if a != b)
    return case + (
        f"question {at} (from 0) waits {right[at]} ms, not {said[at]}. When is the server free? "
        "When was the question due? The later of the two is when its turn begins."
    )


# -- 13.3 ------------------------------------------------------------------------------------------


class FetchPrices(NamedTuple):
    """A broker's CPU a GiB, by the bytes that a fetch brings."""

    of_4_kib_s: float
    of_1_mib_s: float


def fetch_prices(lab: Lab) -> FetchPrices:
    """A learner's own broker."""
    draw = lab.random("fetch prices")
    fetch_us, gib_s = draw.uniform(20, 200), draw.uniform(0.1, 0.4)
    small, large = (fetch_us * 1e-6 * (1 << 30) / size + gib_s for size in (4096, 1 << 20))
    return FetchPrices(round(small, 2), round(large, 3))


def evens_out_kib(prices: FetchPrices) -> float:
    """The KiB of a fetch whose bytes cost as much as asking for it."""
    per_kib_s = (prices.of_4_kib_s - prices.of_1_mib_s) / (1 / 4 - 1 / 1024)
    return per_kib_s / (prices.of_1_mib_s - per_kib_s / 1024)


def _grade_evens_out(answer: Any, lab: Lab) -> Grade:
    right = evens_out_kib(fetch_prices(lab))
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return failed("Answer with a number of KiB.")
    if abs(answer / right - 1) < 0.03:
        return passed("Below it the broker is busy being asked, above it with bytes.")
    if abs(answer / (right * 1024) - 1) < 0.03:
        return failed("That is right in bytes; KiB are asked for.")
    if abs(answer / (right / 1024) - 1) < 0.03:
        return failed("That is right in MiB; KiB are asked for.")
    return failed(
        "A GiB costs (fetches in a GiB) x (cost of one) + (cost of the bytes): two equations, two "
        "unknowns."
    )


EXERCISES = (
    Exercise(
        "13.1",
        "Does this topic keep a batch as it was sent?",
        _grade_stored,
        (
            "Two of the settings make the broker write into a batch; the others say how long, how "
            "safe, how large. The widget above shows which.",
            "A codec changes nothing if it is the one the batch has, or if the producer's is kept. "
            "The broker's own clock always changes something.",
            'wanted = settings["compression.type"]; it must be "producer" or the codec, where '
            '"uncompressed" is the codec "none"; and message.timestamp.type must be CreateTime.',
        ),
        takes_code=True,
    ),
    Exercise(
        "13.2",
        "How long does each of a crowd wait?",
        _grade_waits,
        (
            "Who is due while the server is still busy with those before begins later, and his "
            "wait began when he was due.",
            "Keep one number: when the server is free. A question begins at the later of that and "
            "its own due time.",
            "free = max(due, free) + takes; the wait is free - due. Go through both lists at once "
            "with zip.",
        ),
        takes_code=True,
    ),
    Exercise(
        "13.3",
        "At which size do the bytes cost as much as asking?",
        _grade_evens_out,
        (
            "What a GiB costs has a part for each fetch and a part for the bytes. Only the first "
            "depends on how much a fetch brings.",
            "A GiB is 262,144 fetches of 4 KiB, or 1,024 of 1 MiB. The difference of the two "
            "prices is the cost of 261,120 fetches.",
            "fetch_s = (small - large) / 261120; bytes_s = large - 1024 * fetch_s. Asking for one "
            "fetch costs as much as its bytes at fetch_s / bytes_s of a GiB: times 1048576 in KiB.",
        ),
    ),
)
