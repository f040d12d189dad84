"""Lab 13: what the answers say of the article's claims, of the broker that was asked.

It is judged only where it is set as the lab believes: what a setting decides that is another is
inconclusive, and the words name the setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    Verdict,
    seen_on,
    verdict_if,
    verdict_within,
)
from zerocopy_lab.classroom.subject import about
from zerocopy_lab.classroom.thresholds import TLS_CLAIMED
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab13 import page
from zerocopy_lab.lessons.lab13.counted import APIS, Doubt
from zerocopy_lab.lessons.lab13.files import LISTING, as_sent
from zerocopy_lab.lessons.lab13.page import Answer, Answers, measured
from zerocopy_lab.lessons.lab13.side_by_side import dearer
from zerocopy_lab.lessons.lab13.two_brokers import KAFKA, OURS, TwoBrokers
from zerocopy_lab.measuring.held_up import OTHERS

_FILES_OF_A_PARTITION: Final = (".log", ".index", ".timeindex", "partition.metadata")


def findings(
    two: TwoBrokers, answered: Mapping[str, Answers], doubted: Sequence[Doubt]
) -> list[Finding]:
    """What the broker that was asked says of each claim, and ours beside it."""
    answers = answered[two.asked_name]
    found = [
        finding_on(two, answers, "Z2", page.ALIAS, "the sender", Evidence.PROVED, doubted),
        finding_on(two, answers, "Z3", page.SENDFILES, "Linux", Evidence.COUNTED, doubted),
        finding_on(two, answers, "Z5", page.HELD_UP, "the disk", Evidence.COUNTED, doubted),
        finding_on(two, answers, "W1", page.LOG, "what lies in the file", Evidence.PROVED, doubted),
        finding_on(two, answers, "S5", LISTING, "the files", Evidence.COUNTED, doubted),
        tls_finding(two, answers, doubted),
        control_finding(two, answered, doubted),
    ]
    if KAFKA in two.brokers:
        found.append(_opens_finding(two, answered, doubted))
    return found


def finding_on(
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
        return Aspect(claim_id, subject, part).not_testable(words)
    verdict, words = _VERDICTS[question](each)
    verdict, words = _unless(doubted, question, verdict, words)
    return seen_on(subject, claim_id, verdict, evidence, words, each, part=part)


def _unless(
    doubted: Sequence[Doubt], question: str, verdict: Verdict, words: str
) -> tuple[Verdict, str]:
    """Inconclusive, and which setting makes it so, where one decides the question."""
    deciding = [each.in_words() for each in doubted if question in each.decides]
    if not deciding:
        return verdict, words
    said = f"The broker is not set as this lab believes: {'; '.join(deciding)}."
    return Verdict.INCONCLUSIVE, f"{said} {words}"


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
    aspect = Aspect("L1", about(two.asked), "of a whole broker, 1 MiB a fetch")
    with_tls, without = (measured(answers, each) for each in (page.TLS, page.CPU[1 << 20]))
    if with_tls is None or without is None:
        why = f"Not measured here: {answers.get(page.TLS, 'it was not asked')}"
        return aspect.not_testable(why)
    ratio = ratio_of(with_tls, without)
    verdict = verdict_within(ratio, TLS_CLAIMED)
    words = f"With TLS the broker's process needed {ratio.text()} times the CPU for the same bytes."
    return aspect.timed(
        *_unless(doubted, page.TLS, verdict, words),
        Quantity("with TLS / without", ratio),
        Quantity("with TLS", with_tls, "s/GiB"),
        Quantity("without", without, "s/GiB"),
    )


def control_finding(
    two: TwoBrokers, answered: Mapping[str, Answers], doubted: Sequence[Doubt]
) -> Finding:
    """C1: if the hardware moves the bytes, a slow language for the control must not matter."""
    aspect = Aspect("C1", about(two.asked), "control in Python beside Java's")
    question = page.CPU[1 << 20]
    if KAFKA not in two.brokers:
        words = f"It takes both in one run; here there is no Kafka beside ours: {two.why_alone}."
        return aspect.not_testable(words)
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
    return aspect.timed(
        *_unless(doubted, question, verdict, words),
        Quantity("ours", mine, "s/GiB"),
        Quantity("Kafka", others, "s/GiB"),
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
    return Aspect("S5", about(two.asked), "each opens the other's").proved(
        *_unless(doubted, page.LOG, verdict_if(ours and kafka), words),
        Quantity("ours serves Kafka's files", ours),
        Quantity("Kafka serves ours", kafka),
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
