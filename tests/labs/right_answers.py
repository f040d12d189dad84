"""Right answers by other ways than the exercises' own: by walking, counting, trying all, or doing
the thing and looking.

`VALUES` has, for each exercise that asks for a value, one function or more from a lab (and so a
seed) to an answer that is right. None of them uses the formula of the grade.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations, count

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.lessons.lab00.start_here import file_to_send, seven_rounds
from zerocopy_lab.lessons.lab01.where_a_partition_lives import cluster_question, key_question
from zerocopy_lab.lessons.lab02.segments_and_indexes import entry_question, sparse_question
from zerocopy_lab.lessons.lab03.retention import disk_question, oldest_question
from zerocopy_lab.lessons.lab04.traditional_path import four_ways, two_prices
from zerocopy_lab.lessons.lab05.zero_copy import bytes_to_send
from zerocopy_lab.lessons.lab06.page_cache import lag_limit
from zerocopy_lab.lessons.lab07.batching import costs_question, stream_question
from zerocopy_lab.lessons.lab08.no_transformation import cores_question
from zerocopy_lab.lessons.lab09.dma_and_the_copy_ledger import busy_hour
from zerocopy_lab.lessons.lab10.limits import prices
from zerocopy_lab.lessons.lab12.millions import chain, two_losses
from zerocopy_lab.lessons.lab13.the_real_kafka_exercises import fetch_prices
from zerocopy_lab.lessons.lab14.made_up_evidence import made_up_class

Answer = Callable[[Lab], object]


def calls_of_the_loop(lab: Lab) -> int:
    """00.1: the chunks' beginnings, counted."""
    file_bytes, chunk_bytes = file_to_send(lab)
    return len(range(0, file_bytes, chunk_bytes)) + len(range(0, file_bytes, chunk_bytes))


def judged(lab: Lab) -> str:
    """00.2: the rule as the notebook words it, in exact fractions."""
    ratios = sorted(Fraction(first) / Fraction(second) for first, second in seven_rounds(lab))
    if ratios[-1] < 1 and ratios[3] * Fraction(21, 20) <= 1:
        return "cheaper"
    return "dearer" if ratios[0] > 1 and ratios[3] >= Fraction(21, 20) else "inconclusive"


def crc32_bit_by_bit(data: bytes) -> int:
    """The polynomial division itself."""
    remainder = 0xFFFF_FFFF
    for octet in data:
        remainder ^= octet
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0xEDB8_8320 if remainder & 1 else 0)
    return remainder ^ 0xFFFF_FFFF


def partition_of_the_key(lab: Lab) -> int:
    """01.2"""
    key, partition_count = key_question(lab)
    return crc32_bit_by_bit(key) % partition_count


def filled_disk(lab: Lab) -> int:
    """01.3: the fullest that the fullest replica can get, over all places where one can be."""
    brokers, disks, disk_gib, _ = cluster_question(lab)
    return max(disk_gib for _ in range(brokers) for _ in range(disks))


def entry_unpacked(lab: Lab) -> tuple[int, int]:
    """02.2"""
    octets, name = entry_question(lab)
    relative_offset, position = struct.unpack(">ii", octets)
    return int(name.removesuffix(".index").lstrip("0")) + relative_offset, position


def entries_by_position(lab: Lab) -> int:
    """02.3: from entry to entry, by the position of the batch that gets the next one."""
    batch_bytes, batches, interval_bytes = sparse_question(lab)
    entries, last_entry = 0, 0
    while True:
        ahead = (n for n in count(1) if n * batch_bytes > interval_bytes)
        last_entry += next(ahead)
        if last_entry >= batches:
            return entries
        entries += 1


def oldest_by_the_hour(lab: Lab) -> int:
    """03.2: an hour at a time: the segment of the first message closes, and is looked at until it
    goes.
    """
    topic = oldest_question(lab)
    in_segment = (
        hour
        for hour in range(24 * 100)
        if hour <= 24 * topic.segment_days and hour * topic.mib_a_day < 24 * topic.segment_mib
    )
    youngest = max(in_segment)
    goes = next(hour for hour in count(youngest) if hour - youngest > 24 * topic.retention_days)
    return goes // 24


@cache
def fullest_partition_mib(retention_mib: int, segment_mib: int) -> int:
    """Written a MiB at a time; the oldest segment goes as soon as what is over is all of it."""
    segments, most, written = [0], 0, 0
    for _ in range(retention_mib + 4 * segment_mib):
        if segments[-1] == segment_mib:
            segments.append(0)
        segments[-1] += 1
        written += 1
        most = max(most, written)
        while written - retention_mib >= segments[0]:
            written -= segments.pop(0)
    return most


def fullest_disk(lab: Lab) -> int:
    """03.3"""
    partitions, retention_mib, segment_mib = disk_question(lab)
    return sum(fullest_partition_mib(retention_mib, segment_mib) for _ in range(partitions))


def where_both_cost_the_same(lab: Lab) -> float:
    """04.2: by halving the chunks between 1 byte and 1 MiB."""
    prices_of = two_prices(lab)
    low, high = 1.0, float(1 << 20)
    while high - low > 0.01:
        middle = (low + high) / 2
        copies_ns = 2 * middle / 1024 * prices_of.copy_ns_per_kib
        low, high = (middle, high) if copies_ns < 2 * prices_of.call_ns else (low, middle)
    return low


def shares_of_copies(lab: Lab) -> list[Fraction]:
    """04.3"""
    ways = four_ways(lab)
    lost = ways.small_loop - ways.large_sendfile
    saved = (ways.small_loop - ways.small_sendfile, ways.large_loop - ways.large_sendfile)
    return sorted(Fraction(each, lost) for each in saved)


def sendfiles_needed(lab: Lab) -> int:
    """05.2: a call after the other, each of which moves what Linux lets it (MAX_RW_COUNT)."""
    left_bytes, calls = bytes_to_send(lab), 0
    while left_bytes > 0:
        left_bytes -= min(left_bytes, 0x7FFF_F000)
        calls += 1
    return calls


def seconds_until_written_over(lab: Lab) -> int:
    """06.2: second by second."""
    cache_bytes, rate = lag_limit(lab)
    return next(second for second in count() if second * rate >= cache_bytes)


def first_batch(lab: Lab) -> int:
    """07.2: message by message, until one comes too late or does not fit."""
    stream = stream_question(lab)
    together = 1
    while (
        together * stream.gap_ms <= stream.linger_ms
        and (together + 1) * stream.message_bytes <= stream.batch_bytes
    ):
        together += 1
    return together


def where_bytes_outweigh(lab: Lab) -> int:
    """07.3: the first number of messages whose bytes cost as much as the batch."""
    batch_us, byte_ns, message_bytes = costs_question(lab)
    return next(n for n in count(1) if n * message_bytes * byte_ns >= batch_us * 1000)


def cores(lab: Lab) -> tuple[int, int]:
    """08.3: in whole microseconds and exact fractions."""
    question = cores_question(lab)
    records = Fraction(question.records_per_s)
    passing = records / question.records_per_batch * question.passing_us_per_batch
    looking = passing + records * Fraction(str(question.looking_us_per_record))
    return math.ceil(passing / 1_000_000), math.ceil(looking / 1_000_000)


def cores_for_whole_batches(lab: Lab) -> tuple[int, int]:
    """08.3, by somebody who has no half batches, and adds up in another order."""
    question = cores_question(lab)
    batches = math.ceil(question.records_per_s / question.records_per_batch)
    passing = batches * question.passing_us_per_batch * 1e-6
    return math.ceil(passing), math.ceil(
        question.records_per_s * 1e-6 * question.looking_us_per_record + passing
    )


def copied_gb(lab: Lab) -> int:
    """09.2: consumer after consumer."""
    hour = busy_hour(lab)
    ways_out = [1] * hour.cards_that_cannot + [0] * (hour.consumers - hour.cards_that_cannot)
    return hour.produced_gb + hour.produced_gb + sum(hour.produced_gb * each for each in ways_out)


def share_of_the_cipher(lab: Lab) -> float:
    """10.2: what is left of the difference without the copies."""
    direct, copying, tls = prices(lab)
    return 100 - 100 * (copying - direct) / (tls - direct)


def flushes_counted(lab: Lab) -> float:
    """12.2: what one flush costs, times as many as there are messages, on top of all the rest."""
    losses = two_losses(lab)
    flushes = sum(1 for _ in range(0, 1_000_000, losses.in_a_batch))
    one = (Fraction(losses.flushing_s) - Fraction(losses.whole_s)) / flushes
    return float(Fraction(losses.one_by_one_s) + 1_000_000 * one)


def chain_walked_through(lab: Lab) -> tuple[float, ...]:
    """12.3: ten thousand messages, one after the other, through both."""
    mine = chain(lab)
    rates = []
    for broker_us in (mine.broker_us, mine.broker_copying_us):
        sent = done = 0.0
        for _ in range(10_000):
            sent += mine.client_us
            done = max(sent, done) + broker_us
        rates.append(10_000 / done * 1e6)
    return tuple(rates)


def size_that_costs_half(lab: Lab) -> float:
    """13.3: by halving: the size at which a fetch alone is half of what a GiB costs."""
    small, large = fetch_prices(lab)
    one_fetch_s = (small - large) / ((1 << 18) - (1 << 10))
    least, most = 0.0, float(1 << 20)
    for _ in range(60):
        kib = (least + most) / 2
        asking_s = one_fetch_s * (1 << 20) / kib
        bytes_s = small - one_fetch_s * (1 << 18)
        least, most = (kib, most) if asking_s > bytes_s else (least, kib)
    return least


def reasons_by_pairs(lab: Lab) -> dict[str, str]:
    """14.3: whoever answer alike have the fact in common, whoever do not have not."""
    made_up = made_up_class(lab)
    pairs = list(combinations(made_up.machines, 2))
    facts = {fact for each in made_up.machines.values() for fact in each}
    return {
        part: fact
        for part, says in made_up.verdicts.items()
        for fact in facts
        if {"supported", "contradicted"} <= set(says.values())
        and all(
            (says[a] == says[b]) is (made_up.machines[a][fact] == made_up.machines[b][fact])
            for a, b in pairs
        )
    }


VALUES: dict[str, list[Answer]] = {
    "00.1": [calls_of_the_loop],
    "00.2": [judged, lambda lab: f" {judged(lab).upper()} "],
    "01.2": [partition_of_the_key],
    "01.3": [filled_disk, lambda lab: float(filled_disk(lab))],
    "02.2": [entry_unpacked, lambda lab: list(entry_unpacked(lab))],
    "02.3": [entries_by_position],
    "03.2": [oldest_by_the_hour],
    "03.3": [fullest_disk],
    "04.2": [where_both_cost_the_same, lambda lab: round(where_both_cost_the_same(lab))],
    "04.3": [
        lambda lab: tuple(map(float, shares_of_copies(lab))),
        lambda lab: [round(float(each), 2) for each in shares_of_copies(lab)],
    ],
    "05.2": [sendfiles_needed],
    "06.2": [seconds_until_written_over],
    "07.2": [first_batch],
    "07.3": [where_bytes_outweigh],
    "08.3": [cores, cores_for_whole_batches],
    "09.2": [copied_gb],
    "10.2": [share_of_the_cipher, lambda lab: round(share_of_the_cipher(lab))],
    "12.2": [flushes_counted],
    "12.3": [chain_walked_through],
    "13.3": [size_that_costs_half, lambda lab: round(size_that_costs_half(lab), 1)],
    "14.3": [reasons_by_pairs],
}
