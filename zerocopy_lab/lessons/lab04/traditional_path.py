"""Lab 04: what does a loop of read and write cost, and is it the copies or the calls?

The loop is the broker's own: `read_then_send` with chunks of 4 KiB is the article's example. The
same copies in larger chunks take the calls away, `sendfile` takes the copies away as well; what
each step saves is what it was worth. Disk traffic and switches are counted beside it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.evidence import Evidence, Finding, Quantity, Verdict, finding
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.block_io import process_block_io
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.lessons.lab04.traditional_path_exercises import EXERCISES, two_prices
from zerocopy_lab.measuring.broker_contest import GIB, broker_contestant, per_gib
from zerocopy_lab.measuring.calibration import Calibration
from zerocopy_lab.measuring.experiment import Outcome, run_experiment
from zerocopy_lab.measuring.fetching import drop_responses, evict_log, frames_over, segments_of
from zerocopy_lab.measuring.recorded import recorded, recorded_words
from zerocopy_lab.pictures.chunk_cost import Benchmark, ChunkCost, cost_by_chunk
from zerocopy_lab.pictures.copy_ledger import BytePath, Hop, copy_ledger
from zerocopy_lab.pictures.theme import Origin, Picture, byte_count
from zerocopy_lab.running.flight_events import Traffic
from zerocopy_lab.running.running_broker import RunningBroker

__all__ = ["EXERCISES", "Path", "two_prices"]

TOPIC = "flights"
DIRECT = "sendfile"
ARTICLES_CHUNK_BYTES = 4096
CHUNKS = {byte_count(size): size for size in (1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20)}
SMALL, LARGE = "4 KiB", "1 MiB"
SAME_CHUNK = "sendfile, 4 KiB"
READS_AS = "04 device reads"
"""What the reference run calls them."""

WORTH_QUESTION = (
    "A loop reads 4 KiB and sends 4 KiB. It costs more than sendfile. How much of the difference "
    "is still there with chunks of 1 MiB, the copies being the same?"
)
WORTH_CHOICES = ("nearly all of it: it is the copies", "about half", "little: it was the calls")

SWITCH_QUESTION = (
    "While sending the same bytes, which broker is switched by the scheduler more often?"
)
SWITCH_CHOICES = ("the loop of 4 KiB", "sendfile", "no clear difference")


# -- what comes from the disk ----------------------------------------------------------------------


class DeviceReads(NamedTuple):
    """Bytes of the log, and how many of them the broker's process had read from the device."""

    log_bytes: int
    warm_bytes: int
    cold_bytes: int


def device_reads(data_dir: Path) -> DeviceReads | str:
    """Fetches everything with the loop, from memory and evicted; or why that cannot be counted."""
    with (
        RunningBroker(data_dir, transfer="read_then_send") as broker,
        Wire(broker.host, broker.port) as wire,
    ):
        frames = frames_over(wire, TOPIC, 1 << 20)

        def reads_of_one_pass() -> int:
            before = process_block_io(broker.pid).read_bytes
            drop_responses(wire.sock, frames, total_bytes=log_bytes)
            return process_block_io(broker.pid).read_bytes - before

        log_bytes = sum(path.stat().st_size for path in segments_of(data_dir, TOPIC))
        try:
            warm_bytes = reads_of_one_pass()
            evict_log(data_dir, TOPIC)
            return DeviceReads(log_bytes, warm_bytes, reads_of_one_pass())
        except (NotEvicted, Unavailable) as reason:
            return str(reason)


def ledger_picture(reads: DeviceReads | str) -> Picture:
    """Who moves a byte: the loop with the file on disk and in memory, and sendfile."""
    disk = Hop("disk", "page cache", "DMA", "CITED" if isinstance(reads, str) else "COUNTED")
    loop = (
        Hop("page cache", "buffer", "CPU", "PROVED"),
        Hop("buffer", "socket", "CPU", "PROVED"),
    )
    card = Hop("socket", "card", "DMA", "CITED")
    reference = Hop("page cache", "socket", "nobody", "PROVED")
    paths = [
        BytePath("read and write, file on the disk", (disk, *loop, card)),
        BytePath("read and write, file in memory", (*loop, card)),
        BytePath("sendfile, file in memory", (reference, card)),
    ]
    stations = ["disk", "page cache", "buffer", "socket", "card"]
    return copy_ledger(paths, stations=stations, origin=Origin("COUNTED"))


def ledger_words(reads: DeviceReads | str) -> str:
    """The conclusion under that picture."""
    two = "Of the four moves only two are the processor's."
    if isinstance(reads, str):
        told = recorded_words(_reads_in_words(DeviceReads(**recorded(READS_AS))))
        return f"{two} How much came from the disk could not be counted here: {reads} {told}"
    return f"{two} {_reads_in_words(reads)}"


def _reads_in_words(reads: DeviceReads) -> str:
    return (
        "With the file in memory the disk's move is not made at all: of "
        f"{byte_count(reads.log_bytes)} the broker had {byte_count(reads.warm_bytes)} read from "
        f"the device, after an eviction {byte_count(reads.cold_bytes)}."
    )


# -- copies or calls -------------------------------------------------------------------------------


def sweep(data_dir: Path, lab: Lab, chunks: Sequence[str] | None = None) -> Outcome:
    """The loop's broker CPU by chunk size, beside sendfile's, in turns."""
    names = chunks or ([SMALL, LARGE] if lab.fast else list(CHUNKS))
    total_bytes = (64 << 20) if lab.fast else (256 << 20)
    contestant = functools.partial(broker_contestant, total_bytes=total_bytes)
    contestants = [
        contestant(name, data_dir, TOPIC, transfer="read_then_send", chunk_bytes=CHUNKS[name])
        for name in names
    ]
    return run_experiment(
        "chunk sizes of the loop",
        [
            *contestants,
            contestant(
                SAME_CHUNK, data_dir, TOPIC, transfer=DIRECT, chunk_bytes=ARTICLES_CHUNK_BYTES
            ),
            contestant(DIRECT, data_dir, TOPIC, transfer=DIRECT),
        ],
        repeats=3 if lab.fast else 7,
        warm_ups=0,
        seed=lab.seed,
    )


def chunk_picture(outcome: Outcome, prices: Calibration) -> Picture:
    """The loop's cost by its chunk size, and what calls and copies explain of it."""
    costs = [
        ChunkCost(
            CHUNKS[name],
            spread(per_gib(outcome, name, "broker_cpu_s")),
            calls_s_per_gib=2 * GIB / CHUNKS[name] * prices.system_call_ns.median / 1e9,
            copies_s_per_gib=_two_copies_s_per_gib(prices),
        )
        for name in outcome.contestants
        if name in CHUNKS
    ]
    beside = Benchmark(DIRECT, spread(per_gib(outcome, DIRECT, "broker_cpu_s")))
    return cost_by_chunk(costs, origin=Origin("TIMED", outcome.host.text()), beside=beside)


def _two_copies_s_per_gib(prices: Calibration) -> float:
    """One from the page cache, which is main memory, and one from the buffer just filled."""
    kibs = GIB / 1024
    return kibs * (prices.far_ns_per_kib.median + prices.near_ns_per_kib.median) / 1e9


def share_of_calls(outcome: Outcome) -> Spread:
    """Of what the 4 KiB loop costs more than sendfile: the share that larger chunks save, with the
    same copies. Round by round.
    """
    return _share_saved(outcome, LARGE)


def share_of_copies(outcome: Outcome) -> Spread:
    """The share that is saved by not copying, with the same chunks. At most that much is copying:
    sendfile also makes one call per chunk less.
    """
    return _share_saved(outcome, SAME_CHUNK)


def _share_saved(outcome: Outcome, name: str) -> Spread:
    loop, other, direct = (per_gib(outcome, n, "broker_cpu_s") for n in (SMALL, name, DIRECT))
    rounds = zip(loop, other, direct, strict=True)
    return spread((a - b) / (a - c) if a > c else 0.0 for a, b, c in rounds)


def worth_answer(share: Spread) -> str:
    """What was measured, as one of WORTH_CHOICES."""
    return WORTH_CHOICES[sum(share.median >= limit for limit in (1 / 3, 2 / 3))]


def chunk_words(outcome: Outcome) -> str:
    """The conclusion under that picture."""
    share, copies = share_of_calls(outcome), share_of_copies(outcome)
    small, large, direct = (
        spread(per_gib(outcome, name, "broker_cpu_s")).median for name in (SMALL, LARGE, DIRECT)
    )
    return (
        f"The loop takes {small:.2f} s of broker CPU per GiB with chunks of 4 KiB, {large:.2f} s "
        f"with 1 MiB and the same copies; sendfile takes {direct:.2f} s. So {share.median:.0%} "
        f"({share.low:.0%} to {share.high:.0%}, n = {share.n}) of what the small loop loses comes "
        f"back with larger chunks. Not copying, with chunks of 4 KiB, brings back at most "
        f"{copies.median:.0%} ({copies.low:.0%} to {copies.high:.0%})."
    )


def one_chunk_picture(
    data_dir: Path, lab: Lab, prices: Calibration, known: Outcome, chunk: str
) -> Picture:
    """The loop with one chunk size: from what was measured, else measured now."""
    outcome = known if chunk in known.contestants else _measured_now(data_dir, lab, chunk)
    both = {name: outcome.contestants[name] for name in (chunk, DIRECT)}
    return chunk_picture(dataclasses.replace(outcome, contestants=both), prices)


def one_chunk_words(data_dir: Path, lab: Lab, known: Outcome, chunk: str) -> str:
    """What that picture shows."""
    outcome = known if chunk in known.contestants else _measured_now(data_dir, lab, chunk)
    loop, direct = (spread(per_gib(outcome, n, "broker_cpu_s")) for n in (chunk, DIRECT))
    return (
        f"Chunks of {chunk}: {2 * GIB // CHUNKS[chunk]:,} calls per GiB, {loop.text('s')} of "
        f"broker CPU; sendfile {direct.text('s')}."
    )


@functools.cache
def _measured_now(data_dir: Path, lab: Lab, chunk: str) -> Outcome:
    return sweep(data_dir, lab, [chunk])


# -- conclude --------------------------------------------------------------------------------------


def switches(outcome: Outcome) -> tuple[Spread, Spread]:
    """Scheduler switches of the broker per GiB: with the 4 KiB loop, and with sendfile."""
    loop, direct = (per_gib(outcome, name, "broker_switches") for name in (SMALL, DIRECT))
    return spread(loop), spread(direct)


def switch_answer(outcome: Outcome) -> str:
    """What was counted, as one of SWITCH_CHOICES."""
    loop, direct = switches(outcome)
    if loop.low > direct.high:
        return SWITCH_CHOICES[0]
    return SWITCH_CHOICES[1] if direct.low > loop.high else SWITCH_CHOICES[2]


def findings(reads: DeviceReads | str, outcome: Outcome) -> list[Finding]:
    """Z1 in its parts."""
    return [_moves_finding(reads), _cost_finding(outcome), _switches_finding(outcome)]


def _moves_finding(reads: DeviceReads | str) -> Finding:
    part = "every byte is moved four times"
    if isinstance(reads, str):
        return finding("Z1", Verdict.NOT_TESTABLE, Evidence.COUNTED, ledger_words(reads), part=part)
    skipped = reads.warm_bytes < reads.log_bytes / 100 and reads.cold_bytes > reads.log_bytes / 2
    verdict = Verdict.CONTRADICTED if skipped else Verdict.INCONCLUSIVE
    return finding(
        "Z1",
        verdict,
        Evidence.COUNTED,
        ledger_words(reads),
        Quantity("bytes of the log", reads.log_bytes, "bytes"),
        Quantity("read from the device, file in memory", reads.warm_bytes, "bytes"),
        Quantity("read from the device, file evicted", reads.cold_bytes, "bytes"),
        part=part,
    )


def _cost_finding(outcome: Outcome) -> Finding:
    copies = share_of_copies(outcome)
    verdict = Verdict.INCONCLUSIVE
    if copies.high < 0.5:
        verdict = Verdict.CONTRADICTED
    elif copies.low > 0.5:
        verdict = Verdict.SUPPORTED
    return finding(
        "Z1",
        verdict,
        Evidence.TIMED,
        f"{chunk_words(outcome)} (Each chunk also costs this broker some Python. A broker in C "
        "loses less to small chunks, and the same to copies.)",
        *[
            Quantity(f"broker CPU, {n}", spread(per_gib(outcome, n, "broker_cpu_s")), "s/GiB")
            for n in outcome.contestants
        ],
        Quantity("share of the loss that larger chunks bring back", share_of_calls(outcome)),
        Quantity("share of the loss that not copying brings back", copies),
        part="what the loop loses, it loses to copies",
    )


def _switches_finding(outcome: Outcome) -> Finding:
    loop, direct = switches(outcome)
    verdict = {
        SWITCH_CHOICES[0]: Verdict.SUPPORTED,
        SWITCH_CHOICES[1]: Verdict.CONTRADICTED,
        SWITCH_CHOICES[2]: Verdict.INCONCLUSIVE,
    }[switch_answer(outcome)]
    words = (
        f"The scheduler switched the broker {loop.text('times')} per GiB with the loop and "
        f"{direct.text('times')} with sendfile. What a loop has many of are system calls "
        f"({2 * GIB // ARTICLES_CHUNK_BYTES:,} per GiB): each enters the kernel and returns, but "
        "only a switch hands the processor to somebody else."
    )
    return finding(
        "Z1",
        verdict,
        Evidence.COUNTED,
        words,
        Quantity("switches, loop of 4 KiB", loop, "per GiB"),
        Quantity("switches, sendfile", direct, "per GiB"),
        part="it switches context again and again",
    )


def invariants(sent: Traffic, received: Traffic, outcome: Outcome) -> dict[str, bool]:
    """What has to hold whatever the machine."""
    came = [outcome.values(name, "dropped_bytes") for name in outcome.contestants]
    return {
        "what came back is what was sent, byte for byte": sent == received,
        "every contestant sent the same number of bytes in every round": len(
            {count for counts in came for count in counts}
        )
        == 1,
    }
