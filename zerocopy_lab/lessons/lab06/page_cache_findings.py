"""Lab 06, what was found: the verdicts on S6, P1, P2 and the first half of P3.

S6, P1 and P2 are about what Kafka does. Each is asked of the broker that BROKER names; where that
is no Kafka, `conclude` sets the recorded run of this lab on a real one beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    Verdict,
    cited_finding,
    finding,
    seen_on,
    verdict_if,
)
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject
from zerocopy_lab.classroom.thresholds import HARDLY_ANY, MOST, are_alike
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab06.page_cache import (
    Free,
    Read,
    Sighting,
    Waiting,
    Written,
    readers_words,
    watch_words,
)
from zerocopy_lab.pictures.theme import byte_count


def findings(
    seen: Sighting, subject: Subject, free: Free | Unmeasured, others: Sequence[Finding]
) -> list[Finding]:
    """All that this lab found."""
    found = findings_about(seen, subject)
    return [*found, flush_by_the_source(), free_finding(free), *others]


def findings_about(seen: Sighting, subject: Subject) -> list[Finding]:
    """What was seen of one broker."""
    return [
        _producer_finding(seen.written, subject),
        _broker_finding(seen.written, subject),
        _write_finding(seen.written, subject),
        _soon_finding(seen, subject),
    ]


def _producer_finding(written: Written, subject: Subject) -> Finding:
    sent, to_device = written.sent.payload_bytes, written.producer_device_bytes
    if isinstance(to_device, Unmeasured):
        return _not_testable("S6", str(to_device), "the producer", subject)
    return seen_on(
        subject,
        "S6",
        verdict_if(to_device < HARDLY_ANY * sent),
        Evidence.COUNTED,
        f"Sending {byte_count(sent)} made the producer's process write {byte_count(to_device)} to "
        "a device.",
        Quantity("device bytes written by the producer", to_device, "bytes"),
        Quantity("bytes it sent", sent, "bytes"),
        part="the producer",
    )


def _broker_finding(written: Written, subject: Subject) -> Finding:
    """S6, the broker: is it on the physical disk when it is acknowledged?"""
    if isinstance(written.waiting, Unmeasured):
        return _not_testable("S6", str(written.waiting), "the broker", subject)
    lands = lands_in_the_cache(written.waiting)
    return seen_on(
        subject,
        "S6",
        verdict_if(None if lands is None else not lands),
        Evidence.COUNTED,
        watch_words(written),
        *_quantities(written.waiting),
        part="the broker",
    )


def _write_finding(written: Written, subject: Subject) -> Finding:
    """P1: a write lands in the page cache and is flushed later."""
    if isinstance(written.waiting, Unmeasured):
        return _not_testable("P1", str(written.waiting), "", subject)
    lands = lands_in_the_cache(written.waiting)
    more = {
        True: " Until then a power cut would have taken them; the death of the broker would not, "
        "because the pages are the kernel's.",
        False: " Who acknowledged had brought them to the disk before.",
        None: "",
    }
    return seen_on(
        subject,
        "P1",
        verdict_if(lands),
        Evidence.COUNTED,
        watch_words(written) + more[lands],
        *_quantities(written.waiting),
    )


def lands_in_the_cache(waiting: Waiting) -> bool | None:
    """Whether acknowledged bytes wait in memory: yes if most of them did at some look, no if there
    was never more than what may be under way at any moment, as with a broker that syncs each
    append. In between the kernel may have been quick: None.
    """
    share = waiting.most_bytes / waiting.log_bytes
    if share > MOST:
        return True
    return False if share < 0.15 and waiting.acknowledged_bytes < 0.05 * waiting.log_bytes else None


def _quantities(waiting: Waiting) -> list[Quantity]:
    return [
        Quantity("only in memory when acknowledged", waiting.acknowledged_bytes, "bytes"),
        Quantity("the most at any look until then", waiting.most_bytes, "bytes"),
        Quantity("bytes of the segment", waiting.log_bytes, "bytes"),
    ]


def _soon_finding(seen: Sighting, subject: Subject) -> Finding:
    """P2: a reader who is soon enough does not touch the disk. That the counter would have seen it
    is shown by the late reader: without it, a 0 says little. A few pages that the kernel took for
    others meanwhile (the broker's program is made of pages, too) are no contradiction.
    """
    soon, sent = seen.soon.device_bytes, seen.written.sent.payload_bytes
    late = seen.late.device_bytes if isinstance(seen.late, Read) else seen.late
    if isinstance(soon, Unmeasured):
        return _not_testable("P2", str(soon), "", subject)
    verdict = verdict_if(False if soon > MOST * sent else None)
    if soon < HARDLY_ANY * sent and not isinstance(late, Unmeasured) and late > 0.25 * sent:
        verdict = Verdict.SUPPORTED
    figures = [Quantity("device bytes, reading soon", soon, "bytes")]
    if not isinstance(late, Unmeasured):
        figures.append(Quantity("device bytes, reading late", late, "bytes"))
    return seen_on(subject, "P2", verdict, Evidence.COUNTED, readers_words(seen), *figures)


def _not_testable(claim_id: str, why: str, part: str, subject: Subject) -> Finding:
    words = f"Not counted here: {why}"
    verdict = Verdict.NOT_TESTABLE
    return seen_on(subject, claim_id, verdict, Evidence.COUNTED, words, part=part)


def flush_by_the_source() -> Finding:
    """P1, by Kafka's own settings."""
    return cited_finding(
        "P1",
        Verdict.SUPPORTED,
        "Kafka forces a log to the disk after so many messages or so much time, and both are "
        "Long.MAX_VALUE unless somebody sets them: it leaves the flush to the system, and safety "
        "to replicas. (When a segment is full, it is flushed in the background.)",
        "Apache Kafka 4.2, ServerLogConfigs.java (log.flush.interval.messages, .ms), "
        "UnifiedLog.java (roll)",
    )


def free_finding(free: Free | Unmeasured) -> Finding:
    """P3, where `free` shows it: its buff/cache is made of /proc/meminfo's Cached and others."""
    part = "free shows it"
    if isinstance(free, Unmeasured):
        return finding(
            "P3", Verdict.NOT_TESTABLE, Evidence.COUNTED, str(free), part=part, about=KERNEL_HERE
        )
    fell = statistics.median(free.fell_bytes)
    verdict = Verdict.INCONCLUSIVE
    if free.resident_bytes:
        if are_alike(fell, free.resident_bytes):
            verdict = Verdict.SUPPORTED
        elif max(free.fell_bytes) < 0.2 * free.resident_bytes:
            verdict = Verdict.CONTRADICTED
    told = ", ".join(f"{each / (1 << 20):.1f}" for each in free.fell_bytes)
    return finding(
        "P3",
        verdict,
        Evidence.COUNTED,
        f"When {byte_count(free.resident_bytes)} of one file's pages left memory, the machine's "
        f"Cached changed by that file and by whatever else went on: it fell by {told} MiB.",
        Quantity("pages of the file that left", free.resident_bytes, "bytes"),
        Quantity("Cached in /proc/meminfo fell by (median)", int(fell), "bytes"),
        source="free(1): buff/cache is Buffers + Cached + SReclaimable",
        part=part,
        about=KERNEL_HERE,
    )


def invariants(seen: Sighting) -> dict[str, bool]:
    """What has to hold whatever the machine."""
    held = {"what came back is what was sent": seen.written.sent == seen.soon.received}
    if isinstance(seen.late, Read):
        held["the same from the disk"] = seen.written.sent == seen.late.received
        late = seen.late.device_bytes
        if not isinstance(late, Unmeasured):
            from_device = late > seen.written.sent.payload_bytes / 4
            held["after an eviction the bytes came from the device"] = from_device
    return held
