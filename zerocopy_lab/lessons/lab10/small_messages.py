"""Lab 10, small messages: from how many bytes on is sendfile the cheaper call?

The loops of `measuring.sending_loops` in C, so that no turn of Python is in the figures. Without a
compiler the same loops in Python are shown and nothing is judged by them: their empty turns cannot
simply be taken off, because with them would go the calls themselves, two of one loop, one of
another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import (
    Finding,
    Quantity,
    Verdict,
    verdict_if,
    verdict_on_dearer,
)
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject
from zerocopy_lab.classroom.thresholds import are_alike
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.spread import spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.measuring.sending_loops import compiled
from zerocopy_lab.measuring.small_sends import Over, Plan, small_sends
from zerocopy_lab.pictures.cost_curves import Curve, crossover
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker

FAST_SIZES: Final = (64, 1 << 10, 8 << 10, 64 << 10)
SIZES: Final = (64, 256, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10, 1 << 20)
TOPIC: Final = "small"
READ, MAP, DIRECT = "read + send", "send from memory", "sendfile"
_LOOPS: Final = {READ: "read_and_send", MAP: "map_and_send", DIRECT: "only_sendfile"}
OVER_UNIX, OVER_CABLE = "over a unix socket", "over a cable (veth)"
_ELSEWHERE: Final[dict[str, Over]] = {OVER_UNIX: "unix", OVER_CABLE: "veth"}

Costs = Mapping[str, Mapping[int, Sequence[float]]]
"""Way -> size in bytes -> CPU microseconds of a message, round by round."""


class SizeSweep(NamedTuple):
    """The costs over the loopback; where and with what they were measured; and over other ways."""

    costs: Costs
    host: str
    in_c: bool
    elsewhere: Mapping[str, Costs | Unmeasured] = MappingProxyType({})
    """OVER_UNIX, OVER_CABLE -> the costs there"""


def measure(directory: Path, lab: Lab) -> SizeSweep:
    """All ways at all sizes, in turns, over TCP; at a few sizes over a unix socket and a cable."""
    rounds = 3 if lab.fast else 7
    try:
        library: Path | None = compiled(directory)
    except Unavailable:
        library = None
    plan = Plan(FAST_SIZES if lab.fast else SIZES, rounds, lab.seed)
    elsewhere: dict[str, Costs | Unmeasured] = {}
    for name, over in _ELSEWHERE.items() if library else ():
        try:
            elsewhere[name] = _costs(over, library, plan._replace(sizes=FAST_SIZES))
        except Unavailable as reason:
            elsewhere[name] = Unmeasured(str(reason))
    host = describe_host().text()
    return SizeSweep(_costs("tcp", library, plan), host, library is not None, elsewhere)


def _costs(over: Over, library: Path | None, plan: Plan) -> Costs:
    found = small_sends(over, library, plan)
    return {name: found[loop] for name, loop in _LOOPS.items()}


def compared(costs: Costs, size: int, base: str = MAP) -> Comparison:
    """Is sendfile cheaper than the base at this size?"""
    pairs = list(zip(costs[DIRECT][size], costs[base][size], strict=True))
    return compare_pairs(DIRECT, base, "CPU of a message", pairs)


def change(costs: Costs, base: str = MAP) -> tuple[int, int] | None:
    """The sizes between which the order changes: the largest at which sendfile is dearer, and the
    smallest above it at which it is cheaper. None where it does not change.
    """
    said = {size: compared(costs, size, base).verdict for size in sorted(costs[DIRECT])}
    dearer = [size for size, verdict in said.items() if verdict == "dearer"]
    if not dearer:
        return None
    cheaper = [size for size, verdict in said.items() if verdict == "cheaper" and size > dearer[-1]]
    return (dearer[-1], cheaper[0]) if cheaper else None


def picture(sweep: SizeSweep) -> Picture:
    """Cost of one message over its size."""
    curves = [
        Curve(way, tuple((size, spread(values)) for size, values in sorted(by_size.items())))
        for way, by_size in sweep.costs.items()
    ]
    return crossover(
        curves,
        unit="CPU of the sender, µs a message",
        origin=Origin("TIMED", sweep.host),
        between=change(sweep.costs) if sweep.in_c else None,
        title="One message, sent alone",
    )


def words(sweep: SizeSweep) -> str:
    """The conclusion under it."""
    if not sweep.in_c:
        return NO_C
    told = " ".join(_words_against(sweep.costs, base) for base in (READ, MAP))
    return f"Loops in C. {told}"


NO_C: Final = (
    "Loops in Python, because no C compiler is here: its own turns are in the figures, and nothing "
    "is judged by them."
)


def _words_against(costs: Costs, base: str) -> str:
    said = []
    for size in sorted(costs[DIRECT]):
        found = compared(costs, size, base)
        said.append(f"{byte_count(size)} {_SAID[found.verdict]} ({found.ratio.text('times')})")
    between = change(costs, base)
    turn = (
        f" the order changes between {byte_count(between[0])} and {byte_count(between[1])}."
        if between
        else " no change of the order that all rounds agree on."
    )
    return f"sendfile against {base}: {', '.join(said)};{turn}"


_SAID = {"cheaper": "cheaper", "dearer": "dearer", "inconclusive": "not told apart"}


def show_elsewhere(sweep: SizeSweep) -> str:
    """Sendfile beside bytes in memory over each way, size by size; returns a sentence, or ""."""
    there = {"over the loopback (TCP)": sweep.costs, **sweep.elsewhere}
    seen = {name: costs for name, costs in there.items() if not isinstance(costs, Unmeasured)}
    sizes = sorted(set.intersection(*(set(costs[DIRECT]) for costs in seen.values())))
    show_table(
        [f"{DIRECT} / {MAP}", *map(byte_count, sizes)],
        [
            [name, *(compared(costs, size).ratio.text(digits=2) for size in sizes)]
            for name, costs in seen.items()
        ],
    )
    missing = [f"{name}: not tried here: {why}" for name, why in there.items() if name not in seen]
    return " ".join(missing if sweep.in_c else [NO_C])


def smallest_answer(sweep: SizeSweep) -> int | None:
    """The number of the notebook's choice at the smallest size: from memory, sendfile, neither
    (they are alike, which is more than that the rounds do not tell); None where nobody can tell.
    """
    if not sweep.in_c:
        return None
    found = compared(sweep.costs, min(sweep.costs[DIRECT]))
    if found.verdict == "inconclusive":
        return 3 if are_alike(found.ratio.median, 1) else None
    return 1 if found.verdict == "dearer" else 2


def unclear(sweep: SizeSweep) -> str:
    """Why there is no answer, where there is none."""
    if not sweep.in_c:
        return NO_C
    return "" if smallest_answer(sweep) else "The rounds scatter too much to tell."


class SmallestFetch(NamedTuple):
    """A Fetch that finds one message: its bytes, and those of the records in the answer."""

    message_bytes: int
    records_bytes: int

    def __str__(self) -> str:
        return (
            f"a fetch that finds one message of {self.message_bytes} bytes brings "
            f"{self.records_bytes} bytes of records"
        )

    @property
    def brings_it_whole(self) -> bool:
        """Records are a message and what is around it, so never less."""
        return self.records_bytes > self.message_bytes


def smallest_fetch(broker: AnyBroker) -> SmallestFetch:
    """One flight event into a topic of its own, fetched."""
    [event] = flight_events.repeated(1)
    flight_events.produce(broker.bootstrap, TOPIC, [event])
    with Wire(broker.host, broker.port) as wire:
        return SmallestFetch(len(event), len(fetch(wire, TOPIC, 0, 0).records))


def findings(sweep: SizeSweep, smallest: SmallestFetch, subject: Subject) -> list[Finding]:
    """L3, of the calls and of a fetch."""
    return [
        _of_the_calls(sweep, READ, "against read and send"),
        _of_the_calls(sweep, MAP, "against bytes in memory"),
        *[_elsewhere(sweep, name) for name in _ELSEWHERE],
        _of_a_fetch(sweep, smallest, subject),
    ]


def verdict_on_small(sweep: SizeSweep, base: str) -> Verdict:
    """Overhead for small messages: is sendfile dearer at the smallest size?"""
    if not sweep.in_c:
        return Verdict.NOT_TESTABLE
    return verdict_on_dearer(compared(sweep.costs, min(sweep.costs[DIRECT]), base).verdict)


def _of_the_calls(sweep: SizeSweep, base: str, part: str) -> Finding:
    least = min(sweep.costs[DIRECT])
    return Aspect("L3", KERNEL_HERE, part).timed(
        verdict_on_small(sweep, base),
        _words_against(sweep.costs, base) if sweep.in_c else NO_C,
        Quantity(f"sendfile / {base}, {least} bytes", compared(sweep.costs, least, base).ratio),
        *[
            Quantity(f"{way}, {least} bytes", spread(sweep.costs[way][least]), "µs")
            for way in (base, DIRECT)
        ],
    )


def _elsewhere(sweep: SizeSweep, name: str) -> Finding:
    costs = sweep.elsewhere.get(name, Unmeasured(NO_C))
    if isinstance(costs, Unmeasured):
        return Aspect("L3", KERNEL_HERE, name).not_testable(str(costs))
    there = SizeSweep(costs, sweep.host, sweep.in_c)
    return _of_the_calls(there, MAP, name)


def _of_a_fetch(sweep: SizeSweep, smallest: SmallestFetch, subject: Subject) -> Finding:
    """Can a fetch be so small that sendfile is the dearer way?"""
    between = change(sweep.costs) if sweep.in_c else None
    told = (
        f"A fetch that finds one message of {smallest.message_bytes} bytes moves "
        f"{smallest.records_bytes} bytes of records"
    )
    if between is None:
        verdict, more = Verdict.INCONCLUSIVE, "no crossover was seen to hold it against"
    else:
        is_small = smallest.records_bytes <= between[0]
        is_between = between[0] < smallest.records_bytes < between[1]  # where nobody has looked
        verdict = verdict_if(None if is_between else is_small)
        more = (
            f"the order changes between {byte_count(between[0])} and {byte_count(between[1])}; a "
            "fetch of 1 MiB, the default for a partition, is far above"
        )
    return Aspect("L3", subject, "a fetch").counted(
        verdict,
        f"{told}; {more}.",
        Quantity("records in the smallest fetch", smallest.records_bytes, "bytes"),
    )
