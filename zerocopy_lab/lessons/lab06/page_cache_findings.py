"""Lab 06, what was found: the verdicts on S6, P1, P2 and the first half of P3."""

from __future__ import annotations

from collections.abc import Sequence

from zerocopy_lab.classroom.evidence import Evidence, Finding, Quantity, Verdict, finding
from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.lessons.lab06.page_cache import (
    Read,
    Written,
    recorded_readers,
    recorded_writing,
    watch_words,
)
from zerocopy_lab.measuring.recorded import recorded_words
from zerocopy_lab.pictures.theme import byte_count

_NOBODY_COUNTS = "Here nobody counts what a process has from and to devices (/proc/PID/io)."


def findings(
    written: Written, tail: Read, late: Read | str, others: Sequence[Finding]
) -> list[Finding]:
    """All that this lab found."""
    return [
        _producer_finding(written),
        _broker_finding(written),
        _write_finding(written),
        _tail_finding(written, tail, late),
        _free_finding(written),
        *others,
    ]


def _producer_finding(written: Written) -> Finding:
    if written.producer_device_bytes is None:
        words = f"{_NOBODY_COUNTS} {recorded_words(_producer_words(recorded_writing()))}"
        return finding("S6", Verdict.NOT_TESTABLE, Evidence.COUNTED, words, part="the producer")
    share = written.producer_device_bytes / written.sent.payload_bytes
    verdict = Verdict.SUPPORTED if share < 0.01 else Verdict.CONTRADICTED
    return finding(
        "S6",
        verdict,
        Evidence.COUNTED,
        _producer_words(written),
        Quantity("device bytes written by the producer", written.producer_device_bytes, "bytes"),
        Quantity("bytes it sent", written.sent.payload_bytes, "bytes"),
        part="the producer",
    )


def _producer_words(written: Written) -> str:
    return (
        f"Sending {byte_count(written.sent.payload_bytes)} made the producer's process write "
        f"{byte_count(written.producer_device_bytes or 0)} to a device."
    )


def _broker_finding(written: Written) -> Finding:
    """S6, the broker: is it on the physical disk when it is acknowledged?"""
    verdict = _if_in_memory(written, Verdict.CONTRADICTED)
    return finding(
        "S6", verdict, Evidence.COUNTED, watch_words(written), *_waiting(written), part="the broker"
    )  # fmt: skip


def _write_finding(written: Written) -> Finding:
    """P1: a write lands in the page cache and is flushed later."""
    verdict = _if_in_memory(written, Verdict.SUPPORTED)
    words = watch_words(written)
    if verdict is not Verdict.NOT_TESTABLE:
        words += (
            " Until then a power cut would have taken them; the death of the broker would not, "
            "because the pages are the kernel's."
        )
    return finding("P1", verdict, Evidence.COUNTED, words, *_waiting(written))


def _if_in_memory(written: Written, then: Verdict) -> Verdict:
    """`then`, if most bytes were in memory only when they had been acknowledged."""
    if written.only_in_memory_bytes is None:
        return Verdict.NOT_TESTABLE
    mostly = written.only_in_memory_bytes > written.log_bytes / 2
    return then if mostly else Verdict.INCONCLUSIVE


def _waiting(written: Written) -> list[Quantity]:
    if written.only_in_memory_bytes is None:
        return []
    return [
        Quantity("only in memory when acknowledged", written.only_in_memory_bytes, "bytes"),
        Quantity("bytes of the segment", written.log_bytes, "bytes"),
    ]


def _tail_finding(written: Written, tail: Read, late: Read | str) -> Finding:
    """P2: a reader who is soon enough does not touch the disk. That the counter would have seen it
    is shown by the late reader: without it, a 0 says little. A few pages that the kernel took for
    others meanwhile (the broker's program is made of pages, too) are no contradiction.
    """
    words = readers_words(written, tail, late)
    if tail.device_bytes is None:
        return finding("P2", Verdict.NOT_TESTABLE, Evidence.COUNTED, words)
    share = tail.device_bytes / written.log_bytes
    verdict = Verdict.INCONCLUSIVE
    if share > 0.5:
        verdict = Verdict.CONTRADICTED
    elif share < 0.01 and isinstance(late, Read):
        verdict = Verdict.SUPPORTED
    figures = [Quantity("device bytes, reading soon", tail.device_bytes, "bytes")]
    if tail.absent_bytes is not None:
        figures.append(Quantity("out of memory when it began", tail.absent_bytes, "bytes"))
    if isinstance(late, Read) and late.device_bytes is not None:
        figures.append(Quantity("device bytes, reading late", late.device_bytes, "bytes"))
    return finding("P2", verdict, Evidence.COUNTED, words, *figures)


def show_readers(written: Written, tail: Read, late: Read | str) -> None:
    """Shows what both readers made the broker fetch."""
    box("plain", "Fetched from the device", [readers_words(written, tail, late)])


def readers_words(written: Written, tail: Read, late: Read | str) -> str:
    """What both readers made the broker fetch; from the reference run what was not counted here."""
    there = recorded_readers()
    if tail.device_bytes is None:
        told = f"{_soon(there.soon_bytes, there.log_bytes)} {_late(there.late_bytes)}"
        return f"{_NOBODY_COUNTS} {recorded_words(told)}"
    told = _soon(tail.device_bytes, written.log_bytes)
    if isinstance(late, str):
        why_not = f"A late reader, whom the counter should see, could not be tested here: {late}"
        return f"{told} {why_not} {recorded_words(_late(there.late_bytes))}"
    return told if late.device_bytes is None else f"{told} {_late(late.device_bytes)}"


def _soon(device_bytes: int, log_bytes: int) -> str:
    return (
        "A consumer that read everything soon after made the broker fetch "
        f"{byte_count(device_bytes)} of {byte_count(log_bytes)} from the device."
    )


def _late(device_bytes: int) -> str:
    return f"A late one, after an eviction: {byte_count(device_bytes)}."


def _free_finding(written: Written) -> Finding:
    """P3, where `free` shows it: its buff/cache is made of /proc/meminfo's Cached and others."""
    growth, part = written.cached_growth_bytes, "free shows it"
    if growth is None:
        why = "This system has no /proc/meminfo."
        return finding("P3", Verdict.NOT_TESTABLE, Evidence.COUNTED, why, part=part)
    seen = growth > written.log_bytes / 2
    return finding(
        "P3",
        Verdict.SUPPORTED if seen else Verdict.INCONCLUSIVE,
        Evidence.COUNTED,
        f"While {byte_count(written.log_bytes)} were written, the machine's cache grew by "
        f"{byte_count(growth)} (all processes together).",
        Quantity("growth of Cached in /proc/meminfo", growth, "bytes"),
        source="free(1): buff/cache is Buffers + Cached + SReclaimable",
        part=part,
    )


def invariants(written: Written, tail: Read, late: Read | str) -> dict[str, bool]:
    """What has to hold whatever the machine."""
    held = {"what came back is what was sent, byte for byte": written.sent == tail.received}
    if not isinstance(late, str):
        held["the same from the disk"] = written.sent == late.received
        if late.device_bytes is not None:
            from_device = late.device_bytes > written.log_bytes / 2
            held["after an eviction the bytes came from the device"] = from_device
    return held
