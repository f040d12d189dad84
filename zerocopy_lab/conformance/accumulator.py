"""Part `accumulator` (lab 07): when a producer sends, and how much of what waits.

    accumulator(waiting, in_flight, linger_ms, batch_bytes, most_in_flight, now_ms) -> count

So many of the oldest waiting records go now, as one batch; 0: wait. A batch goes when it is full
(what waits makes up `batch_bytes`) or when its oldest record has waited `linger_ms`, and never
while `most_in_flight` batches have not been answered. It takes the records that fit; one that is
larger than a batch goes alone. These are `linger.ms`, `batch.size` and
`max.in.flight.requests.per.connection` of Kafka's producer (`RecordAccumulator.ready`, `Sender`).

`simulated` runs such a function through time that nobody has to wait for. It is the producer's
part: a broker has no seat for it. Left out: many partitions, memory limits, retries.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from zerocopy_lab.conformance.examiner import NotConforming
from zerocopy_lab.conformance.part import NotBegun, Part, require_argument_kept
from zerocopy_lab.conformance.plain_values import plain


class WaitingRecord(NamedTuple):
    """A record that waits: its bytes, and when it came."""

    size_bytes: int
    arrived_ms: float


class ProducerLimits(NamedTuple):
    """The producer's settings."""

    linger_ms: float
    batch_bytes: int
    most_in_flight: int


class SentBatch(NamedTuple):
    """One batch of a simulation. `waited_ms` adds up what its records waited before it left."""

    at_ms: float
    records: int
    size_bytes: int
    waited_ms: float


Accumulator = Callable[[Sequence[WaitingRecord], int, float, int, int, float], int]

_CASES = 500
_RUNS = 40


def accumulator(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    linger_ms: float,
    batch_bytes: int,
    most_in_flight: int,
    now_ms: float,
) -> int:
    """Ours: what fits goes, if it is full or its oldest record has waited long enough."""
    if not waiting or in_flight >= most_in_flight:
        return 0
    count, size_bytes = 1, waiting[0].size_bytes
    while count < len(waiting) and size_bytes + waiting[count].size_bytes <= batch_bytes:
        size_bytes += waiting[count].size_bytes
        count += 1
    is_full = count < len(waiting) or size_bytes >= batch_bytes
    has_waited = now_ms - waiting[0].arrived_ms >= linger_ms
    return count if is_full or has_waited else 0


def by_trying(
    waiting: Sequence[WaitingRecord], in_flight: int, limits: ProducerLimits, now_ms: float
) -> int:
    """The oracle: of all counts that are allowed now, the largest."""
    sizes = [record.size_bytes for record in waiting]
    due = sum(sizes) >= limits.batch_bytes or any(
        record.arrived_ms + limits.linger_ms <= now_ms for record in waiting
    )
    if not due or in_flight > limits.most_in_flight - 1:
        return 0
    counts = range(1, len(sizes) + 1)
    return max((c for c in counts if c == 1 or sum(sizes[:c]) <= limits.batch_bytes), default=0)


def simulated(
    decide: Accumulator,
    arriving: Sequence[WaitingRecord],
    limits: ProducerLimits,
    round_trip_ms: float,
) -> list[SentBatch]:
    """What the function sends when records come as in `arriving` (in order of time), and each batch
    is answered after a round trip. Raises NotConforming for an answer that no producer can obey,
    or for records that stay for ever.
    """
    sent: list[SentBatch] = []
    answers: list[float] = []
    waiting: list[WaitingRecord] = []
    coming = list(reversed(arriving))
    now_ms = 0.0
    while coming or waiting:
        while coming and coming[-1].arrived_ms <= now_ms:
            waiting.append(coming.pop())
        answers = [at_ms for at_ms in answers if at_ms > now_ms]
        while waiting and (count := _asked(decide, waiting, len(answers), limits, now_ms)):
            if len(answers) >= limits.most_in_flight:
                raise NotConforming(
                    f"{len(answers)} batches were in flight, and you sent another: "
                    f"max.in.flight is {limits.most_in_flight}."
                )
            going, waiting = waiting[:count], waiting[count:]
            size_bytes = sum(record.size_bytes for record in going)
            waited_ms = sum(now_ms - record.arrived_ms for record in going)
            sent.append(SentBatch(now_ms, count, size_bytes, waited_ms))
            answers.append(now_ms + round_trip_ms)
        events = [*answers, *(record.arrived_ms for record in coming[-1:])]
        events += [record.arrived_ms + limits.linger_ms for record in waiting[:1]]
        later = [event for event in events if event > now_ms]
        if waiting and not later:
            raise NotConforming(f"{len(waiting)} records were never sent.")
        now_ms = min(later, default=now_ms)
    return sent


def _asked(
    decide: Accumulator,
    waiting: list[WaitingRecord],
    in_flight: int,
    limits: ProducerLimits,
    now_ms: float,
) -> int:
    given = list(waiting)
    linger_ms, batch_bytes, most_in_flight = limits
    answer = plain(decide(given, in_flight, linger_ms, batch_bytes, most_in_flight, now_ms))
    if answer is None:
        raise NotBegun
    require_argument_kept(given == waiting, "the list of waiting records")
    if type(answer) is not int or not 0 <= answer <= len(waiting):
        raise NotConforming(
            f"{len(waiting)} records waited and your answer was {answer!r}: how many of the oldest "
            "go now, 0 to all of them."
        )
    return answer


def _exam(decide: Accumulator, draw: random.Random) -> str:
    for _ in range(_CASES):
        waiting, in_flight, limits, now_ms = drawn_moment(draw)
        answer = _asked(decide, waiting, in_flight, limits, now_ms)
        right = by_trying(waiting, in_flight, limits, now_ms)
        if answer != right:
            raise NotConforming(_in_words(waiting, in_flight, limits, now_ms, answer, right))
    for _ in range(_RUNS):
        _run(decide, draw)
    return f"{_CASES} moments nobody had seen, and {_RUNS} producers in simulated time."


def drawn_moment(draw: random.Random) -> tuple[list[WaitingRecord], int, ProducerLimits, float]:
    """What waits, how much is in flight, the settings, the time: the edges are frequent."""
    limits = ProducerLimits(draw.choice((0, 5, 20)), draw.choice((500, 1000)), draw.choice((1, 5)))
    now_ms = 1000.0
    arrivals = sorted(now_ms - draw.randrange(0, 30) for _ in range(draw.randrange(0, 8)))
    if arrivals and draw.random() < 0.3:
        arrivals[0] = min(now_ms - limits.linger_ms, *arrivals)
    sizes = [draw.choice((100, 100, 250, draw.randrange(1, 1500))) for _ in arrivals]
    waiting = [WaitingRecord(size, at) for size, at in zip(sizes, arrivals, strict=True)]
    return waiting, draw.randrange(limits.most_in_flight + 1), limits, now_ms


def drawn_arrivals(draw: random.Random, count: int, mean_gap_ms: float) -> list[WaitingRecord]:
    """Records of the size of a flight, coming at random: in 64ths of a ms, so that sums and
    differences of times are exact and no right answer fails by a rounding.
    """
    at_ms, arriving = 0.0, []
    for _ in range(count):
        at_ms += round(64 * draw.expovariate(1 / mean_gap_ms)) / 64
        arriving.append(WaitingRecord(draw.randrange(80, 400), at_ms))
    return arriving


def _run(decide: Accumulator, draw: random.Random) -> None:
    """Properties that need no rule: all are sent, none waits for nothing, no batch is too large."""
    limits = ProducerLimits(
        draw.choice((0, 10, 40)), draw.choice((2000, 16_384)), draw.choice((1, 5))
    )
    arriving = drawn_arrivals(draw, draw.randrange(20, 200), draw.choice((0.2, 3)))
    sent = simulated(decide, arriving, limits, draw.choice((0.5, 20)))
    if sum(batch.records for batch in sent) != len(arriving):
        raise NotConforming("some records were never sent")
    for batch in sent:
        if batch.size_bytes > limits.batch_bytes and batch.records > 1:
            raise NotConforming(f"a batch of {batch.size_bytes} bytes, of {limits.batch_bytes}")


def _in_words(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    limits: ProducerLimits,
    now_ms: float,
    answer: int,
    right: int,
) -> str:
    told = ", ".join(f"{r.size_bytes} B since {now_ms - r.arrived_ms:g} ms" for r in waiting)
    return (
        f"Waiting, oldest first: {told or 'nothing'}; {in_flight} of {limits.most_in_flight} in "
        f"flight; linger.ms={limits.linger_ms:g}, batch.size={limits.batch_bytes}. Your answer is "
        f"{answer}. {_hint(waiting, in_flight, limits, answer, right)}"
    )


def _hint(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    limits: ProducerLimits,
    answer: int,
    right: int,
) -> str:
    if in_flight >= limits.most_in_flight:
        return "As many as may be in flight are: wait for an answer first."
    if right == 0:
        return "The batch is not full, and its oldest record has not waited for linger.ms: wait."
    if answer == 0:
        if sum(record.size_bytes for record in waiting) >= limits.batch_bytes:
            return "What waits makes up a full batch: it goes, whatever linger.ms says."
        return "The oldest record has waited for linger.ms: what is there goes."
    if answer > right:
        return "That is more than fits into a batch (only a record that is too large goes alone)."
    return "More would fit: take as many as fit."


PART = Part(
    "accumulator",
    "07",
    "when a producer sends, and how much of what waits",
    "accumulator(waiting, in_flight, linger_ms, batch_bytes, most_in_flight, now_ms) -> count",
    accumulator,
    _exam,
    used_by="the producer of the race",
)
