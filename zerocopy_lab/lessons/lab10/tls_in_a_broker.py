"""Lab 10, TLS in a broker: the same fetches through two doors of one broker, one of them with TLS.

The records are in memory, the client asks as fast as it is answered and looks at nothing, and what
counts is the CPU time of the broker's process for a GiB that it answered: of ours, or of a real
Kafka, where BROKER says so. Both doors and both sizes of a fetch take turns, in shuffled order.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity, verdict_within
from zerocopy_lab.classroom.kafka_runs import recorded_in_words
from zerocopy_lab.classroom.lab import KAFKA, OURS, Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.subject import Subject, about
from zerocopy_lab.classroom.thresholds import TLS_CLAIMED
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.spread import Spread, ratios, spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.pictures.theme import byte_count
from zerocopy_lab.running.passing_topic import a_topic, batches_of
from zerocopy_lab.running.running_broker import Kind, RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.running.tls_listener import TlsListener, self_signed, tls_listener

SIZES: Final = (64 << 10, 1 << 20)
PLAIN, TLS = "plain", "TLS"
_BATCH_BYTES: Final = 15 << 10  # four make a fetch of 64 KiB
_LOG_BYTES: Final = 4 << 20
_GIB: Final = 1 << 30

Costs = Mapping[tuple[str, int], Sequence[float]]
"""(Door, bytes of a fetch) -> the broker's CPU seconds a GiB, round by round."""


class BrokerPrices(NamedTuple):
    """What was measured, and of whom."""

    subject: Subject
    costs: Costs

    def times(self, size: int) -> Spread:
        """TLS as a multiple of plain, round by round."""
        return ratios(self.costs[TLS, size], self.costs[PLAIN, size])


def price(which: str, lab: Lab) -> BrokerPrices | Unmeasured:
    """Both doors of the broker that `which` (BROKER) names; or why not here."""
    if which not in (OURS, KAFKA):
        return Unmeasured(f"the CPU time of the cluster at {which} cannot be read from here")
    with ScratchDirectory("tls") as scratch, ExitStack() as stack:
        try:
            listener = tls_listener(self_signed(scratch.path))
        except Unavailable as reason:
            return Unmeasured(str(reason))
        kind: Kind = "kafka" if which == KAFKA else "zerocopy_lab"
        broker = stack.enter_context(RunningBroker(kind=kind, **listener.for_the_broker))
        topic = stack.enter_context(a_topic(broker))
        _fill(broker, topic)
        wires = {
            PLAIN: stack.enter_context(Wire(broker.host, broker.port)),
            TLS: stack.enter_context(_under_tls(listener)),
        }
        return BrokerPrices(about(broker), _in_turns(broker, wires, topic, lab))


def _under_tls(listener: TlsListener) -> Wire:
    host, _, port = listener.bootstrap.partition(":")
    wire = Wire(host, int(port))
    context = ssl.create_default_context(cafile=listener.pem)
    wire.sock = context.wrap_socket(wire.sock, server_hostname=host)
    return wire


def _fill(broker: RunningBroker, topic: str) -> None:
    """Batches that no codec could make smaller. Raises RuntimeError when one is refused."""
    values = [os.urandom(_BATCH_BYTES) for _ in range(_LOG_BYTES // _BATCH_BYTES)]
    with Wire(broker.host, broker.port) as wire:
        for batch in batches_of(values, 1):
            error, _ = produce(wire, topic, 0, batch)
            if error:
                raise RuntimeError(f"a batch was refused: Kafka's error {error}")


def _in_turns(broker: RunningBroker, wires: Mapping[str, Wire], topic: str, lab: Lab) -> Costs:
    turns = [(door, size) for door in wires for size in SIZES]
    costs: dict[tuple[str, int], list[float]] = {turn: [] for turn in turns}
    order = lab.random("doors")
    # A JVM compiles what it has run often, and its own threads want more to drown in.
    warm_ups, wanted_bytes = (10, 96 << 20) if broker.kind == "kafka" else (1, 24 << 20)
    for number in range(warm_ups + (5 if lab.fast else 9)):
        for door, size in order.sample(turns, len(turns)):
            frame = fetch_frame(wires[door], topic, 0, 1, max_bytes=size)
            cost = _turn(broker, wires[door], frame, wanted_bytes * (1 if lab.fast else 4))
            if number >= warm_ups:
                costs[door, size].append(cost)
    return costs


def _turn(broker: RunningBroker, wire: Wire, frame: bytes, wanted_bytes: int) -> float:
    """CPU seconds of the broker for a GiB of answers, all of the same fetch."""
    before_s, answered_bytes = cpu_seconds(broker.pid), 0
    while answered_bytes < wanted_bytes:
        wire.send_frame(frame)
        answered_bytes += len(wire.receive_frame())
    return (cpu_seconds(broker.pid) - before_s) / (answered_bytes / _GIB)


def show(prices: BrokerPrices | Unmeasured) -> str:
    """A row for each size of a fetch; returns a sentence to be printed."""
    if isinstance(prices, Unmeasured):
        recorded = [recorded_in_words("10", "L1", part_of(size)) for size in SIZES]
        why = f"TLS in a broker: not measured here: {str(prices).rstrip('.')}."
        return " ".join([why, *filter(None, recorded)])
    show_table(
        [f"{prices.subject.words}: a fetch of", "plain, CPU s/GiB", "TLS, CPU s/GiB", "times"],
        [
            [
                byte_count(size),
                *(spread(prices.costs[door, size]).text(digits=2) for door in (PLAIN, TLS)),
                prices.times(size).text(digits=2),
            ]
            for size in SIZES
        ],
    )
    return ""


def findings(prices: BrokerPrices | Unmeasured, subject: Subject) -> list[Finding]:
    """L1 in a broker, at both sizes."""
    return [_finding(prices, size, subject) for size in SIZES]


def part_of(size: int) -> str:
    """The part of the claim that fetches of this size are about."""
    return f"in a broker, fetches of {byte_count(size)}"


def _finding(prices: BrokerPrices | Unmeasured, size: int, subject: Subject) -> Finding:
    part = part_of(size)
    if isinstance(prices, Unmeasured):
        return Aspect("L1", subject, part).not_testable(str(prices))
    ratio = prices.times(size)
    return Aspect("L1", prices.subject, part).timed(
        verdict_within(ratio, TLS_CLAIMED),
        f"Fetches of {byte_count(size)} through the door with TLS took {ratio.text(digits=2)} "
        "times the broker's CPU of the same through the plain one.",
        Quantity("TLS / plain", ratio),
        *[Quantity(door, spread(prices.costs[door, size]), "CPU s/GiB") for door in (TLS, PLAIN)],
    )
