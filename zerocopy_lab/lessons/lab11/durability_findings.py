"""Lab 11, what was found: the verdicts on S6 and P1, and what holds on every machine.

Both claims are about Kafka: what is seen of our own broker stands beside them, no more.
"""

from __future__ import annotations

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
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
        return [Aspect("S6", subject, part).not_testable(str(seen)) for part in parts.values()]
    return [
        _disk_finding(each, parts[each.policy], policies_words(seen), subject)
        for each in seen
        if each.policy in parts
    ]


def _disk_finding(seen: Survivors, part: str, words: str, subject: Subject) -> Finding:
    if seen.otherwise:
        why = Unmeasured(f"this broker is set otherwise than this part means: {seen.otherwise}")
        return Aspect("S6", subject, part).not_testable(str(why))
    return Aspect("S6", subject, part).counted(
        seen.lost("power") == 0,
        words,
        Quantity("acknowledged messages", seen.acknowledged),
        Quantity("of them lost by a power cut, at worst", seen.lost("power")),
        Quantity("bytes of the log", seen.log_bytes, "bytes"),
        Quantity("on the disk when the last was acknowledged", seen.flushed_bytes, "bytes"),
    )


def _kill_finding(seen: Seen, subject: Subject) -> Finding:
    part = "what is in the page cache outlives the broker"
    if isinstance(seen, Unmeasured):
        return Aspect("P1", subject, part).not_testable(str(seen))
    lost = sum(each.lost("kill") + each.lost("torn") for each in seen)
    return Aspect("P1", subject, part).counted(
        lost == 0,
        policies_words(seen),
        Quantity("acknowledged messages", sum(each.acknowledged for each in seen)),
        Quantity("of them lost by kill -9 or a torn write", lost),
    )


def _price_finding(outcome: Outcome, subject: Subject) -> Finding:
    """P1: that the system flushes later saves the wait for the disk."""
    found, waits = against_system(outcome, EACH), waits_ms(outcome)
    verdict = {"dearer": True, "cheaper": False, "inconclusive": None}[found.verdict]
    return Aspect("P1", subject, "it saves the wait for the disk").timed(
        verdict,
        prices_words(outcome),
        *(Quantity(f"acknowledged, {policy}", waits[policy], "ms") for policy in POLICIES),
        Quantity("every batch / the system decides, round by round", found.ratio),
    )


def _copy_finding(seen: Replicas, subject: Subject) -> Finding:
    part = "what makes that safe is a copy elsewhere"
    words = replicas_words(seen)
    if isinstance(seen.identical, Unmeasured):
        return Aspect("P1", subject, part).not_testable(str(seen.identical))
    if isinstance(seen.leader_left, Unmeasured):
        return Aspect("P1", subject, part).not_testable(str(seen.leader_left))
    outlives = seen.identical and seen.elected_serves == seen.follower_end > seen.leader_left
    fed = (
        []
        if isinstance(seen.fed_by, Unmeasured)
        else [Quantity("sendfile calls that fed the copy", seen.fed_by.sendfile)]
    )
    return Aspect("P1", subject, part).proved(
        outlives if seen.leader_left < seen.follower_end else None,
        words,
        Quantity("the copy is the leader's log, byte for byte", seen.identical),
        Quantity("messages of the copy that a client reads", seen.elected_serves),
        Quantity("left on the leader's disk, at worst", seen.leader_left),
        *fed,
    )


def invariants(copied: Replicas, whole: bytes, at_fsync: bytes) -> dict[str, bool]:
    """What holds on every machine."""
    return {
        "what an fsync left is the beginning of the file": whole.startswith(at_fsync),
        "the copy is the leader's log": copied.identical is not False,
        "whoever is elected serves the whole copy": copied.elected_serves == copied.follower_end,
    }
