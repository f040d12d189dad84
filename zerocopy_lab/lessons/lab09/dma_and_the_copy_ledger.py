"""Lab 09: who moves each byte, on produce and on fetch?

The way in is in `receiving`, card and disk in `devices`, the ledger in `journeys`; here is what all
of it says of D1, D2 and Z2.
"""

from __future__ import annotations

from collections.abc import Mapping

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject, about
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab09.devices import (
    ANSWERS,
    AS_IT_COMES,
    CARDS,
    NO_CHECKSUM,
    NO_GATHER,
    Cards,
    asleep_while_it_came,
    copied_with,
    disk_words,
    interrupts_of,
    share_of,
)
from zerocopy_lab.lessons.lab09.dma_and_the_copy_ledger_exercises import busy_hour
from zerocopy_lab.lessons.lab09.journeys import Run
from zerocopy_lab.lessons.lab09.receiving import Copies, Spliced, Taken, taken_in_words
from zerocopy_lab.measuring.alias_test import ARRIVED
from zerocopy_lab.measuring.card_test_of_broker import ANSWER
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.measuring.reading_from_disk import PAST, WARM

__all__ = ["about", "busy_hour"]


def copies_answer(copies: Copies) -> int | None:
    """The number of the notebook's choice: never, once, twice."""
    known = [copies["recv"], copies["pwrite"]]
    return None if None in known else 1 + sum(map(bool, known))


def unclear(copies: Copies) -> str:
    """Why there is no answer, where there is none."""
    return "" if copies_answer(copies) else "Whether recv copies could not be told here."


def way_in_findings(copies: Copies, spliced: Spliced | Unmeasured) -> list[Finding]:
    """D1: recv and write, and the way without an application."""
    answer = copies_answer(copies)
    both = Aspect("D1", KERNEL_HERE, "with recv and write").proved(
        None if answer is None else answer == 1,
        f"{_copied_words(copies, 'recv')} (socket to buffer) and {_copied_words(copies, 'pwrite')} "
        "(buffer to page cache). DMA ends in the socket's buffers; from there on the processor "
        "moves the bytes.",
        Quantity("recv copies", _or_unclear(copies["recv"])),
        Quantity("write copies", _or_unclear(copies["pwrite"])),
    )
    if isinstance(spliced, Unmeasured):
        return [both]
    alone = Aspect("D1", KERNEL_HERE, "without the application").proved(
        not (spliced.into_the_pipe_copied or spliced.into_the_file_copied),
        f"sendfile from a socket to a file: {spliced.sendfile_says or 'it worked'}. splice "
        f"from socket to pipe {_copies(spliced.into_the_pipe_copied)}, from pipe to file it "
        f"{_copies(spliced.into_the_file_copied)}: packets are not pages of a file.",
        Quantity("splice into the pipe copies", spliced.into_the_pipe_copied),
        Quantity("splice into the file copies", spliced.into_the_file_copied),
        source="sendfile(2): in_fd must support mmap-like operations, a socket does not",
    )
    return [both, alone]


def broker_finding(taken: Taken | Unmeasured, subject: Subject) -> Finding:
    """D1 at the broker that was asked: what was copied out of its sockets to it."""
    aspect = Aspect("D1", subject, "from the socket into the broker")
    if isinstance(taken, Unmeasured):
        return aspect.not_testable(f"Bytes copied to the broker: {taken_in_words(taken)}.")
    return aspect.counted(
        _spared(taken),
        f"While events were produced to it: {taken_in_words(taken)}.",
        Quantity("the log grew by", taken.received_bytes, "bytes"),
        Quantity("copied out of sockets to the broker", taken.copied_bytes, "bytes"),
    )


def _spared(taken: Taken) -> bool | None:
    """True: hardly a byte was copied. False: every one. Between them it is not clear."""
    if taken.times >= 1:
        return False
    return True if taken.times < 0.1 else None


def card_findings(cards: Cards) -> list[Finding]:
    """Z2 and D2, the card's part."""
    gathers, cannot, left = (Aspect(claim, KERNEL_HERE, part) for claim, part in _OF_THE_CARD)
    if isinstance(cards, Unmeasured):
        words = f"No pair of cards here: {cards}"
        return [each.not_testable(words) for each in (gathers, cannot, left)]
    as_it_comes = copied_with(cards, "sendfile", AS_IT_COMES)
    without = [copied_with(cards, "sendfile", each) for each in (NO_GATHER, NO_CHECKSUM)]
    arrived = {
        each.abilities: Quantity(f"card {each.abilities}", ARRIVED[each.verdict][0])
        for each in cards
        if each.strategy == "sendfile"
    }
    return [
        gathers.proved(
            _not(as_it_comes),
            f"With a card that gathers and checksums, {_WHO_COPIED[as_it_comes]}.",
            arrived[AS_IT_COMES],
        ),
        cannot.proved(
            None if None in without else not any(without),
            "With a card that cannot gather "
            f"{_WHO_COPIED[without[0]]}; with one that cannot checksum "
            f"{_WHO_COPIED[without[1]]}. The call was sendfile all the same: zero copy is a "
            "property of file, call and card.",
            arrived[NO_GATHER],
            arrived[NO_CHECKSUM],
            source="net/ipv4/tcp.c, tcp_sendmsg_locked: pages are referred to only with NETIF_F_SG",
        ),
        left.proved(
            _not(as_it_comes),
            "When the packet reached a card that gathers, "
            f"{_WHO_COPIED[as_it_comes]}: fetching the bytes is then left to the card.",
            arrived[AS_IT_COMES],
        ),
    ]


_OF_THE_CARD = (
    ("Z2", "a card that gathers and checksums"),
    ("Z2", "a card that cannot"),
    ("D2", "what is left for the card"),
)
_WHO_COPIED: Mapping[bool | None, str] = {
    False: "nobody had copied",
    True: "somebody had copied",
    None: "there was no clear answer",
}


def answer_finding(answers: Cards, subject: Subject) -> Finding:
    """Z2 at the broker that was asked: what its answers were, card by card."""
    aspect = Aspect("Z2", subject, ANSWERS)
    if isinstance(answers, Unmeasured):
        return aspect.not_testable(f"No answer of {subject.words} was tried: {answers}")
    copied = {each.abilities: copied_with(answers, ANSWER, each.abilities) for each in answers}
    told = "; ".join(f"{card}, {_WHO_COPIED[known]}" for card, known in copied.items())
    return aspect.proved(
        None if None in copied.values() else not any(copied.values()),
        f"When its answer to a fetch left by a card {told}.",
        *[Quantity(f"card {each.abilities}", ARRIVED[each.verdict][0]) for each in answers],
    )


def _disk_finding(disk: Outcome | Unmeasured) -> Finding:
    """D2: a device that moves bytes while the processor is free."""
    aspect = Aspect("D2", KERNEL_HERE, "the principle, seen at the disk")
    if isinstance(disk, Unmeasured):
        return aspect.not_testable(f"Reading past the page cache was not measured: {disk}")
    return aspect.timed(
        asleep_while_it_came(disk),
        disk_words(disk),
        Quantity("CPU / wall, past the cache", share_of(disk, PAST)),
        Quantity("CPU / wall, warm", share_of(disk, WARM)),
        Quantity("interrupts past the cache", interrupts_of(disk, PAST)),
    )


def _loopback_finding(receivers: Mapping[str, Taken] | Unmeasured) -> Finding:
    """D2: and where there is no device."""
    aspect = Aspect("D2", KERNEL_HERE, "over the loopback")
    words = "The loopback has no device, so nothing moves by DMA"
    if isinstance(receivers, Unmeasured):
        return aspect.not_testable(f"{words}; the receiver's copy was not counted: {receivers}")
    touching = receivers["touching"]
    return aspect.counted(
        _spared(touching),
        f"{words}: {taken_in_words(touching)} by the receiver's recv.",
        Quantity("received", touching.received_bytes, "bytes"),
        Quantity("copied out to the receiver", touching.copied_bytes, "bytes"),
    )


def findings(
    run: Run,
    spliced: Spliced | Unmeasured,
    receivers: Mapping[str, Taken] | Unmeasured,
    subject: Subject,
    answers: Cards,
) -> list[Finding]:
    """All that this lab found."""
    return [
        *way_in_findings(run.copies, spliced),
        broker_finding(run.taken, subject),
        *card_findings(run.cards),
        answer_finding(answers, subject),
        _disk_finding(run.disk),
        _loopback_finding(receivers),
    ]


def invariants(run: Run, receivers: Mapping[str, Taken] | Unmeasured) -> dict[str, bool]:
    """What has to hold whatever the machine."""
    held = {"the control copied, whatever the card": True}
    if not isinstance(run.cards, Unmeasured):
        control = [copied_with(run.cards, "read_then_send", card) for card in CARDS]
        held["the control copied, whatever the card"] = all(control)
    if not isinstance(receivers, Unmeasured):
        held["whoever threw bytes away was copied none"] = receivers["dropping"].copied_bytes == 0
    return held


def _not(known: bool | None) -> bool | None:
    return None if known is None else not known


def _copies(known: bool) -> str:
    return "copies" if known else "copies nothing"


def _copied_words(copies: Copies, call: str) -> str:
    return f"{call} {_or_unclear(copies[call])}"


def _or_unclear(known: bool | None) -> str:
    return {True: "copies", False: "does not copy", None: "is not clear"}[known]
