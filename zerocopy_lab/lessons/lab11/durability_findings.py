"""Lab 11, what was found: the verdicts on S6 and P1, and what holds on every machine.

Both claims are about Kafka: what is seen of our own broker stands beside them, no more.
"""

from __future__ import annotations

from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    not_testable,
    seen_on,
    verdict_if,
)
from zerocopy_lab.classroom.subject import Subject
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab11.durability import Seen, policies_words, prices_words, replicas_words
from zerocopy_lab.lessons.lab11.failed_fsync import (
    FailedFlush,
    RefusedFlush,
    failed_flush_finding,
    refusal_finding,
)
from zerocopy_lab.lessons.lab11.flush_policies import EACH, POLICIES, SYSTEM, Survivors
from zerocopy_lab.lessons.lab11.flush_prices import against_system, waits_ms
from zerocopy_lab.lessons.lab11.replicas import Replicas
from zerocopy_lab.measuring.experiment import Outcome


def findings(
    seen: Seen,
    outcome: Outcome,
    failed: FailedFlush | Unmeasured,
    refused: RefusedFlush | Unmeasured,
    copied: Replicas,
    subject: Subject,
) -> list[Finding]:
    """All that this lab found."""
    return [
        *_disk_findings(seen, subject),
        failed_flush_finding(failed),
        refusal_finding(refused, subject),
        _kill_finding(seen, subject),
        _price_finding(outcome, subject),
        _copy_finding(copied, subject),
    ]


def _disk_findings(seen: Seen, subject: Subject) -> list[Finding]:
    """S6, the broker: with the default, and when it is told to flush each batch."""
    parts = {SYSTEM: "acknowledged means on the disk", EACH: "with flush.messages=1"}
    if isinstance(seen, Unmeasured):
        return [
            not_testable("S6", seen, part, subject, Evidence.COUNTED) for part in parts.values()
        ]
    return [
        _disk_finding(each, parts[each.policy], policies_words(seen), subject)
        for each in seen
        if each.policy in parts
    ]


def _disk_finding(seen: Survivors, part: str, words: str, subject: Subject) -> Finding:
    if seen.otherwise:
        why = Unmeasured(f"this broker is set otherwise than this part means: {seen.otherwise}")
        return not_testable("S6", why, part, subject, Evidence.COUNTED)
    return seen_on(
        subject,
        "S6",
        verdict_if(seen.lost("power") == 0),
        Evidence.COUNTED,
        words,
        Quantity("acknowledged messages", seen.acknowledged),
        Quantity("of them lost by a power cut, at worst", seen.lost("power")),
        Quantity("bytes of the log", seen.log_bytes, "bytes"),
        Quantity("on the disk when the last was acknowledged", seen.flushed_bytes, "bytes"),
        part=part,
    )


def _kill_finding(seen: Seen, subject: Subject) -> Finding:
    part = "what is in the page cache outlives the broker"
    if isinstance(seen, Unmeasured):
        return not_testable("P1", seen, part, subject, Evidence.COUNTED)
    lost = sum(each.lost("kill") + each.lost("torn") for each in seen)
    return seen_on(
        subject,
        "P1",
        verdict_if(lost == 0),
        Evidence.COUNTED,
        policies_words(seen),
        Quantity("acknowledged messages", sum(each.acknowledged for each in seen)),
        Quantity("of them lost by kill -9 or a torn write", lost),
        part=part,
    )


def _price_finding(outcome: Outcome, subject: Subject) -> Finding:
    """P1: that the system flushes later saves the wait for the disk."""
    found, waits = against_system(outcome, EACH), waits_ms(outcome)
    verdict = {"dearer": True, "cheaper": False, "inconclusive": None}[found.verdict]
    return seen_on(
        subject,
        "P1",
        verdict_if(verdict),
        Evidence.TIMED,
        prices_words(outcome),
        *(Quantity(f"acknowledged, {policy}", waits[policy], "ms") for policy in POLICIES),
        Quantity("every batch / the system decides, round by round", found.ratio),
        part="it saves the wait for the disk",
    )


def _copy_finding(seen: Replicas, subject: Subject) -> Finding:
    part = "what makes that safe is a copy elsewhere"
    words = replicas_words(seen)
    if isinstance(seen.identical, Unmeasured):
        return not_testable("P1", seen.identical, part, subject, Evidence.COUNTED)
    if isinstance(seen.leader_left, Unmeasured):
        return not_testable("P1", seen.leader_left, part, subject, Evidence.COUNTED)
    outlives = seen.identical and seen.elected_serves == seen.follower_end > seen.leader_left
    fed = (
        []
        if isinstance(seen.fed_by, Unmeasured)
        else [Quantity("sendfile calls that fed the copy", seen.fed_by.sendfile)]
    )
    return seen_on(
        subject,
        "P1",
        verdict_if(outlives if seen.leader_left < seen.follower_end else None),
        Evidence.PROVED,
        words,
        Quantity("the copy is the leader's log, byte for byte", seen.identical),
        Quantity("messages of the copy that a client reads", seen.elected_serves),
        Quantity("left on the leader's disk, at worst", seen.leader_left),
        *fed,
        part=part,
    )


def invariants(copied: Replicas, whole: bytes, at_fsync: bytes) -> dict[str, bool]:
    """What holds on every machine."""
    return {
        "what an fsync left is the beginning of the file": whole.startswith(at_fsync),
        "the copy is the leader's log": copied.identical is not False,
        "whoever is elected serves the whole copy": copied.elected_serves == copied.follower_end,
    }
