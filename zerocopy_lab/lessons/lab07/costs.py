"""What a batch, a byte and a message cost the broker: four loads, and a sum that must come out.

| load | batches | messages in each | bytes of each batch |
|---|---|---|---|
| few bytes | n | 1 | small |
| one large message | n | 1 | L |
| company | n | 100 | L |
| one huge message | n / 5 | 1 | 8 L |

The first and the last differ in bytes alone, the second and the third in messages alone: so each of
the three costs is a difference of two measurements. From them the load of one large message is
predicted, which none of a batch's and a byte's cost was taken from. The broker's CPU time is read
by its process id, to the nanosecond, while a client sends one batch after the other, each when the
last is answered. Rounds are shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.client.producer import produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured, or_unmeasured
from zerocopy_lab.lessons.lab07.counts import Broker
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.running.passing_topic import a_topic, batches_of

SMALL, LARGE = "few bytes", "one large message"
COMPANY, HUGE = "company", "one huge message"
TOGETHER = 100
_RUNS = 3
"""In a round; the least disturbed counts."""
NEARLY = 1.15
"""A sum that is off by more from all that was measured does not come out."""
VALUE_BYTES = 190
"""As a flight has, on average."""


class Load(NamedTuple):
    """A batch, how often it is sent, and how many messages are in it."""

    batch: bytes
    times: int
    messages: int


class Costs(NamedTuple):
    """CPU seconds of the broker by load, round by round."""

    loads: dict[str, Load]
    cpu_s: dict[str, tuple[float, ...]]


def loads(times: int) -> dict[str, Load]:
    """The four loads, the one large message as large as a hundred small ones to the byte."""
    [small] = batches_of([b"s" * VALUE_BYTES], 1)
    [company] = batches_of([b"s" * VALUE_BYTES] * TOGETHER, TOGETHER)
    [large] = batches_of([b"l" * (len(company) - len(small) + VALUE_BYTES)], 1)
    spare = len(large) - len(company)  # longer lengths take a byte or two more
    [large] = batches_of([b"l" * (len(company) - len(small) + VALUE_BYTES - spare)], 1)
    [huge] = batches_of([b"h" * (8 * len(company))], 1)
    return {
        SMALL: Load(small, times, 1),
        LARGE: Load(large, times, 1),
        COMPANY: Load(company, times, TOGETHER),
        HUGE: Load(huge, times // 5, 1),
    }


@or_unmeasured()
def measure(broker: Broker, lab: Lab) -> Costs | Unmeasured:
    """All loads in turns; or why the broker's processor time cannot be read."""
    pid = broker.pid
    each = loads(200 if lab.fast else 500)
    found: dict[str, list[float]] = {name: [] for name in each}
    order = random.Random(lab.seed)
    with a_topic(broker) as topic, Wire(broker.host, broker.port) as wire:
        warm_ups = 6 if broker.kind == "kafka" else 1  # a JVM compiles what it does often
        for number in range(warm_ups + (3 if lab.fast else 9)):
            for name in order.sample(list(each), len(each)):
                cpu_s = min(_cpu_of(pid, wire, topic, each[name]) for _ in range(_RUNS))
                if number >= warm_ups:
                    found[name].append(cpu_s)
    if not all(map(all, found.values())):
        return Unmeasured(
            "a broker's processor time is counted too coarsely here: it stood still"
        )
    return Costs(each, {name: tuple(seen) for name, seen in found.items()})


def _cpu_of(pid: int, wire: Wire, topic: str, load: Load) -> float:
    frames = [produce_frame(wire, topic, 0, load.batch) for _ in range(load.times)]
    before = cpu_seconds(pid)
    for frame in frames:
        wire.send_frame(frame)
        wire.receive_frame()
    return cpu_seconds(pid) - before


def per_batch_s(costs: Costs) -> Spread:
    """What a batch costs that has next to no bytes, and one message."""
    load = costs.loads[SMALL]
    return spread(cpu_s / load.times for cpu_s in costs.cpu_s[SMALL])


def per_byte_s(costs: Costs) -> Spread:
    """What a byte costs: a batch with more of them, in one message as well."""
    small, huge = costs.loads[SMALL], costs.loads[HUGE]
    more_bytes = len(huge.batch) - len(small.batch)
    pairs = zip(costs.cpu_s[SMALL], costs.cpu_s[HUGE], strict=True)
    return spread((dear / huge.times - cheap / small.times) / more_bytes for cheap, dear in pairs)


def per_message_s(costs: Costs) -> Spread:
    """What a message costs beside its bytes: the same bytes in more messages."""
    company = costs.loads[COMPANY]
    more = company.times * (company.messages - 1)
    pairs = zip(costs.cpu_s[LARGE], costs.cpu_s[COMPANY], strict=True)
    return spread((many - one) / more for one, many in pairs)


def check(costs: Costs) -> tuple[float, Spread]:
    """One large message's CPU seconds a batch: as the sum predicts them, and as measured."""
    load = costs.loads[LARGE]
    more_bytes = len(load.batch) - len(costs.loads[SMALL].batch)
    predicted = per_batch_s(costs).median + per_byte_s(costs).median * more_bytes
    return predicted, spread(cpu_s / load.times for cpu_s in costs.cpu_s[LARGE])


def company_against_alone(costs: Costs) -> Comparison:
    """CPU for one message of a hundred in a batch, against one that is a batch of its own."""
    return compare_pairs("in company", "alone", "broker CPU a message", _per_message(costs))


def many_against_one(costs: Costs) -> Comparison:
    """CPU for the same bytes as a hundred messages, against one message."""
    pairs = list(zip(costs.cpu_s[COMPANY], costs.cpu_s[LARGE], strict=True))
    return compare_pairs("100 messages", "one message", "broker CPU for the same bytes", pairs)


def _per_message(costs: Costs) -> Sequence[tuple[float, float]]:
    alone, company = costs.loads[SMALL], costs.loads[COMPANY]
    pairs = zip(costs.cpu_s[COMPANY], costs.cpu_s[SMALL], strict=True)
    return [
        (many / (company.times * company.messages), one / (alone.times * alone.messages))
        for many, one in pairs
    ]


def cost_answer(costs: Costs | Unmeasured) -> int | None:
    """How much less a message costs in company: the number of the notebook's choice."""
    if isinstance(costs, Unmeasured):
        return None
    times_less = 1 / company_against_alone(costs).ratio.median
    return 1 + sum(times_less >= limit for limit in (1.5, 5, 20))


def costs_words(costs: Costs | Unmeasured) -> str:
    """The sum, and whether it came out."""
    if isinstance(costs, Unmeasured):
        return f"Not measured here: {str(costs).rstrip('.')}."
    predicted, measured = check(costs)
    outcome = "comes out"
    if not measured.low / NEARLY <= predicted <= measured.high * NEARLY:
        word = "cheaper" if measured.median < predicted else "dearer"
        outcome = f"does not come out, such a batch is {word}"
    each = per_message_s(costs)
    beside = "nothing that is told from noise: " if each.low <= 0 <= each.high else ""
    return (
        f"A batch costs {_us(per_batch_s(costs))}, a KiB {_us(per_byte_s(costs), 1024)}, a message "
        f"beside its bytes {beside}{_us(each)}. For a batch of "
        f"{len(costs.loads[LARGE].batch):,} bytes that predicts {predicted * 1e6:,.0f} µs; "
        f"measured were {_us(measured)}: the sum {outcome}."
    )


def _us(seconds: Spread, times: float = 1.0) -> str:
    factor = 1e6 * times
    low, median, high = (value * factor for value in (seconds.low, seconds.median, seconds.high))
    return f"{median:.3g} µs ({low:.3g} to {high:.3g}, n={seconds.n})"


def show_costs(costs: Costs | Unmeasured) -> None:
    """Each load's CPU time a batch and a message, and the sum in words."""
    if not isinstance(costs, Unmeasured):
        rows = []
        for name, load in costs.loads.items():
            a_batch = spread(cpu_s / load.times for cpu_s in costs.cpu_s[name])
            a_message = a_batch.median / load.messages * 1e6
            rows.append(
                [
                    name,
                    f"{load.messages}",
                    f"{len(load.batch):,}",
                    _us(a_batch),
                    f"{a_message:.3g} µs",
                ]
            )
        head = ["load", "messages a batch", "bytes a batch", "broker CPU a batch", "a message"]
        show_table(head, rows)
    print(costs_words(costs))
