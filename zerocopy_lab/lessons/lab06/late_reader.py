"""Lab 06, the late reader: what reading from the device costs the others, and who gains by what.

Each broker gets a slow device (`running.limited_group`), always: that of a virtual machine is
often as fast as memory, since the host holds the bytes in *its* memory. Nothing else is slowed
down: what is in memory comes as before. What one sample measures is in `measuring.late_reading`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity, Verdict, verdict_on_dearer
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject, about
from zerocopy_lab.classroom.thresholds import are_alike
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.measuring.broker_contest import per_gib
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.measuring.experiment import ContestantFailed, Outcome, run_experiment
from zerocopy_lab.measuring.fetching import evict_log
from zerocopy_lab.measuring.late_reading import late_reader_at
from zerocopy_lab.measuring.recorded import (
    marked,
    recorded,
    recorded_origin,
    recorded_outcome,
    recorded_words,
)
from zerocopy_lab.pictures.ladder import NO_CLEAR_CHANGE, Rung, ladder
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.plain_words import factor
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.limited_group import LimitedGroup
from zerocopy_lab.running.running_broker import RunningBroker

TOPIC, RECORDED_AS = "late", "06 a late reader"
DIRECT, COPYING, KAFKA = "sendfile", "read_then_send", "Apache Kafka"
DEVICE_BYTES_PER_S = 16 << 20
_ROUNDS = 9
"""In fast mode, too: the test of ranks then bears with a round in which the machine was busy."""
ONE_THREAD = {"num.network.threads": "1"}
"""So that it is certain who shares a thread: with Kafka's default of 3 it is every third client."""
AS_KAFKA_DOES = {"cold.read.threads": "0"}
"""The network thread itself waits for the device. As it comes, ours asks first."""

# -- measure ---------------------------------------------------------------------------------------


def measure(
    asked: AnyBroker, lab: Lab, settings: Mapping[str, str] = AS_KAFKA_DOES
) -> Outcome | Unmeasured:
    """Both our ways of sending, and the Kafka that was asked if it is one: from memory and from a
    slow device, in turns; or why not here. The settings are for ours.
    """
    with contextlib.ExitStack() as stack:
        brokers = {
            transfer: stack.enter_context(RunningBroker(transfer=transfer, settings=settings))
            for transfer in (DIRECT, COPYING)
        }
        if isinstance(asked, RunningBroker) and asked.kind == "kafka":
            brokers[KAFKA] = asked
        return _measure_at(brokers, 18_000 if lab.fast else 40_000, lab.seed)


@or_unmeasured(NotEvicted, Unavailable)
def _measure_at(
    brokers: Mapping[str, RunningBroker], events: int, seed: int
) -> Outcome | Unmeasured:
    """The experiment at running brokers, which are filled first."""
    with contextlib.ExitStack() as stack:
        for broker in brokers.values():
            _try_a_slow_device(broker.data_dir)
            flight_events.produce(broker.bootstrap, TOPIC, flight_events.repeated(events))
            evict_log(broker.data_dir, TOPIC)
            group = LimitedGroup(broker.data_dir, read_bytes_per_s=DEVICE_BYTES_PER_S)
            stack.enter_context(group).take(broker.pid)
        contestants = [
            late_reader_at(name, broker, TOPIC, bytes_per_s=DEVICE_BYTES_PER_S)
            for name, broker in brokers.items()
        ]
        try:
            return run_experiment(
                "a late reader", contestants, repeats=_ROUNDS, warm_ups=0, runs=1, seed=seed
            )
        except ContestantFailed as failure:
            if NotEvicted.__name__ not in str(failure):
                raise
            return Unmeasured("meanwhile the log could not be put out of memory: somebody held it")


def _try_a_slow_device(path: Path) -> None:
    """With a process that does nothing, before anything is filled. Raises Unavailable."""
    idle = [sys.executable, "-c", "input()"]
    with (
        LimitedGroup(path, read_bytes_per_s=DEVICE_BYTES_PER_S) as group,
        subprocess.Popen(idle, stdin=subprocess.PIPE) as process,
    ):
        try:
            group.take(process.pid)
        finally:
            process.communicate(b"\n")


def recorded_late_reader() -> Outcome:
    """That of the reference run, a real Kafka among the contestants."""
    return recorded_outcome(recorded(RECORDED_AS))


# -- shown -----------------------------------------------------------------------------------------


def others_picture(outcome: Outcome | Unmeasured) -> Picture:
    """What a small question waits beside a reader from memory and beside one from the device, one
    pair after the other; where that could not be measured, in the recorded run.
    """
    if isinstance(outcome, Unmeasured):
        return marked(_ladder(recorded_late_reader(), recorded_origin("TIMED")))
    return _ladder(outcome, Origin("TIMED", outcome.host.text()))


def kafka_picture(outcome: Outcome | Unmeasured) -> Picture:
    """The recorded Kafka's pair; the live one's, where it was measured."""
    if isinstance(outcome, Outcome) and KAFKA in outcome.contestants:
        return _ladder(outcome, Origin("TIMED", outcome.host.text()), [KAFKA])
    return marked(_ladder(recorded_late_reader(), recorded_origin("TIMED"), [KAFKA]))


def _ladder(outcome: Outcome, origin: Origin, names: list[str] | None = None) -> Picture:
    names = names or [name for name in outcome.contestants if name != KAFKA]
    rungs: list[Rung] = []
    for name in names:
        found = device_against_memory(outcome, name)
        is_clear = found.verdict != "inconclusive"
        step = f"× {factor(found.ratio.median)}" if is_clear else NO_CLEAR_CHANGE
        rungs += [
            Rung(f"{name}, from memory", _waits(outcome, name, "memory"), step="× 1"),
            Rung(f"{name}, from the device", _waits(outcome, name, "device"), step=step),
        ]
    unit = "ms that half of the small questions wait at least"
    title = "How long a small question waits beside a reader from memory and from the device"
    picture = ladder(rungs, unit=unit, origin=origin, title=title)
    told = "; ".join(f"{rung.name} {rung.measured.text('ms')}" for rung in rungs if rung.measured)
    picture.alt = f"How long a small question waits: {told}."
    return picture


def device_against_memory(outcome: Outcome, name: str) -> Comparison:
    """The others' wait, beside a late reader against a reader from memory."""
    return compare_pairs("from the device", "from memory", "wait", _pairs(outcome, name, "wait_ms"))


def _pairs(outcome: Outcome, name: str, figure: str) -> list[tuple[float, float]]:
    """A figure from the device and from memory, round by round."""
    device, memory = (outcome.values(name, f"{source}_{figure}") for source in ("device", "memory"))
    return list(zip(device, memory, strict=True))


def _waits(outcome: Outcome, name: str, source: str) -> Spread:
    return spread(outcome.values(name, f"{source}_wait_ms"))


def others_words(outcome: Outcome | Unmeasured) -> str:
    """The conclusion under that picture."""
    if isinstance(outcome, Unmeasured):
        there = recorded_late_reader()
        told = " ".join(_pair_words(there, name) for name in there.contestants if name != KAFKA)
        return f"A slow device could not be made here: {outcome} {recorded_words(told)}"
    return " ".join(_pair_words(outcome, name) for name in outcome.contestants if name != KAFKA)


def kafka_words(outcome: Outcome | Unmeasured) -> str:
    """The same of a real Kafka, live or recorded."""
    if isinstance(outcome, Outcome) and KAFKA in outcome.contestants:
        return _pair_words(outcome, KAFKA)
    return recorded_words(_pair_words(recorded_late_reader(), KAFKA))


def _pair_words(outcome: Outcome, name: str) -> str:
    found = device_against_memory(outcome, name)
    told = {
        "dearer": "the others waited for the device too, although they asked for nothing on it",
        "cheaper": "strangely, the others waited less beside the reader from the device",
        "inconclusive": f"no clear difference ({found.why})",
    }[found.verdict]
    return (
        f"{name}: half of the small questions waited longer than "
        f"{_waits(outcome, name, 'memory').text('ms')} beside a reader from memory and "
        f"{_waits(outcome, name, 'device').text('ms')} beside one from the device: {told}."
    )


def others_answer(outcome: Outcome | Unmeasured) -> tuple[int | None, str]:
    """What was measured, as the number of the notebook's choice; or why that is not clear."""
    if isinstance(outcome, Unmeasured):
        return None, f"A slow device could not be made here: {outcome}"
    found = device_against_memory(outcome, DIRECT)
    if found.verdict == "dearer":
        return 2 + (found.ratio.median >= 5), ""
    within = are_alike(found.ratio.low, 1) and are_alike(found.ratio.high, 1)
    if within or found.verdict == "cheaper":
        return 1, ""
    return None, f"No clear answer here: {found.why}."


# -- concluded -------------------------------------------------------------------------------------


def findings(outcome: Outcome | Unmeasured, asked: AnyBroker) -> list[Finding]:
    """P2, turned round: a late reader makes the others wait. And P3's gain."""
    found = [_waiting_finding(outcome, name, KERNEL_HERE) for name in (DIRECT, COPYING)]
    if isinstance(outcome, Outcome) and KAFKA in outcome.contestants:
        found.append(_waiting_finding(outcome, KAFKA, about(asked)))
    return [*found, gain_finding(outcome)]


def _waiting_finding(outcome: Outcome | Unmeasured, name: str, subject: Subject) -> Finding:
    waiting = Aspect("P2", subject, f"a late reader makes the others wait: {name}")
    if isinstance(outcome, Unmeasured):
        return waiting.not_testable(others_words(outcome))
    found = device_against_memory(outcome, name)
    return waiting.timed(
        verdict_on_dearer(found.verdict),
        _pair_words(outcome, name),
        Quantity("wait beside a reader from memory", _waits(outcome, name, "memory"), "ms"),
        Quantity("wait beside a reader from the device", _waits(outcome, name, "device"), "ms"),
        Quantity("the second / the first, round by round", found.ratio),
        source="Apache Kafka, issue KAFKA-7504; sendfile(2)",
    )


def gain_finding(outcome: Outcome | Unmeasured) -> Finding:
    """P3: is the gain from zero copy bigger the more is cached?"""
    gain = Aspect("P3", KERNEL_HERE, "the more of it, the bigger the gain")
    if isinstance(outcome, Unmeasured):
        told = recorded_words(_gain_words(recorded_late_reader()))
        return gain.not_testable(f"A slow device could not be made here: {outcome}. {told}")
    memory, device = (spread(_savings(outcome, source)) for source in ("memory", "device"))
    return gain.timed(
        _is_gain_bigger_from_memory(outcome),
        _gain_words(outcome),
        Quantity("CPU saved by sendfile, from memory", memory, "s/GiB"),
        Quantity("CPU saved by sendfile, from the device", device, "s/GiB"),
    )


def _is_gain_bigger_from_memory(outcome: Outcome) -> Verdict:
    pairs = list(zip(_savings(outcome, "memory"), _savings(outcome, "device"), strict=True))
    if min(map(min, pairs)) <= 0:  # in some round it saved nothing
        return Verdict.INCONCLUSIVE
    found = compare_pairs("memory", "device", "CPU saved", pairs)
    return verdict_on_dearer(found.verdict)


def _gain_words(outcome: Outcome) -> str:
    saved, seconds = (
        [spread(of(outcome, source)).text("s") for source in ("memory", "device")]
        for of in (_savings, _seconds)
    )
    return (
        f"Per GiB, sendfile saves the broker {saved[0]} of CPU when the log is in memory and "
        f"{saved[1]} when it is out of memory. What the cache saves is waiting: a GiB took "
        f"{seconds[0]} from memory and {seconds[1]} from the slow device. Two different gains."
    )


def _savings(outcome: Outcome, source: str) -> list[float]:
    """Broker CPU per GiB that sendfile saves against read_then_send, round by round."""
    copying, direct = (
        per_gib(outcome, transfer, f"{source}_alone_cpu_s") for transfer in (COPYING, DIRECT)
    )
    return [a - b for a, b in zip(copying, direct, strict=True)]


def _seconds(outcome: Outcome, source: str) -> list[float]:
    return per_gib(outcome, DIRECT, f"{source}_alone_s")
