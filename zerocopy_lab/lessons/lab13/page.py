"""Lab 13: the page. The same questions, and what each broker answered, here or in a recorded run.

An answer is a `Quantity`, or `Unmeasured` with the reason. The recorded run has both brokers'
answers of one machine and one day, so that its figures may be held against each other; those of
this machine stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from zerocopy_lab.classroom.evidence import Quantity
from zerocopy_lab.classroom.kafka_runs import KafkaRun, recorded_run
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab13.two_brokers import KAFKA, OURS, TwoBrokers

LAB = "13"

START = "starts in"
MEMORY = "memory when all was asked"
ALIAS = "its answer, overwritten in the file"
CALLS = "system calls for a fetch of 1 MiB"
SENDFILES = "of these: sendfile"
TLS_SENDFILES = "sendfile calls for it over TLS"
CPU = {
    4096: "CPU, in fetches of 4 KiB",
    65536: "CPU, in fetches of 64 KiB",
    1 << 20: "CPU, in fetches of 1 MiB",
}
TLS = "CPU, 1 MiB over TLS"
FETCH = "a fetch of 1 MiB, alone"
P50, P99 = "p50 at 200 messages a second", "p99 at 200 messages a second"
HELD_UP = "others held up by a cold reader"
LOG = "sha-256 of the log of the same batches"
INDEX = "entries in its index"
OPENS = "opens the other's files"

QUESTIONS = (
    START, MEMORY, ALIAS, CALLS, SENDFILES, *CPU.values(), FETCH, P50, P99, HELD_UP, TLS,
    TLS_SENDFILES, LOG, INDEX, OPENS,
)  # fmt: skip

Answer = Quantity | Unmeasured
Answers = dict[str, Answer]
"""question -> answer, of one broker"""

_BETWEEN = ": "


class Column(NamedTuple):
    """One broker's answers, and how the page calls them."""

    heading: str
    answers: Mapping[str, Answer]


def answer(question: str, value: Spread | float | int | bool | str, unit: str = "") -> Quantity:
    """One answer."""
    return Quantity(question, value, unit)


def figures(answered: Mapping[str, Mapping[str, Answer]]) -> list[Quantity]:
    """All answers for a conclusion, each with its broker's name in front: so they are recorded."""
    return [
        each._replace(name=f"{name}{_BETWEEN}{question}")
        for name, answers in answered.items()
        for question, each in answers.items()
        if isinstance(each, Quantity)
    ]


def recorded_answers(run: KafkaRun | None = None) -> dict[str, Answers]:
    """What `figures` made of a run, back: broker -> answers; nothing where none is recorded."""
    run = run or recorded_run(LAB)
    found: dict[str, Answers] = {}
    for each in run.figures if run else ():
        name, _, question = each.name.partition(_BETWEEN)
        found.setdefault(name, {})[question] = each._replace(name=question)
    return found


def columns(two: TwoBrokers, answered: Mapping[str, Answers]) -> list[Column]:
    """Ours here, the other here; or, where there is none, Kafka and ours of the recorded run."""
    here = [Column(f"{name}, here", answers) for name, answers in answered.items()]
    run = recorded_run(LAB)
    if KAFKA in two.brokers or run is None:
        return here
    there = recorded_answers(run)
    return [
        *here,
        Column(f"{run.kafka}, RECORDED {run.day}", there.get(KAFKA, {})),
        Column(f"{OURS}, RECORDED in the same run", there.get(OURS, {})),
    ]


def show_page(two: TwoBrokers, answered: Mapping[str, Answers]) -> None:
    """The one page: a row a question, a column a broker; below it, why some cells are empty."""
    shown = columns(two, answered)
    rows = [
        [question, *(_in_a_cell(column.answers.get(question)) for column in shown)]
        for question in QUESTIONS
        if any(question in column.answers for column in shown)
    ]
    show_table(["asked", *(column.heading for column in shown)], rows)
    reasons = {
        str(each): question
        for answers in answered.values()
        for question, each in answers.items()
        if isinstance(each, Unmeasured)
    }
    for reason, question in reasons.items():
        print(f"not here ({question}, ...): {reason}")
    run = recorded_run(LAB)
    if len(shown) > len(answered) and run is not None:
        print(f"RECORDED: not measured here, but on {run.day} on {run.host}")


def _in_a_cell(found: Answer | None) -> str:
    if found is None:
        return ""
    return "not here" if isinstance(found, Unmeasured) else found.in_words()


def number(answers: Mapping[str, Answer], question: str) -> float | None:
    """The answer as a number (the median of a spread); None where there is none."""
    found = answers.get(question)
    if not isinstance(found, Quantity):
        return None
    value = found.value.median if isinstance(found.value, Spread) else found.value
    return float(value) if isinstance(value, int | float) else None


def measured(answers: Mapping[str, Answer], question: str) -> Spread | None:
    """The answer where it is a spread."""
    found = answers.get(question)
    return found.value if isinstance(found, Quantity) and isinstance(found.value, Spread) else None
