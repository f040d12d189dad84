"""Lab 13: the same questions to this kit's broker and to a real Kafka.

Both are started in `two_brokers`; `counted`, `side_by_side` and `files` ask; `page` holds the
answers, also those of a recorded run. Here is what they say of the article's claims. The broker
that was asked is judged only where it is set as the lab believes (`counted.doubts`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    Verdict,
    finding,
    seen_on,
    verdict_if,
)
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.subject import about
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab13 import page
from zerocopy_lab.lessons.lab13.counted import (
    APIS,
    OF_A_KAFKA,
    OF_A_TOPIC,
    Doubt,
    count_them,
    doubts,
    left_out,
    memory_of,
    segment_of,
    show_doubts,
)
from zerocopy_lab.lessons.lab13.files import (
    LISTING,
    as_sent,
    heads,
    open_each_others,
    partitions,
    write_the_same,
)
from zerocopy_lab.lessons.lab13.page import Answer, Answers, columns, figures, measured, show_page
from zerocopy_lab.lessons.lab13.side_by_side import (
    count_held_up,
    cpu_answer,
    cpu_picture,
    cpu_words,
    dearer,
    held_up_answer,
    latency_picture,
    latency_words,
    pair,
    time_them,
)
from zerocopy_lab.lessons.lab13.the_real_kafka_exercises import CODECS, EXERCISES, fetch_prices
from zerocopy_lab.lessons.lab13.two_brokers import KAFKA, OURS, Broker, TwoBrokers
from zerocopy_lab.measuring.held_up import OTHERS
from zerocopy_lab.pictures.byte_map import byte_map
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.records.batch import HEADER_BYTES
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.fields import header_fields
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.broker_config import described
from zerocopy_lab.running.passing_topic import a_topic

__all__ = [
    "CODECS",
    "EXERCISES",
    "OF_A_KAFKA",
    "OF_A_TOPIC",
    "Frames",
    "TwoBrokers",
    "Unavailable",
    "Wire",
    "columns",
    "count_held_up",
    "count_them",
    "cpu_answer",
    "cpu_picture",
    "cpu_words",
    "described",
    "doubts",
    "fetch",
    "fetch_frame",
    "fetch_prices",
    "figures",
    "heads",
    "held_up_answer",
    "latency_picture",
    "latency_words",
    "memory_of",
    "open_each_others",
    "partitions",
    "segment_of",
    "show_doubts",
    "show_page",
    "time_them",
    "write_the_same",
]

_TLS_CLAIMED: Final = (1.20, 1.30)
_FILES_OF_A_PARTITION: Final = (".log", ".index", ".timeindex", "partition.metadata")


def held_up_words(two: TwoBrokers, found: Mapping[str, Answer]) -> str:
    """How many of a dozen waited, of each broker; the recorded Kafka's where none was asked."""
    told = [f"{name}: {_in_words(each)}" for name, each in found.items()]
    if KAFKA not in two.brokers and (recorded := _recorded_held_up()) is not None:
        told.append(f"{KAFKA}, RECORDED: {_in_words(recorded)}")
    return "; ".join(told)


def _recorded_held_up() -> Answer | None:
    return page.recorded_answers().get(KAFKA, {}).get(page.HELD_UP)


def _in_words(found: Answer) -> str:
    return f"not seen here ({found})" if isinstance(found, Unmeasured) else found.in_words()


def show_left_out(two: TwoBrokers, answered: Mapping[str, Answers]) -> None:
    """Which requests a Kafka answers and ours does not."""
    kafka = answered.get(KAFKA) or page.recorded_answers().get(KAFKA, {})
    names = left_out(answered, kafka)
    where = "" if KAFKA in two.brokers else " (recorded)"
    print(f"{len(names)} requests that Kafka{where} answers and ours does not:")
    print(", ".join(names))


def show_why(two: TwoBrokers, answered: Mapping[str, Answers]) -> None:
    """Ours / Kafka for each figure that both have, from one run; and what stands behind it."""
    found = pair(two, answered)
    if found is None:
        print("No Kafka was asked here, and none is recorded.")
        return
    ours, theirs, where = found
    rows = []
    for question, why in _WHY.items():
        mine, others = page.number(ours, question), page.number(theirs, question)
        if mine is not None and others:
            rows.append([question, f"{mine / others:.2g}", why])
    show_table(["asked", "ours / Kafka", "what stands behind it"], rows)
    print(f"Of one run. {where}.")


_WHY: Final = {
    page.START: "Kafka starts a JVM, formats its directory, and elects a controller (of one).",
    page.MEMORY: "A heap, compiled code, mapped indexes: paid once, whatever comes.",
    page.SENDFILES: "Kafka holds the socket's buffer at 100 KiB (socket.send.buffer.bytes), so "
    "1 MiB fills it a few times; ours leaves its size to the kernel.",
    page.CPU[4096]: "The work around one fetch: three threads hand it on, quotas and metrics are "
    "kept, an object is made for every step.",
    page.CPU[1 << 20]: "The same work, for 256 times the bytes: here the kernel's share shows.",
    page.P50: "Each hand-over between threads wakes one up.",
    page.TLS: "Each encrypts in its own process: OpenSSL here, Java's own engine there.",
}


# -- the widget ------------------------------------------------------------------------------------


def stored(broker: Broker, codec: str, compression: str, clock: str) -> tuple[bytes, bytes]:
    """A batch as it was sent to a topic with these settings, and as a consumer gets it."""
    settings = {"compression.type": compression, "message.timestamp.type": clock}
    events = list(flight_events.repeated(5))
    with a_topic(broker, settings) as topic, Wire(broker.host, broker.port) as wire:
        records = [
            Record(n, int(time.time() * 1000), None, event) for n, event in enumerate(events)
        ]
        sent = build_batch(records, codec=Codec[codec.upper()])
        error, offset = produce(wire, topic, 0, sent)
        if error:
            raise RuntimeError(f"the batch was refused: Kafka's error {error}")
        return sent, fetch(wire, topic, 0, offset).records


def changed_fields(sent: bytes, came: bytes) -> list[str]:
    """The header's fields that differ, its place apart, and the records if they do."""
    before, after = header_fields(memoryview(sent)), header_fields(memoryview(came))
    names = [
        one.name
        for one, other in zip(before, after, strict=True)
        if one.value != other.value and one.name not in ("baseOffset", "partitionLeaderEpoch")
    ]
    return names + (["records"] if sent[HEADER_BYTES:] != came[HEADER_BYTES:] else [])


class Storing:
    """Draws and tells what a topic's settings make of a batch; asks once for each setting."""

    def __init__(self, two: TwoBrokers) -> None:
        self._two = two
        self._seen: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def _ask(self, codec: str, compression: str, clock: str) -> tuple[bytes, bytes]:
        setting = (codec, compression, clock)
        if setting not in self._seen:
            self._seen[setting] = stored(self._two.asked, *setting)
        return self._seen[setting]

    def picture(self, codec: str, compression: str, clock: str) -> Picture:
        """The header that the consumer got."""
        _, came = self._ask(codec, compression, clock)
        return byte_map(
            came[: HEADER_BYTES + 32],
            header_fields(memoryview(came)),
            first_position=0,
            origin=Origin("COUNTED", f"a batch fetched from {self._two.asked_name}"),
        )

    def words(self, codec: str, compression: str, clock: str) -> str:
        """What is another than in what was sent."""
        sent, came = self._ask(codec, compression, clock)
        changed = changed_fields(sent, came)
        setting = f"compression.type={compression}, message.timestamp.type={clock}"
        if not changed:
            return f"{setting}, a batch with codec {codec}: as it was sent, its place apart."
        return (
            f"{setting}, a batch with codec {codec} ({len(sent)} bytes): {len(came)} bytes came, "
            f"and of others than were sent are {', '.join(changed)}."
        )


# -- concluded -------------------------------------------------------------------------------------


def findings(
    two: TwoBrokers, answered: Mapping[str, Answers], doubted: Sequence[Doubt]
) -> list[Finding]:
    """What the broker that was asked says of each claim, and ours beside it."""
    answers = answered[two.asked_name]
    found = [
        _one(two, answers, "Z2", page.ALIAS, "the sender", Evidence.PROVED, doubted),
        _one(two, answers, "Z3", page.SENDFILES, "Linux", Evidence.COUNTED, doubted),
        _one(two, answers, "Z5", page.HELD_UP, "the disk", Evidence.COUNTED, doubted),
        _one(two, answers, "W1", page.LOG, "what lies in the file", Evidence.PROVED, doubted),
        _one(two, answers, "S5", LISTING, "the files", Evidence.COUNTED, doubted),
        tls_finding(two, answers, doubted),
        control_finding(two, answered, doubted),
    ]
    if KAFKA in two.brokers:
        found.append(_opens_finding(two, answered, doubted))
    return found


def _one(
    two: TwoBrokers,
    answers: Mapping[str, Answer],
    claim_id: str,
    question: str,
    part: str,
    evidence: Evidence,
    doubted: Sequence[Doubt],
) -> Finding:
    """A claim that hangs on one answer."""
    subject, each = about(two.asked), answers.get(question, Unmeasured("it was not asked"))
    if isinstance(each, Unmeasured):
        words = f"Not seen here: {each}"
        return seen_on(subject, claim_id, Verdict.NOT_TESTABLE, evidence, words, part=part)
    verdict, words = _VERDICTS[question](each)
    return seen_on(
        subject, claim_id, *_unless(doubted, question, verdict, evidence, words), each, part=part
    )


def _unless(
    doubted: Sequence[Doubt], question: str, verdict: Verdict, evidence: Evidence, words: str
) -> tuple[Verdict, Evidence, str]:
    """Inconclusive, and which setting makes it so, where one decides the question."""
    deciding = [each.in_words() for each in doubted if question in each.decides]
    if not deciding:
        return verdict, evidence, words
    said = "; ".join(deciding)
    return (
        Verdict.INCONCLUSIVE,
        evidence,
        f"The broker is not set as this lab believes: {said}. {words}",
    )


def _of_alias(each: Quantity) -> tuple[Verdict, str]:
    kind = str(each.value).partition(":")[0]
    verdict = {"alias": Verdict.SUPPORTED, "copied": Verdict.CONTRADICTED}.get(
        kind, Verdict.INCONCLUSIVE
    )
    said = {"alias": "the new bytes arrived, nobody had copied", "copied": "the old bytes arrived"}
    return verdict, (
        f"Overwritten in its file after it was sent: {said.get(kind, 'no clear answer')} "
        f"({each.value} pages)."
    )


def _of_sendfiles(each: Quantity) -> tuple[Verdict, str]:
    assert isinstance(each.value, float)
    return verdict_if(
        each.value > 0
    ), f"For a fetch of 1 MiB it called sendfile {each.value:.3g} times."


def _of_held_up(each: Quantity) -> tuple[Verdict, str]:
    assert isinstance(each.value, int)
    return verdict_if(each.value == 0), (
        f"While one consumer read from a slow device, {each.value} of {OTHERS} other clients, who "
        "asked for nothing on it, waited for it too: those of the same network thread."
    )


def _of_log(each: Quantity) -> tuple[Verdict, str]:
    same = each.value == as_sent()
    return verdict_if(same), (
        "Its log holds the batches as they were sent, byte for byte, each stamped with its offset."
        if same
        else f"Its log does not hold what was sent: sha-256 {each.value}, not {as_sent()}."
    )


def _of_files(each: Quantity) -> tuple[Verdict, str]:
    missing = [name for name in _FILES_OF_A_PARTITION if name not in str(each.value)]
    return verdict_if(not missing), (
        f"A partition is a directory with {each.value}."
        + (f" Not among them: {', '.join(missing)}." if missing else "")
    )


_VERDICTS: Final = {
    page.ALIAS: _of_alias,
    page.SENDFILES: _of_sendfiles,
    page.HELD_UP: _of_held_up,
    page.LOG: _of_log,
    LISTING: _of_files,
}


def ratio_of(one: Spread, other: Spread) -> Spread:
    """The ratio of two spreads: of the medians, and the least and most that their ranges allow."""
    return Spread(
        one.median / other.median, one.low / other.high, one.high / other.low, min(one.n, other.n)
    )


def tls_finding(
    two: TwoBrokers, answers: Mapping[str, Answer], doubted: Sequence[Doubt]
) -> Finding:
    """L1, of the broker that was asked: the same bytes with TLS and without."""
    part, subject = "of a whole broker, 1 MiB a fetch", about(two.asked)
    with_tls, without = (measured(answers, each) for each in (page.TLS, page.CPU[1 << 20]))
    if with_tls is None or without is None:
        why = answers.get(page.TLS, "it was not asked")
        return finding(
            "L1",
            Verdict.NOT_TESTABLE,
            Evidence.TIMED,
            f"Not measured here: {why}",
            part=part,
            about=subject,
        )
    ratio, (least, most) = ratio_of(with_tls, without), _TLS_CLAIMED
    verdict = Verdict.INCONCLUSIVE
    if ratio.low > most or ratio.high < least:
        verdict = Verdict.CONTRADICTED
    elif least <= ratio.low and ratio.high <= most:
        verdict = Verdict.SUPPORTED
    words = f"With TLS the broker's process needed {ratio.text()} times the CPU for the same bytes."
    return finding(
        "L1",
        *_unless(doubted, page.TLS, verdict, Evidence.TIMED, words),
        Quantity("with TLS / without", ratio),
        Quantity("with TLS", with_tls, "s/GiB"),
        Quantity("without", without, "s/GiB"),
        part=part,
        about=subject,
    )


def control_finding(
    two: TwoBrokers, answered: Mapping[str, Answers], doubted: Sequence[Doubt]
) -> Finding:
    """C1: if the hardware moves the bytes, a slow language for the control must not matter."""
    part, question = "control in Python beside Java's", page.CPU[1 << 20]
    if KAFKA not in two.brokers:
        words = f"It takes both in one run; here there is no Kafka beside ours: {two.why_alone}."
        return finding(
            "C1", Verdict.NOT_TESTABLE, Evidence.TIMED, words, part=part, about=about(two.asked)
        )
    ours, theirs = answered[OURS], answered[KAFKA]
    mine, others = measured(ours, question), measured(theirs, question)
    assert mine is not None
    assert others is not None
    more = dearer(ours, theirs, question)
    said = {True: "more than", False: "less than", None: "not clearly another amount than"}[more]
    words = (
        f"In fetches of 1 MiB a broker whose control plane is Python needed {said} one in Java: "
        f"{mine.text('s/GiB')} and {others.text('s/GiB')}."
    )
    verdict = verdict_if(None if more is None else not more)
    return finding(
        "C1",
        *_unless(doubted, question, verdict, Evidence.TIMED, words),
        Quantity("ours", mine, "s/GiB"),
        Quantity("Kafka", others, "s/GiB"),
        part=part,
        about=about(two.asked),
    )


def _opens_finding(
    two: TwoBrokers, answered: Mapping[str, Answers], doubted: Sequence[Doubt]
) -> Finding:
    """S5: the format is one, since each serves what the other wrote."""
    opened = {name: answered[name].get(page.OPENS) for name in (OURS, KAFKA)}
    ours, kafka = (isinstance(each, Quantity) and each.value is True for each in opened.values())
    words = (
        f"Ours {'serves' if ours else 'does not serve'} what Kafka wrote, Kafka "
        f"{'serves' if kafka else 'does not serve'} what ours wrote, every event the same."
    )
    return seen_on(
        about(two.asked),
        "S5",
        *_unless(doubted, page.LOG, verdict_if(ours and kafka), Evidence.PROVED, words),
        Quantity("ours serves Kafka's files", ours),
        Quantity("Kafka serves ours", kafka),
        part="each opens the other's",
    )


def invariants(two: TwoBrokers, answered: Mapping[str, Answers]) -> dict[str, bool]:
    """What has to hold whatever the machine, of our own broker: its file has what was sent."""
    log, requests = answered[OURS].get(page.LOG), answered[OURS].get(APIS)
    return {
        "our log holds what was sent, byte for byte": isinstance(log, Quantity)
        and log.value == as_sent(),
        "our broker says that it answers Produce and Fetch": isinstance(requests, Quantity)
        and {"produce", "fetch"} <= set(str(requests.value).split()),
    }
