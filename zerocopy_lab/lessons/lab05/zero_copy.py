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
from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    Verdict,
    finding,
    verdict_on_cheaper,
)
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject, SubjectKind, about
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.wire import Frames
from zerocopy_lab.conformance.parts import kept_in
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab05.one_call import (
    SlowConsumer,
    beside_a_slow_consumer,
    linux_findings,
    socket_by_the_source,
    socket_finding,
    windows_finding,
)
from zerocopy_lab.lessons.lab05.zero_copy_exercises import bytes_to_send
from zerocopy_lab.measuring.alias_test import (
    PAGE_BYTES,
    AliasVerdict,
    alias_test,
    alias_test_of_broker,
)
from zerocopy_lab.measuring.broker_contest import broker_contestant, per_gib
from zerocopy_lab.measuring.experiment import Outcome, compare, run_experiment
from zerocopy_lab.measuring.fetch_calls import Calls, calls_per_fetch
from zerocopy_lab.pictures.alias_proof import AliasRow, alias_proof
from zerocopy_lab.pictures.comparison import Missing, strategies_side_by_side
from zerocopy_lab.pictures.comparison import StrategyCost as Bar
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import ExistingCluster
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

PROBE_BYTES = 192 << 10
"""Judged of each answer: far more than one call moves, so that who copies later on is seen."""

_ANSWERS = {"copied": 1, "alias": 2, "inconclusive": 3}
"""Number of the choice that the notebook offers for what arrived."""

_VERDICTS = {
    "alias": Verdict.SUPPORTED,
    "copied": Verdict.CONTRADICTED,
    "inconclusive": Verdict.INCONCLUSIVE,
}
"""What each outcome says of Z2, that nobody copies."""

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


def _alias_of_an_answer(broker: RunningBroker | ExistingCluster) -> AliasVerdict:
    """The alias test on one answer to a Fetch of 1 MiB."""
    segment = broker.data_dir / f"{TOPIC}-0" / f"{0:020d}.log"
    return alias_test_of_broker(
        broker.host, broker.port, segment, fetch_request(), probe_bytes=PROBE_BYTES
    )


def fetch_request() -> bytes:
    """A Fetch for the first MiB of the topic, as it goes over the wire: length, header, body."""
    return fetch_frame(Frames(), TOPIC, 0, 0, max_bytes=1 << 20)


class Asked(NamedTuple):
    """What the broker that BROKER names was asked, whichever it is."""

    subject: Subject
    answer: AliasVerdict | Unmeasured
    calls: Calls | Unmeasured
    slow: SlowConsumer


def ask(broker: RunningBroker | ExistingCluster, lab: Lab) -> Asked:
    """Events into the broker, then: whose bytes are in its answer, by which calls, and who waits
    for whom.
    """
    flight_events.load(broker.bootstrap, TOPIC, fast=lab.fast)
    try:
        answer: AliasVerdict | Unmeasured = _alias_of_an_answer(broker)
    except Unavailable as reason:
        answer = Unmeasured(str(reason))
    return Asked(
        about(broker),
        answer,
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
    return alias_proof(rows, page_bytes=PAGE_BYTES, origin=origin)


def proof_words(proof: Proof) -> str:
    """The conclusion under that picture."""
    direct = proof.verdicts[DIRECT]
    told = {
        "alias": f"With {DIRECT} the new bytes arrived: between file and socket nobody copied.",
        "copied": f"With {DIRECT} the old bytes arrived: somebody copied them.",
        "inconclusive": f"With {DIRECT} the test gave no clear answer.",
    }[direct.verdict]
    copied = [name for name, each in proof.verdicts.items() if each.verdict == "copied"]
    return f"{told} Old bytes, so a copy: {', '.join(copied) or 'nobody'}. ({direct.detail}.)"


def draw_alias(strategy: str, socket: Family) -> Picture:
    """One run of the test on a strategy alone, without a broker."""
    return alias_proof(
        [_row(strategy, socket)], page_bytes=PAGE_BYTES, origin=Origin("PROVED", f"{socket} socket")
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
    total_bytes = (128 << 20) if lab.fast else (1 << 30)
    others = [] if lab.fast else ["mmap_then_send", "splice_through_pipe"]
    known = transfer.strategies()
    names = [n for n in (DIRECT, CONTROL, *others) if known[n].unavailable() is None]
    return run_experiment(
        "fetching through the broker",
        [
            broker_contestant(
                name,
                data_dir,
                TOPIC,
                transfer=name,
                chunk_bytes=CHUNK_BYTES,
                total_bytes=total_bytes,
            )
            for name in names
        ],
        repeats=3 if lab.fast else 7,
        warm_ups=0,
        seed=lab.seed,
    )


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
    return strategies_side_by_side(bars, origin=Origin("TIMED", outcome.host.text()))


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
    direct = proof.verdicts[DIRECT]
    verdict = _VERDICTS[direct.verdict]
    arrived = Quantity("pages that arrived", direct.pages_in_words())
    control = Quantity(f"the same with {CONTROL}", proof.verdicts[CONTROL].pages_in_words())
    return finding(
        "Z2",
        verdict,
        Evidence.PROVED,
        proof_words(proof),
        arrived,
        control,
        part="the sender",
        about=KERNEL_HERE,
    )


def asked_finding(asked: Asked) -> list[Finding]:
    """Z2 of the broker that was asked, if it is a Kafka whose file can be overwritten."""
    if isinstance(asked.answer, Unmeasured) or asked.subject.kind is SubjectKind.THIS_BROKER:
        return []
    return [
        finding(
            "Z2",
            _VERDICTS[asked.answer.verdict],
            Evidence.PROVED,
            f"Its answer to a Fetch, overwritten in its file: {asked.answer.detail}.",
            Quantity("pages that arrived", asked.answer.pages_in_words()),
            part="the sender",
            about=asked.subject,
        )
    ]


def price_finding(outcome: Outcome) -> Finding:
    """Z2, timed: does it save CPU?"""
    found = compare(outcome, DIRECT, CONTROL, "broker_cpu_s")
    return finding(
        "Z2",
        verdict_on_cheaper(found.verdict),
        Evidence.TIMED,
        price_words(outcome),
        *[_cpu(outcome, name) for name in outcome.contestants],
        Quantity(f"{DIRECT} / {CONTROL}", found.ratio),
        part="what it saves the sender",
        about=KERNEL_HERE,
    )


def card_finding() -> Finding:
    """Z2's network card, which a loopback does not have."""
    return finding(
        "Z2",
        Verdict.NOT_TESTABLE,
        Evidence.PROVED,
        "The lab runs over the loopback, which has no card: the receiver's copy remains, and "
        "nothing goes by DMA. With a card that gathers scattered pages and computes checksums, DMA "
        "takes them from the page cache.",
        part="the network card",
        about=KERNEL_HERE,
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
    return [
        copy_finding(proof),
        *asked_finding(asked),
        price_finding(outcome),
        card_finding(),
        *linux_findings(asked.calls, asked.subject),
        windows_finding(),
        socket_finding(asked.slow, asked.subject),
        socket_by_the_source(),
        *others,
    ]


# -- the learner's own -----------------------------------------------------------------------------


def show_yours(data_dir: Path, lab: Lab) -> None:
    """The kept transfer in a broker: the alias test on its answer, and its price beside ours."""
    if YOURS not in kept_in(lab.parts_dir):
        box("plain", "Your transfer", ["None is kept yet: pass 05.1, then run this again."])
        return
    with RunningBroker(data_dir, parts=lab.parts_dir) as broker:
        verdict = _alias_of_an_answer(broker)
    total_bytes = (128 << 20) if lab.fast else (1 << 30)
    outcome = run_experiment(
        "fetching through the broker, with your transfer",
        [
            broker_contestant(
                name,
                data_dir,
                TOPIC,
                transfer=name,
                chunk_bytes=CHUNK_BYTES,
                total_bytes=total_bytes,
                parts=lab.parts_dir if name == YOURS else None,
            )
            for name in (YOURS, DIRECT, CONTROL)
        ],
        repeats=3 if lab.fast else 7,
        warm_ups=0,
        seed=lab.seed,
    )
    prices = [_cpu(outcome, name) for name in outcome.contestants]
    told = [f"{each.name}: {each.in_words()}" for each in prices]
    box("plain", "Your transfer in a broker", [f"The alias test: {verdict.detail}.", *told])
