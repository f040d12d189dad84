"""What a broker pays for looking inside, as multiples of passing a batch through.

The same batch is produced again and again to topics that differ in one setting; what counts is the
CPU time of the broker's process, in rounds, the ways in shuffled order within each. For ours the
plain way is `batch.validation=never`; a real Kafka has no such setting and looks into every batch,
so there the multiples are what comes on top. TLS does its work on the way out, so it is compared
with `sendfile` there. After each way the alias test asks whether the fetch that follows still
copies nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import Subject, about
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.spread import Spread, ratios, spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab08.batch_travel import flights, new_topic, send
from zerocopy_lab.measuring.alias_test import Answer, alias_test, alias_test_of_broker
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.measuring.experiment import ContestantFailed, ExperimentRefused
from zerocopy_lab.measuring.racing import Course, Entry, file_to_send, race
from zerocopy_lab.pictures.multiples import Multiple, multiples
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.records.record import build_batch
from zerocopy_lab.running.existing_cluster import AnyBroker, ExistingCluster, broker_for
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.transfer import strategies

PASSING = "passes through"
LOOKING = "looks at every record"
REPACKING = "repacks with gzip"
TLS = "TLS, on the way out"
_TLS_STRATEGY, _DIRECT = "encrypt_then_send", "sendfile"

WAYS: Mapping[str, Mapping[str, str]] = {
    PASSING: {},
    "its own clock": {"message.timestamp.type": "LogAppendTime"},
    LOOKING: {},
    "a key in every record (compacted topic)": {"cleanup.policy": "compact"},
    REPACKING: {"compression.type": "gzip"},
}
"""A way and the settings of its topic. What looks at every record differs in the *broker's*
setting, which only ours has.
"""
_BROKERS = {LOOKING: "always"}
_ROUNDS = 7
_ONE = "a batch that passes through"


class Prices(NamedTuple):
    """CPU seconds of the broker for one batch, round by round, for each way; and what came next."""

    subject: Subject
    batch_bytes: int
    records: int
    seconds: Mapping[str, Sequence[float]]
    zero_copy: Mapping[str, Answer]
    """of the fetch that follows; a way is missing where it could not be seen"""
    tls: Spread | Unmeasured
    """sender CPU with TLS / with sendfile"""

    def times(self, way: str) -> Spread:
        """As a multiple of passing through, round by round."""
        return ratios(self.seconds[way], self.seconds[PASSING])

    def compare(self, way: str) -> Comparison:
        """Is it dearer than passing through?"""
        pairs = zip(self.seconds[way], self.seconds[PASSING], strict=True)
        return compare_pairs(way, PASSING, "broker CPU", list(pairs))


def price(which: str, lab: Lab) -> Prices | Unmeasured:
    """All ways on the broker that `which` (BROKER) names."""
    records = flights(lab)
    batch = build_batch(records)
    ways = [way for way in WAYS if which == "zerocopy_lab" or way not in _BROKERS]
    with ExitStack() as stack:
        brokers = _brokers(which, ways, stack)
        first = brokers[PASSING]
        if isinstance(first, ExistingCluster):
            return Unmeasured(f"the CPU time of the cluster at {which} cannot be read from here")
        wires = {
            way: stack.enter_context(Wire(each.host, each.port)) for way, each in brokers.items()
        }
        for way in ways:
            new_topic(brokers[way], _topic(way), WAYS[way])
        count = _batches(which, lab)
        for _ in range(3 if which == "zerocopy_lab" else 6):  # a JVM compiles what it has run often
            _round(brokers, wires, batch, ways, count)
        order = lab.random("order")
        rounds = [
            _round(brokers, wires, batch, order.sample(ways, len(ways)), count)
            for _ in range(_ROUNDS)
        ]
        answers = {way: _answer_after(brokers[way], _topic(way)) for way in ways}
        subject = about(first)
    return Prices(
        subject,
        len(batch),
        len(records),
        {way: [each[way] for each in rounds] for way in ways},
        {**{way: found for way, found in answers.items() if found}, **_alias_under_tls()},
        _price_of_tls(lab),
    )


def _brokers(which: str, ways: Iterable[str], stack: ExitStack) -> dict[str, AnyBroker]:
    if which != "zerocopy_lab":
        broker = broker_for(which)
        stack.enter_context(broker)
        return dict.fromkeys(ways, broker)
    looks = {way: _BROKERS.get(way, "never") for way in ways}
    running = {
        each: stack.enter_context(RunningBroker(settings={"batch.validation": each}))
        for each in sorted(set(looks.values()))
    }
    return {way: running[each] for way, each in looks.items()}


def _batches(which: str, lab: Lab) -> int:
    """In one round. A JVM's own threads (it compiles, it collects) want more to drown in."""
    if which == "zerocopy_lab":
        return 12 if lab.fast else 60
    return 60 if lab.fast else 200


def _topic(way: str) -> str:
    return "".join(each if each.isalnum() else "-" for each in way)


def _round(
    brokers: Mapping[str, AnyBroker],
    wires: Mapping[str, Wire],
    batch: bytes,
    order: Sequence[str],
    count: int,
) -> dict[str, float]:
    """Broker CPU seconds for one batch of each way."""
    used = {}
    for way in order:
        wire, topic = wires[way], _topic(way)
        frame = produce_frame(wire, topic, 0, batch)
        send(wire, topic, batch)  # as an answer is looked at here, and below it is not
        before = cpu_seconds(brokers[way].pid)
        for _ in range(count):
            wire.send_frame(frame)
            wire.receive_frame()
        used[way] = (cpu_seconds(brokers[way].pid) - before) / count
    return used


def _answer_after(broker: AnyBroker, topic: str) -> Answer | None:
    """The alias test on a fetch of what was stored."""
    request = fetch_frame(Frames(), topic, 0, 0, max_bytes=1 << 20)
    try:
        segment = broker.data_dir / f"{topic}-0" / f"{0:020d}.log"
    except Unavailable:
        return None
    return alias_test_of_broker(broker.host, broker.port, segment, request).verdict


def _tls_unavailable() -> str | None:
    return strategies()[_TLS_STRATEGY].unavailable()


def _alias_under_tls() -> dict[str, Answer]:
    return {} if _tls_unavailable() else {TLS: alias_test(_TLS_STRATEGY).verdict}


def _price_of_tls(lab: Lab) -> Spread | Unmeasured:
    """Sending a file through TLS in the program, against sendfile."""
    if reason := _tls_unavailable():
        return Unmeasured(reason)
    direct, tls = Entry(_DIRECT, 1 << 20), Entry(_TLS_STRATEGY, 1 << 20)
    length = (32 << 20) if lab.fast else (256 << 20)
    try:
        with ScratchDirectory("tls") as scratch, file_to_send(scratch.path, length) as path:
            course = Course("tcp", "dropping")
            outcome = race(course, [direct, tls], path, repeats=3, seed=lab.seed)
    except (ExperimentRefused, ContestantFailed, Unavailable) as reason:
        return Unmeasured(str(reason))
    figure = "sender_cpu_s_per_gib"
    return ratios(outcome.values(tls.label, figure), outcome.values(direct.label, figure))


# -- picture and words -----------------------------------------------------------------------------

_REMARKS: Mapping[Answer, str] = {
    "alias": "then fetched: no copy",
    "copied": "then fetched: copied",
    "inconclusive": "then fetched: unclear",
}


def price_picture(prices: Prices | Unmeasured) -> Picture:
    """A bar for each way, and what became of zero copy."""
    origin = Origin("TIMED", describe_host().text())
    if isinstance(prices, Unmeasured):
        return multiples([], of=_ONE, origin=origin)
    rows = [
        Multiple(way, prices.times(way), _remark(prices, way))
        for way in prices.seconds
        if way != PASSING
    ]
    tls = prices.tls
    name = f"{TLS} (1 × is sendfile)"
    if isinstance(tls, Unmeasured):
        rows.append(Multiple(name, None, why_not=str(tls), is_another=True))
    else:
        rows.append(Multiple(name, tls, _remark(prices, TLS), is_another=True))
    each = spread(value * 1e6 for value in prices.seconds[PASSING]).text("µs")
    title = f"One batch of {prices.batch_bytes:,} bytes {PASSING}: {each}"
    return multiples(rows, of=_ONE, origin=origin, title=title)


def _remark(prices: Prices, way: str) -> str:
    return _REMARKS[prices.zero_copy[way]] if way in prices.zero_copy else ""


def price_words(prices: Prices | Unmeasured) -> str:
    """The conclusion under that picture."""
    if isinstance(prices, Unmeasured):
        return f"Not measured: {prices}."
    told = [
        f"{way} {prices.times(way).text('times', digits=2)}"
        + (" (no clear difference)" if prices.compare(way).verdict == "inconclusive" else "")
        for way in prices.seconds
        if way != PASSING
    ]
    plain = spread(value * 1e6 for value in prices.seconds[PASSING]).text("µs")
    return (
        f"A batch of {prices.records} records, {prices.batch_bytes:,} bytes, costs "
        f"{prices.subject.words} {plain} of CPU when it {PASSING}. As multiples of "
        f"that: {'; '.join(told)}."
    )


def price_answer(prices: Prices | Unmeasured) -> tuple[int | None, str]:
    """The number of the notebook's choice for repacking (< 1.5 times, < 5, < 20, more)."""
    if isinstance(prices, Unmeasured):
        return None, str(prices)
    times = prices.times(REPACKING).median
    return 1 + sum(times >= limit for limit in (1.5, 5, 20)), ""
