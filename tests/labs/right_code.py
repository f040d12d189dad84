"""Right code for the exercises that ask for code: for each, several functions that go other ways,
as different learners would.
"""

from __future__ import annotations

import json
import operator
import os
import socket
import statistics
import struct
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

from crc32c import crc32c

from zerocopy_lab.classroom.evidence import Evidence, Quantity, Verdict, finding
from zerocopy_lab.classroom.evidence_file import SCHEMA, VERSION, is_as_written
from zerocopy_lab.classroom.subject import KERNEL_HERE, cited, recorded_on
from zerocopy_lab.conformance.accumulator import WaitingRecord
from zerocopy_lab.conformance.retention import SegmentFacts
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.verdict.judgement import LabFinding, judge

Costs = Mapping[int, tuple[list[float], list[float]]]
Touches = Sequence[tuple[str, int]]
Hops = list[tuple[str, str, str]]


# -- 00.3: a judge ---------------------------------------------------------------------------------


def judge_by_sorting(pairs: Sequence[tuple[float, float]]) -> str:
    ratios = sorted(Fraction(first) / Fraction(second) for first, second in pairs)
    if ratios[-1] < 1 and ratios[3] * Fraction(21, 20) <= 1:
        return "cheaper"
    return "dearer" if ratios[0] > 1 and ratios[3] >= Fraction(21, 20) else "inconclusive"


def judge_by_counting(pairs: Sequence[tuple[float, float]]) -> str:
    """Off by 5 %: of seven, four are. And 5 % below is 0.95 to this one."""
    if all(a < b for a, b in pairs) and sum(a <= 0.95 * b for a, b in pairs) >= 4:
        return "cheaper"
    if all(a > b for a, b in pairs) and sum(a >= 1.05 * b for a, b in pairs) >= 4:
        return "dearer"
    return "inconclusive"


# -- 01.1 and 01.4: placements ---------------------------------------------------------------------


def first_of_the_fewest(counts: list[int]) -> int:
    return counts.index(min(counts))


def last_of_the_fewest(counts: list[int]) -> int:
    return sorted((count, -place) for place, count in enumerate(counts))[0][1] * -1


def dealt_and_turned(partitions: int, replicas: int, brokers: int) -> list[list[int]]:
    """Windows around the circle, turned whenever they would begin at the same broker again."""
    again = next(n for n in range(1, brokers + 1) if n * replicas % brokers == 0)
    placed = []
    for partition in range(partitions):
        window = [(partition * replicas + n) % brokers for n in range(replicas)]
        turn = partition // again % replicas
        placed.append(window[turn:] + window[:turn])
    return placed


def dealt_backwards(partitions: int, replicas: int, brokers: int) -> tuple[tuple[int, ...], ...]:
    """The same for brokers numbered from the other end, the last partition first, in tuples."""
    dealt = dealt_and_turned(partitions, replicas, brokers)
    return tuple(tuple(brokers - 1 - each for each in held) for held in reversed(dealt))


# -- 02.1: look-ups --------------------------------------------------------------------------------


def lookup_by_halves(offsets: Sequence[int], positions: Sequence[int], wanted: int) -> int:
    low, high = 0, len(offsets)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if offsets[middle] <= wanted else (low, middle)
    return positions[low - 1] if low > 0 else 0


def lookup_by_the_next(offsets: Sequence[int], positions: Sequence[int], wanted: int) -> int:
    entry = bisect_left(offsets, wanted + 1)
    return 0 if entry == 0 else positions[entry - 1]


def lookup_by_doubling(offsets: Sequence[int], positions: Sequence[int], wanted: int) -> int:
    bound = 1
    while bound <= len(offsets) and offsets[bound - 1] <= wanted:
        bound *= 2
    entry = bisect_right(offsets, wanted, bound // 2, min(bound, len(offsets)))
    return positions[entry - 1] if entry else 0


# -- 03.1: what retention deletes ------------------------------------------------------------------


def retention_in_one_walk(
    segments: Sequence[SegmentFacts], limit_ms: int, limit_bytes: int, now_ms: int
) -> int:
    """As Kafka's own loops: what is over the limit is used up segment by segment."""
    excess = sum(each.size_bytes for each in segments) - limit_bytes
    for number, each in enumerate(segments):
        is_empty_and_active = each.size_bytes == 0 and number == len(segments) - 1
        old = limit_ms >= 0 and now_ms - each.youngest_ms > limit_ms
        much = limit_bytes >= 0 and excess >= each.size_bytes > 0
        if is_empty_and_active or not (old or much):
            return number
        excess -= each.size_bytes
    return len(segments)


def retention_by_recursion(
    segments: Sequence[SegmentFacts], limit_ms: int, limit_bytes: int, now_ms: int
) -> int:
    """Does the oldest go? Then so many more go of the rest."""
    if not segments or (len(segments) == 1 and segments[0].size_bytes == 0):
        return 0
    rest = segments[1:]
    kept_bytes = sum(each.size_bytes for each in rest)
    old = limit_ms != -1 and segments[0].youngest_ms < now_ms - limit_ms
    much = limit_bytes != -1 and kept_bytes >= limit_bytes and segments[0].size_bytes > 0
    return 1 + retention_by_recursion(rest, limit_ms, limit_bytes, now_ms) if old or much else 0


# -- 04.1: loops -----------------------------------------------------------------------------------


def read_and_send(sock: socket.socket, piece: FileSlice, sent_bytes: int, chunk_bytes: int) -> int:
    count = min(chunk_bytes, piece.length - sent_bytes)
    chunk = os.pread(piece.file.fd, count, piece.position + sent_bytes)
    return sock.send(chunk) if chunk else 0


def read_into_a_buffer(
    sock: socket.socket, piece: FileSlice, sent_bytes: int, chunk_bytes: int
) -> int:
    buffer = bytearray(min(chunk_bytes, piece.length - sent_bytes))
    came = os.preadv(piece.file.fd, [buffer], piece.position + sent_bytes)
    return sock.sendmsg([memoryview(buffer)[:came]]) if came else 0


# -- 05.1: transfers -------------------------------------------------------------------------------


def all_that_is_left(sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
    left_bytes = piece.length - sent_bytes
    position = piece.position + sent_bytes
    return os.sendfile(sock.fileno(), piece.file.fd, position, left_bytes) if left_bytes else 0


def a_piece_at_a_time(sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
    count = min(48 << 10, piece.length - sent_bytes)
    if count == 0:
        return 0
    return os.sendfile(sock.fileno(), piece.file.fd, piece.position + sent_bytes, count)


def through_a_pipe(sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
    """What the socket does not take stays in the pipe and goes with it: the file has it still."""
    left_bytes = piece.length - sent_bytes
    if left_bytes == 0:
        return 0
    read_end, write_end = os.pipe()
    try:
        position = piece.position + sent_bytes
        inside = os.splice(piece.file.fd, write_end, left_bytes, offset_src=position)
        return os.splice(read_end, sock.fileno(), inside) if inside else 0
    finally:
        os.close(read_end)
        os.close(write_end)


# -- 06.4: page caches -----------------------------------------------------------------------------


def cache_in_a_list(room: int, touched: Touches) -> int:
    in_memory: list[int] = []
    count = 0
    for what, page in touched:
        if page in in_memory:
            in_memory.remove(page)
        else:
            count += what == "read"
        in_memory = [*in_memory, page][-room:]
    return count


def cache_in_a_dict(room: int, touched: Touches) -> int:
    in_memory: OrderedDict[int, None] = OrderedDict()
    count = 0
    for what, page in touched:
        if page not in in_memory and what == "read":
            count += 1
        in_memory[page] = None
        in_memory.move_to_end(page)
        if len(in_memory) > room:
            in_memory.popitem(last=False)
    return count


def cache_by_the_clock(room: int, touched: Touches) -> int:
    last_touch: dict[int, int] = {}
    count = 0
    for now, (what, page) in enumerate(touched):
        if page not in last_touch:
            count += int(what == "read")
            if len(last_touch) == room:
                del last_touch[min(last_touch, key=last_touch.__getitem__)]
        last_touch[page] = now
    return count


# -- 07.1: accumulators ----------------------------------------------------------------------------


def accumulator_by_sums(
    waiting: Sequence[WaitingRecord],
    in_flight: int,
    linger_ms: float,
    batch_bytes: int,
    most_in_flight: int,
    now_ms: float,
) -> int:
    if in_flight >= most_in_flight or not waiting:
        return 0
    sums = list(accumulate(each.size_bytes for each in waiting))
    fits = max(1, sum(each <= batch_bytes for each in sums))
    if sums[-1] >= batch_bytes or now_ms >= waiting[0].arrived_ms + linger_ms:
        return fits
    return 0


# -- 08.1 and 08.2: a stamp, a detective -----------------------------------------------------------


def stamp_by_struct(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    struct.pack_into(">q", batch, 0, base_offset)
    struct.pack_into(">i", batch, 12, leader_epoch)


def stamp_by_slices(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    batch[0:8] = base_offset.to_bytes(8, "big")
    batch[12:16] = leader_epoch.to_bytes(4, "big", signed=True)


def detective_by_the_header(sent: bytes, found: bytes) -> str:
    if (sent[22] ^ found[22]) & 7:
        return "repacked"
    if found[22] & 8:
        return "clock"
    return "stamped" if sent[16:] == found[16:] else "damaged"


def detective_by_the_checksum(sent: bytes, found: bytes) -> str:
    if crc32c(found[21:]) != int.from_bytes(found[17:21], "big"):
        return "damaged"
    if sent[16:] == found[16:]:
        return "stamped"
    return "clock" if sent[61:] == found[61:] else "repacked"


# -- 09.1: ledgers ---------------------------------------------------------------------------------


def ledger(path: Mapping[str, Any]) -> Hops:
    if path["direction"] == "produce":
        stations = ["card", "socket buffers", "broker's buffer", "page cache", "disk"]
        movers = ["DMA", "CPU", "CPU", "DMA"]
        return [(*pair, mover) for pair, mover in zip(pairwise(stations), movers, strict=True)]
    hops = [] if path["cached"] else [("disk", "page cache", "DMA")]
    if path["call"] == "read_then_send":
        hops += [("page cache", "broker's buffer", "CPU")]
        hops += [("broker's buffer", "socket buffers", "CPU")]
    else:
        spared = path["call"] == "sendfile" and path["card_gathers"]
        hops += [("page cache", "socket buffers", "nobody" if spared else "CPU")]
    return [*hops, ("socket buffers", "card", "DMA")]


def ledger_of_moves_alone(path: Mapping[str, Any]) -> Hops:
    """A reference is no move, so the card fetches from the page cache."""
    hops = ledger(path)
    return [*hops[:-2], ("page cache", "card", "DMA")] if hops[-2][2] == "nobody" else hops


def ledger_with_a_mapping(path: Mapping[str, Any]) -> list[list[str]]:
    """To map a page makes it the broker's, and nobody moves it."""
    hops = [list(hop) for hop in ledger(path)]
    if path["call"] == "mmap_then_send":
        mapped = ["page cache", "broker's buffer", "nobody"]
        return [*hops[:-2], mapped, ["broker's buffer", "socket buffers", "CPU"], hops[-1]]
    return hops


# -- 10.1: where sendfile wins ---------------------------------------------------------------------


def crossover_from_above(costs: Costs) -> int:
    best = -1
    for size in sorted(costs, reverse=True):
        copying, direct = costs[size]
        if max(b / a for a, b in zip(copying, direct, strict=True)) >= 1:
            break
        best = size
    return best


def crossover_by_trying_all(costs: Costs) -> int:
    won = {size: all(b < a for a, b in zip(*each, strict=True)) for size, each in costs.items()}
    starts = [size for size in costs if all(won[other] for other in costs if other >= size)]
    return min(starts, default=-1)


# -- 11.1 to 11.3: what is left --------------------------------------------------------------------


def recovery_by_batches(log: memoryview, next_offset: int) -> int:
    """Each batch is cut out, and then looked at."""
    position = 0
    while True:
        batch = log[position:]
        batch = batch[: 12 + int.from_bytes(batch[8:12], "big", signed=True)]
        if not _is_good(batch, log[position:], next_offset):
            return position
        next_offset = _end_offset(batch)
        position += len(batch)


def _is_good(batch: memoryview, rest: memoryview, next_offset: int) -> bool:
    if len(rest) < 61 or len(batch) < 61:
        return False
    if len(batch) != 12 + int.from_bytes(rest[8:12], "big", signed=True):
        return False
    crc_holds = int.from_bytes(batch[17:21], "big") == crc32c(batch[21:])
    return batch[16] == 2 and crc_holds and _base_offset(batch) >= next_offset


def _base_offset(batch: memoryview) -> int:
    return int.from_bytes(batch[:8], "big", signed=True)


def _end_offset(batch: memoryview) -> int:
    return _base_offset(batch) + int.from_bytes(batch[23:27], "big", signed=True) + 1


def recovery_by_recursion(log: memoryview, next_offset: int) -> int:
    try:
        base, length, _, magic, crc, _, delta = struct.unpack_from(">qiibIhi", log)
    except struct.error:
        return 0
    end = 12 + length
    if base < next_offset or magic != 2 or not 61 <= end <= len(log) or crc != crc32c(log[21:end]):
        return 0
    return end + recovery_by_recursion(log[end:], base + delta + 1)


def follower_batch_by_batch(fetch: Callable[[int], bytes], log: Any, next_offset: int) -> int:
    came = memoryview(fetch(next_offset))
    while size := recovery_by_recursion(came, next_offset):
        one = 12 + int.from_bytes(came[8:12], "big")
        log.write(bytes(came[:one]))
        next_offset, came = _end_offset(came[:one]), came[one:]
        assert size >= one
    return next_offset


def follower_in_one_write(fetch: Callable[[int], bytes], log: Any, next_offset: int) -> int:
    came = fetch(next_offset)
    good = came[: recovery_by_batches(memoryview(came), next_offset)]
    log.write(good)
    position, last = 0, None
    while position < len(good):
        last = memoryview(good)[position:]
        position += 12 + int.from_bytes(last[8:12], "big")
    return next_offset if last is None else _end_offset(last)


def election_by_ends(
    events: Sequence[tuple[str, int]], acks: str, min_in_sync: int, elected: int
) -> int:
    """Where each log ends, and how far all that are in sync have come."""
    leader, ends, in_sync, acknowledged = 0, {1: 0, 2: 0}, {1, 2}, 0
    for kind, number in events:
        if kind == "write" and (acks == "1" or 1 + len(in_sync) >= min_in_sync):
            leader += number
        elif kind == "fetch":
            ends[number] = leader
        elif kind == "leave":
            in_sync.remove(number)
        elif kind == "join":
            in_sync.add(number)
        slowest = min([leader, *(ends[each] for each in in_sync)])
        if acks == "1":
            acknowledged = leader
        elif 1 + len(in_sync) >= min_in_sync:
            acknowledged = max(acknowledged, slowest)
    return max(0, acknowledged - ends[elected])


# -- 12.1: what makes the millions -----------------------------------------------------------------

MILLION = 1_000_000


def makers_by_their_worst_rounds(rates: Mapping[str, tuple[list[int], list[int]]]) -> list[str]:
    names = [
        n for n, (a, b) in rates.items() if sorted(a)[0] >= MILLION and sorted(b)[-1] < MILLION
    ]
    names.sort(key=lambda n: statistics.median(map(operator.truediv, *rates[n])), reverse=True)
    return names


def makers_one_after_the_other(rates: Mapping[str, tuple[list[int], list[int]]]) -> list[str]:
    found: list[tuple[float, str]] = []
    for name, (with_it, without) in rates.items():
        rounds = list(zip(with_it, without, strict=True))
        if all(one >= MILLION for one, _ in rounds) and all(other < MILLION for _, other in rounds):
            found.append((sorted(one / other for one, other in rounds)[len(rounds) // 2], name))
    return [name for _, name in sorted(found, reverse=True)]


# -- 14.1: the rule; 14.2: a reader ----------------------------------------------------------------

Found = list[tuple[str, str, str]]


def judge_of_the_article(found: Found) -> str:
    """By the code that judges the article's claims."""
    about = {"seen here": KERNEL_HERE, "recorded": recorded_on("a run"), "cited": cited("a source")}
    told = [
        LabFinding(
            "05",
            finding(
                "Z2",
                Verdict(verdict),
                Evidence.CITED if basis == "cited" else Evidence.COUNTED,
                "So it was.",
                Quantity("counted", 1),
                source="a source",
                part=part,
                about=about[basis],
            ),
        )
        for part, basis, verdict in found
    ]
    return str(next(each.overall for each in judge(told) if each.claim.id == "Z2"))


def judge_by_the_first_that_speaks(found: Found) -> str:
    order = ["seen here", "recorded", "cited"]
    tested = sorted(
        (part, order.index(basis), verdict)
        for part, basis, verdict in found
        if not verdict.startswith("not")
    )
    first = {part: verdict for part, _, verdict in reversed(tested)}
    yes, no = (word in first.values() for word in ("supported", "contradicted"))
    return ("half right" if no else "right") if yes else ("wrong" if no else "open")


def reader_of_the_package(text: str) -> str:
    told = None
    with suppress(ValueError):
        told = json.loads(text)
    if type(told) is not dict or told.get("schema") != SCHEMA:
        return "no evidence"
    if told["version"] != VERSION:
        return "outdated"
    return "as written" if is_as_written(told) else "changed"


# -- 13 --------------------------------------------------------------------------------------------


def kept_by_its_bits(settings: Mapping[str, str], codec: str) -> bool:
    numbers = ["none", "gzip", "snappy", "lz4", "zstd"]
    wanted = settings["compression.type"]
    number = (
        0 if wanted == "uncompressed" else -1 if wanted == "producer" else numbers.index(wanted)
    )
    return settings["message.timestamp.type"] != "LogAppendTime" and (
        number in (-1, numbers.index(codec))
    )


def kept_by_exclusion(settings: Mapping[str, str], codec: str) -> bool:
    if settings["message.timestamp.type"] == "LogAppendTime":
        return False
    others = {"uncompressed", "gzip", "snappy", "lz4", "zstd"}
    others.discard("uncompressed" if codec == "none" else codec)
    return settings["compression.type"] not in others


def waits_by_the_millisecond(due_ms: Sequence[int], takes_ms: Sequence[int]) -> list[int]:
    """A clock that ticks, and a queue."""
    queue: list[int] = []
    arriving = list(range(len(due_ms)))
    waits, left, serving, now = [0] * len(due_ms), 0, -1, min(due_ms)
    while arriving or queue or left:
        while arriving and due_ms[arriving[0]] <= now:
            queue.append(arriving.pop(0))
        if not left and queue:
            serving = queue.pop(0)
            left = takes_ms[serving]
        now += 1
        if left:
            left -= 1
            if not left:
                waits[serving] = now - due_ms[serving]
    return waits


def waits_by_the_busiest_stretch(due_ms: Sequence[int], takes_ms: Sequence[int]) -> list[int]:
    """The latest end that any earlier one, and all work since, can lead to."""
    return [
        max(due_ms[first] + sum(takes_ms[first : last + 1]) for first in range(last + 1))
        - due_ms[last]
        for last in range(len(due_ms))
    ]


CODE: dict[str, list[Callable[..., Any]]] = {
    "00.3": [judge_by_sorting, judge_by_counting],
    "01.1": [first_of_the_fewest, last_of_the_fewest],
    "01.4": [dealt_and_turned, dealt_backwards],
    "02.1": [lookup_by_halves, lookup_by_the_next, lookup_by_doubling],
    "03.1": [retention_in_one_walk, retention_by_recursion],
    "04.1": [read_and_send, read_into_a_buffer],
    "05.1": [all_that_is_left, a_piece_at_a_time, through_a_pipe],
    "06.4": [cache_in_a_list, cache_in_a_dict, cache_by_the_clock],
    "07.1": [accumulator_by_sums],
    "08.1": [stamp_by_struct, stamp_by_slices],
    "08.2": [detective_by_the_header, detective_by_the_checksum],
    "09.1": [ledger, ledger_of_moves_alone, ledger_with_a_mapping],
    "10.1": [crossover_from_above, crossover_by_trying_all],
    "11.1": [recovery_by_batches, recovery_by_recursion],
    "11.2": [follower_batch_by_batch, follower_in_one_write],
    "11.3": [election_by_ends],
    "12.1": [makers_by_their_worst_rounds, makers_one_after_the_other],
    "13.1": [kept_by_its_bits, kept_by_exclusion],
    "13.2": [waits_by_the_millisecond, waits_by_the_busiest_stretch],
    "14.1": [judge_of_the_article, judge_by_the_first_that_speaks],
    "14.2": [reader_of_the_package],
}
