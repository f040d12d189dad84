"""The exercises of lab 09: a ledger of one's own, what an hour costs, what brings the copy back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed, tried
from zerocopy_lab.classroom.lab import Lab

_STATIONS: Final = {"disk", "page cache", "broker's buffer", "socket buffers", "card"}
_MOVERS: Final = {"CPU", "DMA", "nobody"}
_CALLS: Final = ("sendfile", "mmap_then_send", "read_then_send")

# Copies by the CPU on a fetch: (call, the card can) -> how many. By hand, not by the lab's ledger.
_CPU_MOVES: Final = {
    ("sendfile", True): 0,
    ("sendfile", False): 1,
    ("mmap_then_send", True): 1,
    ("mmap_then_send", False): 1,
    ("read_then_send", True): 2,
    ("read_then_send", False): 2,
}


def all_paths() -> list[dict[str, Any]]:
    """Every path that the ledger is asked about."""
    fetches = [
        {"direction": "fetch", "call": call, "card_gathers": gathers, "cached": cached}
        for call, gathers, cached in itertools.product(_CALLS, (True, False), (True, False))
    ]
    return [{"direction": "produce", "call": "recv and write"}, *fetches]


def _grade_ledger(answer: Any, lab: Lab) -> Grade:
    paths = all_paths()
    lab.random("order of the paths").shuffle(paths)
    return tried(
        answer,
        "ledger(path) -> [(from, to, mover), ...]",
        (((path,), None) for path in paths),
        lambda hops, _, path: (wrong := _wrong_hops(hops, path)) and f"{path}: {wrong}",
        f"{len(paths)} paths, each hop in its place, the moves as they were counted.",
    )


def _wrong_hops(hops: Any, path: dict[str, Any]) -> str | None:
    if problem := _no_ledger(hops) or _no_journey(hops, path):
        return problem
    moves = [mover for _, _, mover in hops]
    cpu = 2 if path["direction"] == "produce" else _CPU_MOVES[path["call"], path["card_gathers"]]
    if moves.count("CPU") != cpu:
        return _cpu_hint(path, moves.count("CPU"))
    dma = 2 if path["direction"] == "produce" or not path["cached"] else 1
    if moves.count("DMA") != dma:
        return (
            f"you have {moves.count('DMA')} moves by DMA. Two devices can take part, the disk and "
            "the card: which of them do here?"
        )
    return None


def _no_ledger(hops: Any) -> str | None:
    if not isinstance(hops, list | tuple) or not hops:
        return "a ledger is a list of hops, (from, to, mover)."
    for hop in hops:
        if not isinstance(hop, list | tuple) or len(hop) != 3:
            return f"{hop!r} is no hop: (from, to, mover)."
        if unknown := {*hop[:2]} - _STATIONS:
            return f"no station is called {sorted(map(str, unknown))[0]!r}."
        if hop[2] not in _MOVERS:
            return f"{hop[2]!r} moves nothing: 'CPU', 'DMA' or 'nobody'."
    return None


def _no_journey(hops: Any, path: Mapping[str, Any]) -> str | None:
    """Does each hop begin where the one before ended, and the whole where it should?"""
    for (_, end, _), (start, _, _) in itertools.pairwise(hops):
        if end != start:
            return f"one hop ends in the {end}, the next begins in the {start}."
    first, last = hops[0][0], hops[-1][1]
    if path["direction"] == "produce":
        wanted = ("card", "disk")
    else:
        wanted = ("page cache" if path["cached"] else "disk", "card")
    if (first, last) != wanted:
        return f"this journey goes from the {wanted[0]} to the {wanted[1]}."
    return None


def _cpu_hint(path: Mapping[str, Any], said: int) -> str:
    if path["direction"] == "produce":
        return (
            f"you have {said} moves by the CPU. Which of recv and write copied, in the first cell?"
        )
    if path["call"] == "sendfile" and not path["card_gathers"]:
        return f"you have {said} moves by the CPU. What arrived over the card that cannot gather?"
    if path["call"] == "mmap_then_send":
        return f"you have {said} moves by the CPU. A mapping spares one of the two, which one?"
    return f"you have {said} moves by the CPU. Count the calls that copied on this way."


class Hour(NamedTuple):
    """What is produced and fetched in an hour."""

    produced_gb: int
    consumers: int
    cards_that_cannot: int
    """So many of the consumers are reached over a card that cannot gather."""


def busy_hour(lab: Lab) -> Hour:
    """A learner's own hour for exercise 09.2."""
    draw = lab.random("busy hour")
    consumers = draw.randrange(3, 9)
    return Hour(draw.randrange(20, 400), consumers, draw.randrange(1, consumers))


def _grade_hour(answer: Any, lab: Lab) -> Grade:
    hour = busy_hour(lab)
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return failed("Answer with a number of GB.")
    if abs(answer - hour.produced_gb * (2 + hour.cards_that_cannot)) < 0.5:
        return passed("Two copies on the way in, whoever reads; on the way out it is the cards.")
    if abs(answer - hour.produced_gb * hour.cards_that_cannot) < 0.5:
        return failed("That is the way out. How did the bytes get in?")
    if abs(answer - hour.produced_gb * (2 + hour.consumers)) < 0.5:
        return failed("Does sendfile copy for a consumer that is reached over a card that gathers?")
    if abs(answer - 2 * hour.produced_gb) < 0.5:
        return failed("That is the way in. Which consumers cost a copy on the way out?")
    return failed("Copies in for each byte produced, plus copies out for each consumer: how many?")


_BACK: Final = {"scatter-gather", "checksum"}
_ALL: Final = _BACK | {"segmentation", "generic segmentation"}


def _grade_back(answer: Any, lab: Lab) -> Grade:
    if not isinstance(answer, set | list | tuple):
        return failed('Answer with a set of names, for example {"segmentation"}.')
    chosen = {str(each).strip().lower() for each in answer}
    if unknown := chosen - _ALL:
        return failed(f"{sorted(unknown)[0]!r} is none of the four.")
    if chosen == _BACK:
        return passed(
            "To cut a packet in software no byte of it is touched; to sum it up, all are."
        )
    if chosen - _BACK:
        return failed(
            f"Not {sorted(chosen - _BACK)[0]}: switch it off in the cell above. Cutting makes new "
            "headers, the pages stay where they are."
        )
    return failed(
        "One is missing: which ability lets the kernel leave every byte unread?"
        if "scatter-gather" in chosen
        else "One is missing: a packet of header and page lies in two places."
    )


EXERCISES = (
    Exercise(
        "09.1",
        "Write the ledger: who moves a byte, hop by hop?",
        _grade_ledger,
        (
            "Begin with produce: four hops, from the card to the disk. Then fetch with "
            "read_then_send, the same way back.",
            "sendfile goes from the page cache to the socket buffers: by nobody where the card can "
            "gather, else by the CPU. What is not cached comes from the disk first.",
            "hops = [] if path['cached'] else [('disk', 'page cache', 'DMA')]; then the hops of "
            "the call; then ('socket buffers', 'card', 'DMA').",
        ),
        takes_code=True,
    ),
    Exercise(
        "09.2",
        "How many GB does the processor copy in this hour?",
        _grade_hour,
        (
            "The way in and the way out are two sums.",
            "In: two copies of all that is produced. Out: one copy for each consumer over a card "
            "that cannot gather, none for the others.",
            "produced_gb * (2 + cards_that_cannot)",
        ),
    ),
    Exercise(
        "09.3",
        "Which ability of a card, switched off, brings the copy back?",
        _grade_back,
        (
            "The cell above takes any of the four: try each.",
            "Four runs: put the name into two_hosts({...: False}) and look whether old or new "
            "arrives.",
            "Two of them only say who cuts large packets into small ones: pages stay pages.",
        ),
    ),
)
