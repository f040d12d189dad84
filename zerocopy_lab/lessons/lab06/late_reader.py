"""Lab 06, the late reader: what reading from the device costs the others, and who gains by what.

"The device" is what this machine takes for one: under a virtual machine, the host may well have
the bytes in its own memory. What one sample measures is in `measuring.late_reading`.
"""

from __future__ import annotations

from pathlib import Path

from zerocopy_lab.classroom.evidence import Evidence, Finding, Quantity, Verdict, finding
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.broker_contest import per_gib, start_broker
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.measuring.experiment import Contestant, Outcome, compare, run_experiment
from zerocopy_lab.measuring.fetching import evict_log
from zerocopy_lab.measuring.late_reading import read_beside_others
from zerocopy_lab.measuring.recorded import (
    marked,
    recorded,
    recorded_origin,
    recorded_outcome,
    recorded_words,
)
from zerocopy_lab.pictures.ladder import NO_CLEAR_CHANGE, Rung, ladder
from zerocopy_lab.pictures.theme import Origin, Picture

DIRECT, COPYING = "sendfile", "read_then_send"
RECORDED_AS = "06 a late reader"

OTHERS_QUESTION = (
    "A late consumer reads old records that are no longer in memory. What does another client, "
    "which asks the same broker a small question, notice of it?"
)
OTHERS_CHOICES = (
    "nothing: sockets do not block",
    "it waits longer than beside a reader from memory",
    "too little to be told apart here",
)


def measure(data_dir: Path, topic: str, lab: Lab) -> Outcome | str:
    """Both ways of sending, from memory and from the device, in turns; or why not here."""
    try:
        evict_log(data_dir, topic)
    except (NotEvicted, Unavailable) as reason:
        return str(reason)
    settings = {"data_dir": str(data_dir), "topic": topic}
    return run_experiment(
        "a late reader",
        [
            Contestant(
                f"{transfer}, {'device' if evicted else 'memory'}",
                read_beside_others,
                {**settings, "transfer": transfer, "evicted": evicted},
                start_broker,
            )
            for transfer in (DIRECT, COPYING)
            for evicted in (False, True)
        ],
        repeats=3 if lab.fast else 7,
        warm_ups=0,
        seed=lab.seed,
    )


def others_picture(outcome: Outcome | str) -> Picture:
    """What a small question waits: alone, beside a reader from memory, beside one from the
    device. Where that could not be measured: in the reference run.
    """
    if isinstance(outcome, str):
        return marked(_ladder(_recorded(), recorded_origin("TIMED")))
    return _ladder(outcome, Origin("TIMED", outcome.host.text()))


def _recorded() -> Outcome:
    return recorded_outcome(recorded(RECORDED_AS))


def _ladder(outcome: Outcome, origin: Origin) -> Picture:
    idle = spread(outcome.values(f"{DIRECT}, memory", "idle_ms"))
    found = _device_against_memory(outcome)
    is_clear = found.verdict != "inconclusive"
    step = f"× {found.ratio.median:.2g}" if is_clear else NO_CLEAR_CHANGE
    rungs = [
        Rung("nobody else asks", idle),
        Rung("beside a reader from memory", _of(outcome, "memory", "beside_ms")),
        Rung("beside a reader from the device", _of(outcome, "device", "beside_ms"), step=step),
    ]
    picture = ladder(rungs, unit="ms for a small question", origin=origin)
    picture.alt = f"How long a small question waits. {others_words(outcome)}"
    return picture


def _device_against_memory(outcome: Outcome) -> Comparison:
    return compare(outcome, f"{DIRECT}, device", f"{DIRECT}, memory", "beside_ms")


def _of(outcome: Outcome, source: str, figure: str) -> Spread:
    return spread(outcome.values(f"{DIRECT}, {source}", figure))


def others_words(outcome: Outcome | str) -> str:
    """The conclusion under that picture."""
    if isinstance(outcome, str):
        told = recorded_words(others_words(_recorded()))
        return f"The late reader was not measured here: {outcome} {told}"
    found = _device_against_memory(outcome)
    told = {
        "dearer": "The others wait for the device as well, although they asked for nothing on it.",
        "cheaper": "Strangely, the others waited less beside the reader from the device.",
        "inconclusive": "That is no clear difference: few rounds, or a fast device.",
    }[found.verdict]
    sleeps = [
        _of(outcome, source, "broker_sleeps").text("times") for source in ("memory", "device")
    ]
    return (
        f"A small question took {_of(outcome, 'memory', 'beside_ms').text('ms')} beside a reader "
        f"from memory, {_of(outcome, 'device', 'beside_ms').text('ms')} beside one from the device "
        f"({found.why}). {told} Meanwhile the broker's thread had gone to sleep {sleeps[0]} from "
        f"memory and {sleeps[1]} from the device."
    )


def others_answer(outcome: Outcome | str) -> str | None:
    """What was measured, as one of OTHERS_CHOICES; None where it was not."""
    if isinstance(outcome, str):
        return None
    found = _device_against_memory(outcome)
    at = {"dearer": 1, "cheaper": 0}.get(found.verdict, 2)
    return OTHERS_CHOICES[at]


def gain_finding(outcome: Outcome | str) -> Finding:
    """P3: is the gain from zero copy bigger the more is cached?"""
    part = "the more of it, the bigger the gain"
    if isinstance(outcome, str):
        words = f"Not evicted here: {outcome} {recorded_words(_gain_words(_recorded()))}"
        return finding("P3", Verdict.NOT_TESTABLE, Evidence.TIMED, words, part=part)
    memory, device = saving(outcome, "memory"), saving(outcome, "device")
    return finding(
        "P3",
        _is_gain_bigger_from_memory(outcome),
        Evidence.TIMED,
        _gain_words(outcome),
        Quantity("CPU saved by sendfile, from memory", memory, "s/GiB"),
        Quantity("CPU saved by sendfile, from the device", device, "s/GiB"),
        part=part,
    )


def _is_gain_bigger_from_memory(outcome: Outcome) -> Verdict:
    pairs = list(zip(_savings(outcome, "memory"), _savings(outcome, "device"), strict=True))
    if min(map(min, pairs)) <= 0:  # in some round it saved nothing
        return Verdict.INCONCLUSIVE
    found = compare_pairs("memory", "device", "CPU saved", pairs)
    return {
        "dearer": Verdict.SUPPORTED,
        "cheaper": Verdict.CONTRADICTED,
        "inconclusive": Verdict.INCONCLUSIVE,
    }[found.verdict]


def _gain_words(outcome: Outcome) -> str:
    return (
        f"Per GiB, sendfile saves the broker {saving(outcome, 'memory').text('s')} of CPU when the "
        f"log is in memory and {saving(outcome, 'device').text('s')} when it is out of memory. "
        "What the cache saves is waiting: the same bytes took "
        f"{_seconds(outcome, 'memory').text('s')} from memory and "
        f"{_seconds(outcome, 'device').text('s')} from the device. Two different gains."
    )


def saving(outcome: Outcome, source: str) -> Spread:
    """Broker CPU per GiB that sendfile saves against read_then_send, round by round."""
    return spread(_savings(outcome, source))


def _savings(outcome: Outcome, source: str) -> list[float]:
    copying, direct = (
        per_gib(outcome, f"{transfer}, {source}", "broker_cpu_s") for transfer in (COPYING, DIRECT)
    )
    return [a - b for a, b in zip(copying, direct, strict=True)]


def _seconds(outcome: Outcome, source: str) -> Spread:
    return spread(per_gib(outcome, f"{DIRECT}, {source}", "wall_s"))
