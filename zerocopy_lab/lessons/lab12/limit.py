"""Where the limit lies now: who spends the processor's time while a real client sends and reads.

    kcat (its own code | kernel)  <-->  broker (its own code | kernel)

Four pieces, by process and mode: the client's own code, the broker's own code (Python in ours, Java
in a Kafka; the checksum is C), and the kernel on behalf of each. The client's are what the kernel
gives account of when it has ended (wait4(2)); the broker's are read by its pid, the sum to the
nanosecond and the split in ticks of 10 ms.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.classroom.evidence import Quantity
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.processor import processor_use
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.instruments.unavailable import Unmeasured, or_unmeasured
from zerocopy_lab.lessons.lab12.orders import events_of
from zerocopy_lab.lessons.lab12.raced_topics import SMALL
from zerocopy_lab.lessons.lab12.rungs import DIRECTIONS, Direction
from zerocopy_lab.lessons.lab12.worth import VERB
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.passing_topic import a_topic
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.verdict.answer import in_a_row

_ROUNDS: Final = 3
CLIENT, BROKER, KERNEL = "the client's own code", "the broker's own code", "the kernel"
PIECES: Final = (CLIENT, BROKER, KERNEL)


class Spent(NamedTuple):
    """Processor seconds for a million messages, and how long that took."""

    wall_s: float
    client_user_s: float
    client_system_s: float
    broker_user_s: float
    broker_system_s: float

    def of(self, piece: str) -> float:
        """One of PIECES."""
        kernel_s = self.client_system_s + self.broker_system_s
        return {CLIENT: self.client_user_s, BROKER: self.broker_user_s, KERNEL: kernel_s}[piece]


Profile = dict[Direction, list[Spent]]


@or_unmeasured()
def profile(broker: AnyBroker, lab: Lab) -> Profile | Unmeasured:
    """Kcat sends and reads messages of 100 bytes, round by round; or why nobody can tell."""
    if shutil.which("kcat") is None:
        return Unmeasured("kcat is not installed, and a client in Python would be measured as such")
    pid = broker.pid
    count = 200_000 if lab.fast else 1_000_000
    found: Profile = {direction: [] for direction in DIRECTIONS}
    with ScratchDirectory("limit") as scratch:
        lines = scratch.path / "lines"
        lines.write_bytes(b"\n".join(events_of(SMALL, count)) + b"\n")
        warm_ups = 3 if broker.kind == "kafka" else 0
        for number in range(warm_ups + _ROUNDS):
            with a_topic(broker) as topic:
                for direction in DIRECTIONS:
                    words = _words(broker.bootstrap, topic, direction, lines, count)
                    spent = _run(words, pid, count)
                    if number >= warm_ups:
                        found[direction].append(spent)
    return found


def _words(bootstrap: str, topic: str, direction: Direction, lines: Path, count: int) -> list[str]:
    words = ["kcat", "-b", bootstrap, "-t", topic, "-q"]
    if direction == "produce":
        return [*words, "-P", "-l", str(lines)]
    return [*words, "-C", "-o", "beginning", "-c", str(count)]


def _run(words: list[str], broker_pid: int, count: int) -> Spent:
    """Raises CalledProcessError when kcat fails."""
    before, began = processor_use(broker_pid), time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, client = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    broker = processor_use(broker_pid).since(before)
    ticks_s = broker.user_s + broker.system_s
    user = broker.user_s / ticks_s if ticks_s else 0.5
    figures = (wall_s, client.ru_utime, client.ru_stime, user * broker.cpu_s)
    each = [value * 1e6 / count for value in (*figures, (1 - user) * broker.cpu_s)]
    return Spent(*each)


def most(found: Profile | Unmeasured) -> str | None:
    """The piece that took the most in every round, both directions together; None otherwise."""
    said = [] if isinstance(found, Unmeasured) else _said(found)
    return said[0] if len(set(said)) == 1 else None


def _said(found: Profile) -> list[str]:
    """The piece that took the most, round by round."""
    rounds = zip(*found.values(), strict=True)
    return [max(PIECES, key=lambda piece: sum(one.of(piece) for one in ones)) for ones in rounds]


def why_unclear(found: Profile | Unmeasured) -> str:
    """Where `most` tells nothing; "" where it does."""
    if isinstance(found, Unmeasured):
        return str(found)
    if most(found):
        return ""
    said = _said(found)
    told = [f"{piece} in {count}" for piece, count in Counter(said).most_common()]
    return f"The rounds do not agree: it was {in_a_row(told)} of {len(said)}."


def show_profile(found: Profile | Unmeasured) -> None:
    """A row for each direction."""
    if isinstance(found, Unmeasured):
        print(f"Not measured: {found}")
        return
    head = ["a million messages", "took", *PIECES, "client busy", "broker busy"]
    rows = []
    for direction, rounds in found.items():
        pieces = [f"{_spread(rounds, piece).median:.2g} s" for piece in PIECES]
        busy = [f"{each:.0%}" for each in _busy(rounds)]
        took = f"{spread(s.wall_s for s in rounds).median:.2g} s"
        rows.append([VERB[direction], took, *pieces, *busy])
    show_table(head, rows)


def limit_words(found: Profile | Unmeasured) -> str:
    """Who is nearer to a whole processor: there the limit lies."""
    if isinstance(found, Unmeasured):
        return f"Not measured: {found}"
    told = []
    for direction, rounds in found.items():
        client, broker = _busy(rounds)
        nearer = "the client" if client > broker else "the broker"
        told.append(
            f"{VERB[direction]}, {nearer} is the nearer to its limit (client {client:.0%} of a "
            f"processor, broker {broker:.0%})"
        )
    return f"{'; '.join(told)}.".capitalize()


def _busy(rounds: list[Spent]) -> tuple[float, float]:
    """What part of a processor client and broker took; medians."""
    client = spread((s.client_user_s + s.client_system_s) / s.wall_s for s in rounds)
    broker = spread((s.broker_user_s + s.broker_system_s) / s.wall_s for s in rounds)
    return client.median, broker.median


def _spread(rounds: list[Spent], piece: str) -> Spread:
    return spread(one.of(piece) for one in rounds)


def figures(found: Profile | Unmeasured) -> list[Quantity]:
    """For the conclusion: they belong to no claim."""
    if isinstance(found, Unmeasured):
        return []
    return [
        Quantity(f"{VERB[direction]}, {piece}", _spread(rounds, piece), "s a million")
        for direction, rounds in found.items()
        for piece in PIECES
    ]
