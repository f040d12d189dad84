"""Lab 05: is anything copied between the file and the socket? First proved, then priced.

The proof is the alias test on the broker's own answer to a real Fetch (`alias_test`), once for
each transfer strategy, `read_then_send` serving as the control in which a copy is certain. The
price is the broker's CPU time for the same bytes (`fetching`). What one call can and cannot do is
in `one_call`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab import transfer
from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity, verdict_on_cheaper
from zerocopy_lab.classroom.kept_parts import is_kept
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject, SubjectKind, about
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.wire import Frames
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured, or_unmeasured
from zerocopy_lab.lessons.lab05.one_call import (
    SlowConsumer,
    beside_a_slow_consumer,
    calls_findings,
    socket_finding,
)
from zerocopy_lab.lessons.lab05.zero_copy_exercises import bytes_to_send
from zerocopy_lab.measuring.alias_test import PAGE_BYTES, AliasVerdict, alias_test
from zerocopy_lab.measuring.alias_test_of_topic import MANY_BYTES, alias_test_of_topic
from zerocopy_lab.measuring.broker_contest import broker_contestant, per_gib
from zerocopy_lab.measuring.experiment import Outcome, compare, run_experiment
from zerocopy_lab.measuring.fetch_calls import Calls, calls_per_fetch
from zerocopy_lab.pictures.alias_proof import AliasRow, alias_proof
from zerocopy_lab.pictures.comparison import Missing, strategies_side_by_side
from zerocopy_lab.pictures.comparison import StrategyCost as Bar
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.plain_words import factor
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.flight_events import Traffic
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.transfer.connections import Family

__all__ = ["Path", "bytes_to_send", "flight_events"]

TOPIC = "flights"
YOURS = "transfer"
"""The learner's, by the name of its part."""

DIRECT, CONTROL = "sendfile", "read_then_send"
ALONE = (
    "sendfile",
    "splice_through_pipe",
    "mmap_then_send",
    "read_then_send",
    "send_with_msg_zerocopy",
)
"""What the widget offers to test without a broker."""
CHUNK_BYTES = 1 << 20
"""Both contestants move as much per call, so that copies are all that differs."""

_ANSWERS = {"copied": 1, "alias": 2, "inconclusive": 3}
"""Number of the choice that the notebook offers for what arrived."""

_NOBODY_COPIES = {"alias": True, "copied": False, "inconclusive": None}
"""What each outcome says of Z2."""

# -- prove -----------------------------------------------------------------------------------------


class Proof(NamedTuple):
    """The alias test by strategy: a verdict, or in words why there is none."""

    verdicts: Mapping[str, AliasVerdict]
    missing: Mapping[str, str]


def prove(data_dir: Path) -> Proof:
    """The alias test on the broker's answer to a Fetch, once per strategy for plain sockets."""
    plain = {name: each for name, each in transfer.strategies().items() if not each.needs_tls}
    reasons = {name: each.unavailable() for name, each in plain.items()}
    return Proof(
        {name: _prove_one(data_dir, name) for name, reason in reasons.items() if reason is None},
        {name: reason for name, reason in reasons.items() if reason is not None},
    )


def _prove_one(data_dir: Path, name: str) -> AliasVerdict:
    with RunningBroker(data_dir, transfer=name) as broker:
        return _alias_of_an_answer(broker)


def _alias_of_an_answer(broker: AnyBroker) -> AliasVerdict:
    return alias_test_of_topic(broker, TOPIC, probe_bytes=MANY_BYTES)


def fetch_request() -> bytes:
    """A Fetch for the first MiB of the topic, as it goes over the wire: length, header, body."""
    return fetch_frame(Frames(), TOPIC, 0, 0, max_bytes=1 << 20)


class Asked(NamedTuple):
    """What the broker that BROKER names was asked, whichever it is."""

    subject: Subject
    answer: AliasVerdict | Unmeasured
    calls: Calls | Unmeasured
    slow: SlowConsumer


def ask(broker: AnyBroker, lab: Lab) -> Asked:
    """Events into the broker, then: whose bytes are in its answer, by which calls, and who waits
    for whom.
    """
    flight_events.load(broker.bootstrap, TOPIC, fast=lab.fast)
    return Asked(
        about(broker),
        or_unmeasured()(_alias_of_an_answer)(broker),
        calls_per_fetch(broker, TOPIC),
        beside_a_slow_consumer(broker, TOPIC),
    )


def alias_answer(proof: Proof) -> int:
    """What happened: the number of the notebook's choice."""
    return _ANSWERS[proof.verdicts[DIRECT].verdict]


def proof_picture(proof: Proof, origin: Origin) -> Picture:
    """The pages as they arrived, one row per strategy."""
    rows = [AliasRow(name, verdict.pages) for name, verdict in proof.verdicts.items()]
    rows += [AliasRow(name, (), f"not here: {why}") for name, why in proof.missing.items()]
    return alias_proof(rows, page_bytes=PAGE_BYTES, origin=origin, title=_told(proof))


def _told(proof: Proof) -> str:
    return {
        "alias": f"With {DIRECT} the new bytes arrived: between file and socket nobody copied",
        "copied": f"With {DIRECT} the old bytes arrived: somebody copied them",
        "inconclusive": f"With {DIRECT} the test gave no clear answer",
    }[proof.verdicts[DIRECT].verdict]


def proof_words(proof: Proof) -> str:
    """The conclusion under that picture."""
    copied = [name for name, each in proof.verdicts.items() if each.verdict == "copied"]
    counts = sorted({len(each.pages) for each in proof.verdicts.values()})
    judged = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    return (
        f"{_told(proof)}. Old bytes, so a copy: {', '.join(copied) or 'nobody'}. "
        f"({proof.verdicts[DIRECT].detail}.) Judged are the pages that were in the sockets by "
        f"then: {judged}, as many as there was room for, which differs with the way of sending; "
        f"more than {MANY_BYTES // PAGE_BYTES} are not looked at."
    )


def draw_alias(strategy: str, socket: Family) -> Picture:
    """One run of the test on a strategy alone, without a broker."""
    return alias_proof(
        [_row(strategy, socket)],
        page_bytes=PAGE_BYTES,
        origin=Origin("PROVED", f"{socket} socket"),
        title=alias_words(strategy, socket).rstrip("."),
    )


def alias_words(strategy: str, socket: Family) -> str:
    """What that run found."""
    row = _row(strategy, socket)
    arrived = set(row.pages)
    if arrived == {"old"}:
        answer = "the old bytes arrived, so somebody copied"
    elif arrived == {"new"}:
        answer = "the new bytes arrived, so nobody copied"
    else:
        answer = row.remark or "no clear answer"
    return f"{strategy} over a {socket} socket: {answer}."


def _row(strategy: str, socket: Family) -> AliasRow:
    try:
        return AliasRow(strategy, alias_test(strategy, socket).pages)
    except ValueError as reason:  # this machine, or this kind of socket, does not have it
        return AliasRow(strategy, (), str(reason))


# -- price -----------------------------------------------------------------------------------------


def price(data_dir: Path, lab: Lab) -> Outcome:
    """The broker's CPU for the same bytes, by strategy, in turns. Raises ExperimentRefused."""
    others = [] if lab.fast else ["mmap_then_send", "splice_through_pipe"]
    known = transfer.strategies()
    names = [n for n in (DIRECT, CONTROL, *others) if known[n].unavailable() is None]
    return _in_turns("fetching through the broker", names, data_dir, lab)


def _in_turns(title: str, names: Sequence[str], data_dir: Path, lab: Lab) -> Outcome:
    contestants = [
        broker_contestant(
            name,
            data_dir,
            TOPIC,
            transfer=name,
            chunk_bytes=CHUNK_BYTES,
            total_bytes=(128 << 20) if lab.fast else (1 << 30),
            parts=lab.parts_dir if name == YOURS else None,
        )
        for name in names
    ]
    repeats = 3 if lab.fast else 7
    return run_experiment(title, contestants, repeats=repeats, warm_ups=0, seed=lab.seed)


def price_picture(outcome: Outcome) -> Picture:
    """Broker CPU, both ends' CPU and throughput, one row per strategy."""
    bars: list[Bar | Missing] = [
        Bar(
            name,
            spread(per_gib(outcome, name, "broker_cpu_s")),
            spread(per_gib(outcome, name, "total_cpu_s")),
            spread(1 / seconds for seconds in per_gib(outcome, name, "wall_s")),
        )
        for name in outcome.contestants
    ]
    found = compare(outcome, CONTROL, DIRECT, "broker_cpu_s")
    title = f"{CONTROL} took {factor(found.ratio.median)} times the broker CPU of {DIRECT}"
    if found.verdict == "inconclusive":
        title = f"No clear difference between {CONTROL} and {DIRECT}"
    return strategies_side_by_side(bars, origin=Origin("TIMED", outcome.host.text()), title=title)


def price_words(outcome: Outcome) -> str:
    """The conclusion under that picture."""
    found = compare(outcome, CONTROL, DIRECT, "broker_cpu_s")
    if found.verdict == "inconclusive":
        return f"Copying or not made no clear difference to the broker here: {found.why}."
    return (
        f"For the same bytes, {CONTROL} took {found.ratio.text('times')} the broker CPU of "
        f"{DIRECT}: {found.why}."
    )


def price_answer(outcome: Outcome) -> int:
    """What was measured: the number of the notebook's choice (no difference, < 1.5, < 3, more)."""
    found = compare(outcome, CONTROL, DIRECT, "broker_cpu_s")
    if found.verdict != "dearer":
        return 1
    return 2 + sum(found.ratio.median >= limit for limit in (1.5, 3.0))


# -- conclude --------------------------------------------------------------------------------------


def copy_finding(proof: Proof) -> Finding:
    """Z2, proved: does the sender copy?"""
    direct, control = proof.verdicts[DIRECT], proof.verdicts[CONTROL]
    return Aspect("Z2", KERNEL_HERE, "the sender").proved(
        _NOBODY_COPIES[direct.verdict],
        proof_words(proof),
        Quantity("pages that arrived", direct.pages_in_words()),
        Quantity(f"the same with {CONTROL}", control.pages_in_words()),
    )


def _asked_findings(asked: Asked) -> list[Finding]:
    """Z2 of the broker that was asked, if it is a Kafka whose file can be overwritten."""
    if isinstance(asked.answer, Unmeasured) or asked.subject.kind is SubjectKind.THIS_BROKER:
        return []
    return [
        Aspect("Z2", asked.subject, "the sender").proved(
            _NOBODY_COPIES[asked.answer.verdict],
            f"Its answer to a Fetch, overwritten in its file: {asked.answer.detail}.",
            Quantity("pages that arrived", asked.answer.pages_in_words()),
        )
    ]


def price_finding(outcome: Outcome) -> Finding:
    """Z2, timed: does it save CPU?"""
    found = compare(outcome, DIRECT, CONTROL, "broker_cpu_s")
    return Aspect("Z2", KERNEL_HERE, "what it saves the sender").timed(
        verdict_on_cheaper(found.verdict),
        price_words(outcome),
        *[_cpu(outcome, name) for name in outcome.contestants],
        Quantity(f"{DIRECT} / {CONTROL}", found.ratio),
    )


def _cpu(outcome: Outcome, name: str) -> Quantity:
    seconds: Spread = spread(per_gib(outcome, name, "broker_cpu_s"))
    return Quantity(f"broker CPU, {name}", seconds, "s/GiB")


def invariants(sent: Traffic, received: Traffic, again: Traffic, proof: Proof) -> dict[str, bool]:
    """What has to hold whatever the machine."""
    return {
        "what came back is what was sent, byte for byte": sent == received,
        "after the alias tests the log is as it was": sent == again,
        f"the control, {CONTROL}, copied": proof.verdicts[CONTROL].verdict == "copied",
    }


def findings(
    proof: Proof, outcome: Outcome, asked: Asked, others: Sequence[Finding]
) -> list[Finding]:
    """All that this lab found."""
    card = Aspect("Z2", KERNEL_HERE, "the network card").not_testable(
        "The lab runs over the loopback, which has no card: the receiver's copy remains, and "
        "nothing goes by DMA. With a card that gathers scattered pages and computes checksums, DMA "
        "takes them from the page cache."
    )
    return [
        copy_finding(proof),
        *_asked_findings(asked),
        price_finding(outcome),
        card,
        *calls_findings(asked.calls, asked.subject),
        socket_finding(asked.slow, asked.subject),
        *others,
    ]


# -- the learner's own -----------------------------------------------------------------------------


def show_yours(data_dir: Path, lab: Lab) -> None:
    """The kept transfer in a broker: the alias test on its answer, and its price beside ours."""
    if not is_kept(YOURS, lab.parts_dir):
        return
    with RunningBroker(data_dir, parts=lab.parts_dir) as broker:
        verdict = _alias_of_an_answer(broker)
    title = "fetching through the broker, with your transfer"
    outcome = _in_turns(title, (YOURS, DIRECT, CONTROL), data_dir, lab)
    prices = [_cpu(outcome, name) for name in outcome.contestants]
    told = [f"{each.name}: {each.in_words()}" for each in prices]
    box("plain", "Your transfer in a broker", [f"The alias test: {verdict.detail}.", *told])
