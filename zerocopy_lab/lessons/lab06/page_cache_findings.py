"""Lab 06, what was found: the verdicts on S6, P1, P2 and the first half of P3.

S6, P1 and P2 are about what Kafka does. Each is asked of the broker that BROKER names; where that
is no Kafka, `conclude` sets the recorded run of this lab on a real one beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
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
    return [*findings_about(seen, subject), free_finding(free), *others]


def findings_about(seen: Sighting, subject: Subject) -> list[Finding]:
    """What was seen of one broker."""
    written = seen.written
    return [
        _producer_finding(written, Aspect("S6", subject, "the producer")),
        *_waiting_findings(written, Aspect("S6", subject, "the broker"), Aspect("P1", subject)),
        _soon_finding(seen, Aspect("P2", subject)),
    ]


def _not_counted(aspect: Aspect, why: Unmeasured) -> Finding:
    return aspect.not_testable(f"Not counted here: {why}")


def _producer_finding(written: Written, producer: Aspect) -> Finding:
    sent, to_device = written.sent.payload_bytes, written.producer_device_bytes
    if isinstance(to_device, Unmeasured):
        return _not_counted(producer, to_device)
    return producer.counted(
        to_device < HARDLY_ANY * sent,
        f"Sending {byte_count(sent)} made the producer's process write {byte_count(to_device)} to "
        "a device.",
        Quantity("device bytes written by the producer", to_device, "bytes"),
        Quantity("bytes it sent", sent, "bytes"),
    )


def _waiting_findings(written: Written, broker: Aspect, write: Aspect) -> list[Finding]:
    """S6, is it on the physical disk when it is acknowledged? And P1, the same turned round: a
    write lands in the page cache and is flushed later.
    """
    waiting = written.waiting
    if isinstance(waiting, Unmeasured):
        return [_not_counted(each, waiting) for each in (broker, write)]
    lands, told = lands_in_the_cache(waiting), watch_words(written)
    more = {
        True: " Until then a power cut would have taken them; the death of the broker would not, "
        "because the pages are the kernel's.",
        False: " Who acknowledged had brought them to the disk before.",
        None: "",
    }
    shown = (
        Quantity("only in memory when acknowledged", waiting.acknowledged_bytes, "bytes"),
        Quantity("the most at any look until then", waiting.most_bytes, "bytes"),
        Quantity("bytes of the segment", waiting.log_bytes, "bytes"),
    )
    on_disk = None if lands is None else not lands
    return [
        broker.counted(on_disk, told, *shown),
        write.counted(lands, told + more[lands], *shown),
    ]


def lands_in_the_cache(waiting: Waiting) -> bool | None:
    """Whether acknowledged bytes wait in memory: yes if most of them did at some look, no if there
    was never more than what may be under way at any moment, as with a broker that syncs each
    append. In between the kernel may have been quick: None.
    """
    share = waiting.most_bytes / waiting.log_bytes
    if share > MOST:
        return True
    return False if share < 0.15 and waiting.acknowledged_bytes < 0.05 * waiting.log_bytes else None


def _soon_finding(seen: Sighting, reader: Aspect) -> Finding:
    """P2: a reader who is soon enough does not touch the disk. That the counter would have seen it
    is shown by the late reader: without it, a 0 says little. A few pages that the kernel took for
    others meanwhile (the broker's program is made of pages, too) are no contradiction.
    """
    soon, sent = seen.soon.device_bytes, seen.written.sent.payload_bytes
    late = seen.late.device_bytes if isinstance(seen.late, Read) else seen.late
    if isinstance(soon, Unmeasured):
        return _not_counted(reader, soon)
    figures = [Quantity("device bytes, reading soon", soon, "bytes")]
    holds = False if soon > MOST * sent else None
    if not isinstance(late, Unmeasured):
        figures.append(Quantity("device bytes, reading late", late, "bytes"))
        if soon < HARDLY_ANY * sent and late > 0.25 * sent:
            holds = True
    return reader.counted(holds, readers_words(seen), *figures)


def free_finding(free: Free | Unmeasured) -> Finding:
    """P3, where `free` shows it: its buff/cache is made of /proc/meminfo's Cached and others."""
    shows = Aspect("P3", KERNEL_HERE, "free shows it")
    if isinstance(free, Unmeasured):
        return shows.not_testable(str(free))
    fell, left = statistics.median(free.fell_bytes), free.resident_bytes
    holds = True if left and are_alike(fell, left) else None
    if left and not holds and max(free.fell_bytes) < 0.2 * left:
        holds = False
    told = ", ".join(f"{each / (1 << 20):.1f}" for each in free.fell_bytes)
    return shows.counted(
        holds,
        f"When {byte_count(left)} of one file's pages left memory, the machine's Cached changed by "
        f"that file and by whatever else went on: it fell by {told} MiB.",
        Quantity("pages of the file that left", left, "bytes"),
        Quantity("Cached in /proc/meminfo fell by (median)", int(fell), "bytes"),
        source="free(1): buff/cache is Buffers + Cached + SReclaimable",
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
