"""Lab 13: both brokers timed in turns: CPU by the size of a fetch, TLS, latency; and counted: how
many are held up by a reader from a slow device.

What one sample measures is in `measuring.same_questions` and `measuring.held_up`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from zerocopy_lab.classroom.kafka_runs import recorded_run
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.prediction import Seen
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.network import congestion_controls
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab13 import page
from zerocopy_lab.lessons.lab13.page import Answers, answer, measured
from zerocopy_lab.lessons.lab13.two_brokers import KAFKA, OURS, TwoBrokers
from zerocopy_lab.measuring.experiment import ContestantFailed, Outcome, run_experiment
from zerocopy_lab.measuring.held_up import OTHERS, holding_up_at
from zerocopy_lab.measuring.same_questions import SIZES, questions_to, warm_up
from zerocopy_lab.pictures.cost_curves import Curve, crossover
from zerocopy_lab.pictures.ladder import Rung, ladder
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.running.limited_group import LimitedGroup

DEVICE_BYTES_PER_S = 16 << 20
_WARM_UP_MIB = {"kafka": 120, "zerocopy_lab": 2, "cluster": 2}
_NOT_CLEARLY = 1.2
"""Below this ratio of medians nobody is called cheaper."""


def time_them(two: TwoBrokers, lab: Lab) -> dict[str, Answers]:
    """The timed answers of each broker."""
    mib, waited_for = ((12, 48, 128), 200) if lab.fast else ((32, 128, 512), 600)
    for name, broker in two.brokers.items():
        warm_up(
            broker.host,
            broker.port,
            two.topics[name],
            two.steady[name],
            tls_port=two.tls_ports.get(name),
            mib=_WARM_UP_MIB[broker.kind],
        )
    contestants = [
        questions_to(
            name,
            broker,
            two.topics[name],
            two.steady[name],
            tls_port=two.tls_ports.get(name),
            mib=mib,
            waited_for=waited_for,
        )
        for name, broker in two.brokers.items()
    ]
    outcome = run_experiment(
        "the same questions",
        contestants,
        repeats=3 if lab.fast else 7,
        warm_ups=0,
        runs=1,
        seed=lab.seed,
    )
    return {name: timed_answers(outcome, name) for name in two.brokers}


def timed_answers(outcome: Outcome, name: str) -> Answers:
    """What the experiment found of one broker."""
    figures = {
        **{page.CPU[size]: (f"cpu_{size}_s_per_gib", "s/GiB") for size in SIZES},
        page.TLS: ("tls_s_per_gib", "s/GiB"),
        page.FETCH: ("fetch_ms", "ms"),
        page.P50: ("p50_ms", "ms"),
        page.P99: ("p99_ms", "ms"),
    }
    there = next(each.figures for each in outcome.samples if each.contestant == name)
    no_cpu = Unmeasured("the CPU of a process elsewhere cannot be read from here")
    no_tls = Unmeasured("there is no listener with TLS: it takes openssl to make a certificate")
    return {
        question: answer(question, outcome.spread_of(name, figure), unit)
        if figure in there
        else (no_tls if question == page.TLS and _has_cpu(there) else no_cpu)
        for question, (figure, unit) in figures.items()
    }


def _has_cpu(figures: Mapping[str, float]) -> bool:
    """Whether the broker's process could be seen."""
    return f"cpu_{SIZES[0]}_s_per_gib" in figures


# -- the CPU, drawn and told -----------------------------------------------------------------------


def cpu_picture(two: TwoBrokers, answered: Mapping[str, Answers]) -> Picture:
    """CPU a GiB over the size of a fetch, a curve a column of the page."""
    shown = page.columns(two, answered)
    curves = [Curve(column.heading, _points(column.answers)) for column in shown]
    return _signed(
        two,
        answered,
        lambda origin: crossover(
            curves,
            unit="CPU of the broker, s/GiB",
            size_of="what a fetch brings",
            origin=origin,
            title="The same bytes in smaller and larger fetches",
        ),
    )


def _points(answers: Mapping[str, page.Answer]) -> tuple[tuple[int, Spread], ...]:
    found = ((size, measured(answers, question)) for size, question in page.CPU.items())
    return tuple((size, value) for size, value in found if value is not None)


def _signed(
    two: TwoBrokers, answered: Mapping[str, Answers], draw: Callable[[Origin], Picture]
) -> Picture:
    """A picture with its origin. (What was recorded is called so by its name, column by column.)"""
    here = describe_host().text()
    run = recorded_run(page.LAB)
    if len(page.columns(two, answered)) == len(answered) or run is None:
        return draw(Origin("TIMED", here))
    where = f"recorded on {run.day}, {run.host}; 'here' is measured now, {here}"
    return draw(Origin("TIMED", where))


def pair(two: TwoBrokers, answered: Mapping[str, Answers]) -> tuple[Answers, Answers, str] | None:
    """Ours and a Kafka's answers of *one* run, and where that was."""
    if KAFKA in two.brokers:
        return answered[OURS], answered[KAFKA], "Measured here"
    run = recorded_run(page.LAB)
    if run is None:
        return None
    there = page.recorded_answers(run)
    return there[OURS], there[KAFKA], f"RECORDED on {run.day} on another machine ({run.host})"


def dearer(ours: Answers, theirs: Answers, question: str) -> bool | None:
    """Whether ours needs more for it, by all rounds of both; None where that is not clear."""
    mine, others = measured(ours, question), measured(theirs, question)
    if mine is None or others is None:
        return None
    if mine.low > others.high and mine.median > _NOT_CLEARLY * others.median:
        return True
    if mine.high < others.low and others.median > _NOT_CLEARLY * mine.median:
        return False
    return None


def cpu_answer(two: TwoBrokers, answered: Mapping[str, Answers]) -> tuple[int | None, str, Seen]:
    """For `compare`: where the broker in Python needs more (in both, in small ones, in large ones,
    in neither), where that was measured, and how it is known.
    """
    found = pair(two, answered)
    if found is None:
        return None, "No Kafka was measured here, and none is recorded.", Seen.MEASURED
    ours, theirs, where = found
    small, large = (dearer(ours, theirs, page.CPU[size]) for size in (SIZES[0], SIZES[-1]))
    choice = {(True, True): 1, (True, False): 2, (False, True): 3, (False, False): 4}[
        small is True, large is True
    ]
    return choice, "" if KAFKA in two.brokers else f"{where}.", _how(two)


def _how(two: TwoBrokers) -> Seen:
    return Seen.MEASURED if KAFKA in two.brokers else Seen.CITED


def cpu_words(two: TwoBrokers, answered: Mapping[str, Answers]) -> str:
    """The conclusion under the picture."""
    found = pair(two, answered)
    if found is None:
        return "No Kafka was measured here, and none is recorded."
    ours, theirs, where = found
    told = [_times(ours, theirs, size) for size in SIZES]
    control = " and ".join(dict.fromkeys(_controls()))
    return f"{where}: {'; '.join(told)}. (TCP's congestion control here: {control}.)"


def _controls() -> list[str]:
    try:
        return [congestion_controls()[0]]
    except Unavailable:
        return ["not told"]


def _times(ours: Answers, theirs: Answers, size: int) -> str:
    mine, others = (measured(each, page.CPU[size]) for each in (ours, theirs))
    if mine is None or others is None:
        return f"{page.CPU[size]}: not measured"
    clear = {True: "more", False: "less", None: "no clear difference"}
    ratio = mine.median / others.median
    return (
        f"{page.CPU[size]} ours needed {mine.text('s/GiB')}, Kafka {others.text('s/GiB')}: "
        f"{ratio:.2g} times ({clear[dearer(ours, theirs, page.CPU[size])]})"
    )


# -- latency ---------------------------------------------------------------------------------------


def latency_picture(two: TwoBrokers, answered: Mapping[str, Answers]) -> Picture:
    """p50 and p99, a pair of bars a column of the page."""
    rungs = []
    for column in page.columns(two, answered):
        for question, short, step in ((page.P50, "p50", " "), (page.P99, "p99", " ")):
            found = measured(column.answers, question)
            name = f"{column.heading}\n{short}"
            rungs.append(Rung(name, found, "" if found else "not measured", step=step))
    unit = "ms from due to received, at 200 messages a second"
    title = "How long a message takes"
    picture = _signed(
        two, answered, lambda origin: ladder(rungs, unit=unit, origin=origin, title=title)
    )
    told = "; ".join(f"{r.name} {r.measured.text('ms')}" for r in rungs if r.measured)
    picture.alt = f"How long a message takes: {told}.".replace("\n", ", ")
    return picture


def latency_words(two: TwoBrokers, answered: Mapping[str, Answers]) -> str:
    """The conclusion under it."""
    found = pair(two, answered)
    if found is None:
        return "No Kafka was measured here, and none is recorded."
    ours, theirs, where = found
    told = []
    for question in (page.P50, page.P99):
        mine, others = measured(ours, question), measured(theirs, question)
        if mine and others:
            told.append(f"{question}: ours {mine.text('ms')}, Kafka {others.text('ms')}")
    return (
        f"{where}: {'; '.join(told)}. A p99 is made by what happens now and then: the "
        "scheduler, a collector, a neighbour; beside it, the broker's own work is small."
    )


# -- who is held up --------------------------------------------------------------------------------


def count_held_up(two: TwoBrokers, lab: Lab) -> dict[str, page.Answer]:
    """Of a dozen others, how many wait for a device that somebody else reads from."""
    afar = Unmeasured("memory and device of a broker elsewhere are not seen from here")
    found: dict[str, page.Answer] = dict.fromkeys(two.brokers.keys() - two.running.keys(), afar)
    with ExitStack() as stack:
        try:
            for broker in two.running.values():
                group = LimitedGroup(broker.data_dir, read_bytes_per_s=DEVICE_BYTES_PER_S)
                stack.enter_context(group).take(broker.pid)
        except Unavailable as reason:
            return {**found, **dict.fromkeys(two.running, Unmeasured(str(reason)))}
        contestants = [
            holding_up_at(name, broker, two.topics[name], bytes_per_s=DEVICE_BYTES_PER_S)
            for name, broker in two.running.items()
        ]
        try:
            outcome = run_experiment(
                "held up", contestants, repeats=3, warm_ups=0, runs=1, seed=lab.seed
            )
        except ContestantFailed as failure:
            if NotEvicted.__name__ not in str(failure):
                raise
            why = Unmeasured("the log could not be put out of memory: somebody held it")
            return {**found, **dict.fromkeys(two.running, why)}
    return {**found, **{name: held_up_count(outcome, name) for name in two.running}}


def held_up_count(outcome: Outcome, name: str) -> page.Answer:
    """The count that a majority of rounds gives; unmeasured where the control is not at 0."""
    device = outcome.values(name, "held_up_device")
    memory = outcome.values(name, "held_up_memory")
    if sorted(memory)[len(memory) // 2] > 0:
        return Unmeasured("others waited beside a reader from memory, too: the machine is busy")
    return answer(page.HELD_UP, int(sorted(device)[len(device) // 2]), f"of {OTHERS}")


def held_up_answer(
    two: TwoBrokers, found: Mapping[str, page.Answer]
) -> tuple[int | None, str, Seen]:
    """For `compare`, of a Kafka: the choice (none, about a third, all), and how it is known."""
    if KAFKA in two.brokers:
        seen = found[KAFKA]
        why = str(seen) if isinstance(seen, Unmeasured) else ""
        return held_up_choice(seen), why, Seen.MEASURED
    recorded = page.recorded_answers().get(KAFKA, {}).get(page.HELD_UP)
    return held_up_choice(recorded), f"No Kafka was asked here: {two.why_alone}.", Seen.CITED


def held_up_choice(found: page.Answer | None) -> int | None:
    """None of them, about a third, all: the number of the notebook's choice."""
    if found is None or isinstance(found, Unmeasured):
        return None
    assert isinstance(found.value, int)
    count = found.value
    if count == 0:
        return 1
    if count == OTHERS:
        return 3
    return 2 if OTHERS // 4 <= count <= OTHERS // 2 else None
