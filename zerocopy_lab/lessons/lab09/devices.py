"""Lab 09, the devices: a network card whose abilities are switched, and a disk that moves bytes.

The card is one end of a veth pair (`measuring.card_test`), the disk the one below the lab's
directory (`measuring.reading_from_disk`). What this machine lacks is shown as recorded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from zerocopy_lab.classroom.kafka_runs import recorded_in_words
from zerocopy_lab.classroom.lab import KAFKA, OURS, Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.subject import Subject
from zerocopy_lab.classroom.thresholds import MOST
from zerocopy_lab.instruments.network import network_cards
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.measuring.alias_test import ARRIVED
from zerocopy_lab.measuring.card_test import (
    ABILITIES,
    CardVerdict,
    alias_test_by_abilities,
    in_own_network,
)
from zerocopy_lab.measuring.card_test_of_broker import alias_test_of_answers
from zerocopy_lab.measuring.entrant import ContestantFailed
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.measuring.reading_from_disk import COLD, PAST, WARM, WAYS, compare_ways
from zerocopy_lab.measuring.recorded import recorded, recorded_outcome, recorded_words

AS_IT_COMES, NO_GATHER, NO_CHECKSUM = CARDS = tuple(ABILITIES)
CARDS_AS, DISK_AS = "09 cards", "09 reading from the disk"
"""What the reference run calls them."""

ANSWERS: Final = "a broker's answer, card by card"
_AT_WORK_THROUGHOUT: Final = 0.9
Cards = list[CardVerdict] | Unmeasured


# -- the network card ------------------------------------------------------------------------------


def run_apart(program: str) -> str:
    """What a program says in a network namespace of its own; or why it cannot have one."""
    try:
        return in_own_network(["-c", program])
    except Unavailable as reason:
        return f"Not here: {reason}"


@or_unmeasured()
def try_cards() -> Cards:
    """The alias test over a veth pair, for each of CARDS, with sendfile and with the control."""
    return alias_test_by_abilities(("sendfile", "read_then_send"))


def show_cards(cards: Cards) -> str:
    """What arrived, card by card; returns a sentence to be printed, "" where all was seen."""
    note = ""
    if isinstance(cards, Unmeasured):
        note = f"Not tried here: {cards} {recorded_words('see the table.')}"
        cards = [CardVerdict(*each) for each in recorded(CARDS_AS)]
    show_table(
        ["the sender's card", "sent with", "what arrived", "so"],
        [[each.abilities, each.strategy, *ARRIVED[each.verdict]] for each in cards],
    )
    return note


@or_unmeasured()
def try_answers(which: str) -> Cards:
    """The same of what a broker answers to a Fetch: ours, or a real Kafka's."""
    if which not in (OURS, KAFKA):
        return Unmeasured(f"the card of {which} is not ours to switch")
    return alias_test_of_answers("kafka" if which == KAFKA else "zerocopy_lab")


def show_answers(answers: Cards, subject: Subject) -> str:
    """What arrived of them; returns a sentence to be printed."""
    if isinstance(answers, Unmeasured):
        told = f"{subject.words}, its answers: not tried here: {str(answers).rstrip('.')}."
        return f"{told} {recorded_in_words('09', 'Z2', ANSWERS)}".rstrip()
    show_table(
        ["the broker's card", f"a fetch from {subject.words}", "so"],
        [[each.abilities, *ARRIVED[each.verdict]] for each in answers],
    )
    return ""


def copied_with(cards: Cards, strategy: str, card: str) -> bool | None:
    """Did this strategy copy, with a card of these abilities? None: not seen, or not clear."""
    if isinstance(cards, Unmeasured):
        return None
    seen = {(each.strategy, each.abilities): each.verdict for each in cards}
    return {"copied": True, "alias": False}.get(seen.get((strategy, card), ""))


def card_answer(cards: Cards) -> int | None:
    """The number of the notebook's choice for a card that cannot gather."""
    copied = copied_with(cards, "sendfile", NO_GATHER)
    return None if copied is None else 1 + copied


def unclear(cards: Cards) -> str:
    """Why there is no answer, where there is none."""
    if isinstance(cards, Unmeasured):
        return f"No pair of cards here: {cards}"
    return "" if card_answer(cards) else "What arrived was a mixture."


def show_own_cards() -> None:
    """The interfaces of this machine: what kind of DMA, which of the abilities."""
    try:
        cards = network_cards()
    except Unavailable as reason:
        print(f"This machine's cards could not be asked: {reason}")
        return
    kinds = {"none": "none", "virtual": "into memory that a hypervisor gave", "hardware": "yes"}
    sums = ("tx-checksum-ipv4", "tx-checksum-ip-generic")
    show_table(
        ["interface", "driver", "DMA", "gathers", "checksums"],
        [
            [
                card.name,
                card.driver or "none: not a device",
                kinds[card.dma],
                _yes(card.features.get("tx-scatter-gather", False)),
                _yes(any(card.features.get(name, False) for name in sums)),
            ]
            for card in cards
        ],
    )


def _yes(ability: bool) -> str:
    return "yes" if ability else "no"


# -- the disk --------------------------------------------------------------------------------------


def a_file(directory: Path, lab: Lab) -> Path:
    """A file on the disk that holds `directory`, written through to it."""
    path = directory / "from-the-disk"
    with path.open("wb") as file:
        for _ in range(64 if lab.fast else 256):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    return path


def read_in_all_ways(path: Path, lab: Lab) -> Outcome | Unmeasured:
    """Past the cache, cold and warm, in turns; or why not here."""
    try:
        return compare_ways(path, repeats=3 if lab.fast else 7, seed=lab.seed)
    except ContestantFailed as failed:
        return Unmeasured(str(failed).strip().splitlines()[-1])


def show_disk(disk: Outcome | Unmeasured) -> str:
    """A row for each way; returns the conclusion in words."""
    note = ""
    if isinstance(disk, Unmeasured):
        note = f"Not measured here: {disk} "
        disk = recorded_outcome(recorded(DISK_AS))
    show_table(
        ["read", "wall s", "CPU s", "CPU / wall", "interrupts of the disk"],
        [
            [
                way,
                disk.spread_of(way, "wall_s").text(),
                disk.spread_of(way, "cpu_s").text(),
                f"{share_of(disk, way).median:.0%}",
                interrupts_of(disk, way),
            ]
            for way in WAYS
        ],
    )
    return note + (recorded_words(disk_words(disk)) if note else disk_words(disk))


def disk_words(disk: Outcome) -> str:
    """Who was at work while the bytes came from the disk?"""
    past, warm = share_of(disk, PAST), share_of(disk, WARM)
    return (
        f"Past the cache the processor was at work in {past.median:.0%} of the time "
        f"({past.low:.0%}-{past.high:.0%}, n={past.n}); with the file in memory in "
        f"{warm.median:.0%}. Interrupts: {interrupts_of(disk, PAST)} past the cache, "
        f"{interrupts_of(disk, COLD)} cold, {interrupts_of(disk, WARM)} warm."
    )


def share_of(disk: Outcome, way: str) -> Spread:
    """CPU time as a share of the time on the clock, run by run."""
    pairs = zip(disk.values(way, "cpu_s"), disk.values(way, "wall_s"), strict=True)
    return spread(min(cpu_s / wall_s, 1.0) for cpu_s, wall_s in pairs)


def interrupts_of(disk: Outcome, way: str) -> str:
    """How many in each run; in words where they were not counted."""
    try:
        return disk.spread_of(way, "interrupts").text()
    except KeyError:
        return "not counted here"


def asleep_while_it_came(disk: Outcome) -> bool | None:
    """Was the processor free while the disk moved the bytes? None: not clear."""
    past, warm = share_of(disk, PAST), share_of(disk, WARM)
    if past.high < MOST and past.high < warm.low:
        return True
    return False if past.low > _AT_WORK_THROUGHOUT else None
