"""Lab 09, the ledger: every hop of a byte on produce and on fetch, as this run has seen it.

`Run` is what the lab found out; `journey` makes hops of it. A hop is tagged PROVED or COUNTED only
where this run did so: what it could not see is CITED, and what a card does always is.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab09.devices import AS_IT_COMES, NO_GATHER, Cards, copied_with
from zerocopy_lab.lessons.lab09.receiving import Copies, Taken
from zerocopy_lab.measuring.alias_test import alias_test
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.measuring.reading_from_disk import COLD
from zerocopy_lab.pictures.copy_ledger import BytePath, Hop, Mover, copy_ledger
from zerocopy_lab.pictures.theme import Origin, Picture

DISK, CACHE, BUFFER, SOCKET, CARD = STATIONS = (
    "disk", "page cache", "broker's buffer", "socket buffers", "card",
)  # fmt: skip
STRATEGIES: Final = ("sendfile", "mmap_then_send", "read_then_send")
MOST_HOPS: Final = 4

_NOT_SEEN: Final = "CITED"


class Way(NamedTuple):
    """What decides about a journey."""

    direction: str
    strategy: str
    card: str
    is_cached: bool


_SHOWN: Final = {
    "produce": Way("produce", "", AS_IT_COMES, True),
    "fetch, read_then_send": Way("fetch", "read_then_send", AS_IT_COMES, True),
    "fetch, sendfile": Way("fetch", "sendfile", AS_IT_COMES, True),
    "fetch, sendfile, not cached": Way("fetch", "sendfile", AS_IT_COMES, False),
    "fetch, sendfile, card that cannot gather": Way("fetch", "sendfile", NO_GATHER, True),
}


class Run(NamedTuple):
    """What this run of the lab found out."""

    copies: Copies
    taken: Taken | Unmeasured
    cards: Cards
    disk: Outcome | Unmeasured
    mapped_copies: bool | None
    """Does sending from a memory map copy?"""


def does_sending_from_a_map_copy() -> bool | None:
    """By the alias test; None where it gives no clear answer."""
    try:
        return {"copied": True, "alias": False}.get(alias_test("mmap_then_send").verdict)
    except ValueError:  # not on this system
        return None


def journey(run: Run, way: Way) -> BytePath:
    """The hops of a byte inside the broker's machine."""
    if way.direction == "produce":
        return BytePath("produce: recv and write", _produce(run))
    first = () if way.is_cached else (Hop(DISK, CACHE, "DMA", _disk_tag(run)),)
    last = Hop(SOCKET, CARD, "DMA", _NOT_SEEN)
    where = "cached" if way.is_cached else "not cached"
    name = f"fetch: {way.strategy}, {where}, card {way.card}"
    return BytePath(name, (*first, *_through_memory(run, way.strategy, way.card), last))


def _produce(run: Run) -> tuple[Hop, ...]:
    counted = isinstance(run.taken, Taken) and run.taken.times >= 1
    received = Hop(SOCKET, BUFFER, "CPU", "COUNTED") if counted else _call(run, "recv")
    return (
        Hop(CARD, SOCKET, "DMA", _NOT_SEEN),
        received,
        _call(run, "pwrite"),
        Hop(CACHE, DISK, "DMA", _NOT_SEEN, "later"),
    )


def _through_memory(run: Run, strategy: str, card: str) -> tuple[Hop, ...]:
    if strategy == "read_then_send":
        return _call(run, "pread"), _call(run, "send")
    if strategy == "mmap_then_send":
        return (_hop(CACHE, SOCKET, run.mapped_copies, by_the_book="CPU"),)
    return (
        _hop(CACHE, SOCKET, copied_with(run.cards, "sendfile", card), by_the_book=_expected(card)),
    )


def _expected(card: str) -> Mover:
    return "nobody" if card == AS_IT_COMES else "CPU"


def _call(run: Run, call: str) -> Hop:
    start, end = {
        "recv": (SOCKET, BUFFER),
        "pwrite": (BUFFER, CACHE),
        "pread": (CACHE, BUFFER),
        "send": (BUFFER, SOCKET),
    }[call]
    return _hop(start, end, run.copies.get(call), by_the_book="CPU", remark=call)


def _hop(start: str, end: str, copied: bool | None, *, by_the_book: Mover, remark: str = "") -> Hop:
    """PROVED where this run saw it; else what the kernel's source says, CITED."""
    if copied is None:
        return Hop(start, end, by_the_book, _NOT_SEEN, remark)
    return Hop(start, end, "CPU" if copied else "nobody", "PROVED", remark)


def _disk_tag(run: Run) -> str:
    """Interrupts counted while the file came from the disk are a trace of its DMA."""
    if isinstance(run.disk, Unmeasured):
        return _NOT_SEEN
    samples = [each.figures for each in run.disk.samples if each.contestant == COLD]
    return "COUNTED" if all(figures.get("interrupts", 0) > 0 for figures in samples) else "TIMED"


# -- shown -----------------------------------------------------------------------------------------


def ledger_picture(run: Run) -> Picture:
    """The journeys that matter, one under the other."""
    paths = [BytePath(name, journey(run, way).hops) for name, way in _SHOWN.items()]
    title = "Who moves each byte, and how this run knows"
    return copy_ledger(paths, stations=STATIONS, origin=_origin(), title=title)


def ledger_words(run: Run) -> str:
    """What that picture says."""
    told = []
    for name, way in _SHOWN.items():
        path = journey(run, way)
        told.append(f"{name}: {path.moved_by('CPU')} by the CPU, {path.moved_by('DMA')} by DMA")
    return (
        f"Moves of each byte inside the broker's machine. {'; '.join(told)}. A dashed arrow is a "
        "reference that is passed on: nobody moved a byte. Under each hop is how this run knows; "
        "CITED is what it could not see."
    )


SWEEP: Final[tuple[dict[str, Any], ...]] = (
    {"path": "produce", "strategy": "sendfile", "card": AS_IT_COMES, "cached": "yes", "hops": 3},
    {"path": "fetch", "strategy": "mmap_then_send", "card": NO_GATHER, "cached": "no", "hops": 3},
)
"""For a static reader: on produce before the disk, and a fetch of what is not cached."""


class Journeys:
    """The widget's pure functions over one run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def draw(self, path: str, strategy: str, card: str, cached: str, hops: int) -> Picture:
        """The journey, its first `hops` hops lit."""
        chosen = self._chosen(path, strategy, card, cached)
        return copy_ledger([chosen], stations=STATIONS, origin=_origin(), lit=hops)

    def words(self, path: str, strategy: str, card: str, cached: str, hops: int) -> str:
        """Where the byte is now, who brought it there, and the tally so far."""
        chosen = self._chosen(path, strategy, card, cached)
        passed = chosen.hops[:hops]
        if not passed:
            return f"{chosen.name}. The byte is in the {chosen.hops[0].start}."
        here, so_far = passed[-1], BytePath("", passed)
        return (
            f"{chosen.name}. Hop {len(passed)} of {len(chosen.hops)}: from {here.start} to "
            f"{here.end}, {_WHO[here.mover]} ({here.evidence}). So far {so_far.moved_by('CPU')} "
            f"by the CPU, {so_far.moved_by('DMA')} by DMA."
        )

    def _chosen(self, path: str, strategy: str, card: str, cached: str) -> BytePath:
        return journey(self._run, Way(path, strategy, card, cached == "yes"))


_WHO: Final = {
    "CPU": "copied by the CPU",
    "DMA": "moved by the device",
    "nobody": "a reference only, nobody moved it",
}


def _origin() -> Origin:
    return Origin("as each hop says", describe_host().text())
