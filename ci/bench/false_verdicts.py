"""How often are verdicts wrong on this machine? Experiments are put to the test themselves.

    python -m ci.bench.false_verdicts                         identical contestants, 200 comparisons
    python -m ci.bench.false_verdicts --noise                 the same beside a noisy neighbour
    python -m ci.bench.false_verdicts --more-work 1.2         one truly has 20 % more to do

Each comparison is a whole experiment of its own (9 rounds, new processes, shuffled). The work is
the data path in small: read a piece of a file from the page cache, send it into a socket, receive
it. The neighbour copies memory without a pause on the other processor.

Exit code 1: identical contestants were called different in more than 2 % of the comparisons, or
more work was missed (or called cheaper) in more than 5 %. About 2 s per comparison.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator

from zerocopy_lab.instruments.host import usable_cpus
from zerocopy_lab.instruments.spread import spread
from zerocopy_lab.measuring.experiment import Contestant, compare, run_experiment
from zerocopy_lab.measuring.stopwatch import Stopwatch

PIECE_BYTES = 64 << 10
PIECES = 500
MOST_FALSE = 0.02
FEWEST_FOUND = 0.95

NEIGHBOUR = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[1])})
source, target = bytearray(8 << 20), memoryview(bytearray(8 << 20))
print("ready", flush=True)
while True:
    target[:] = source
"""


def move_pieces(stopwatch: Stopwatch, pieces: int) -> None:
    """The contestants' work: file, socket, and out again, in one thread."""
    one, other = socket.socketpair()
    into = bytearray(PIECE_BYTES)
    with tempfile.TemporaryFile() as file, one, other:
        file.write(os.urandom(PIECE_BYTES))
        file.flush()
        with stopwatch:
            for _ in range(pieces):
                one.sendall(os.pread(file.fileno(), PIECE_BYTES, 0))
                other.recv_into(into, PIECE_BYTES, socket.MSG_WAITALL)


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """A process that keeps the first processor and the memory busy; contestants use the last."""
    command = [sys.executable, "-c", NEIGHBOUR, str(usable_cpus()[0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def count_verdicts(
    comparisons: int, rounds: int, seed: int, more_work: float, deadline_s: float
) -> Counter[str]:
    """Verdicts on `a` against `b`, which does `more_work` times as much; fewer at the deadline."""
    # This file, by its name: another process cannot find what is in __main__.
    from ci.bench import false_verdicts

    work = false_verdicts.move_pieces
    contestants = [
        Contestant("a", work, {"pieces": PIECES}),
        Contestant("b", work, {"pieces": round(PIECES * more_work)}),
    ]
    verdicts: Counter[str] = Counter()
    ratios = []
    for number in range(comparisons):
        if time.monotonic() > deadline_s:
            break
        outcome = run_experiment("a against b", contestants, repeats=rounds, seed=seed + number)
        found = compare(outcome, "a", "b", "cpu_s")
        verdicts[found.verdict] += 1
        ratios.append(found.ratio.median)
        if found.verdict != ("cheaper" if more_work > 1 else "inconclusive"):
            print(f"  seed {seed + number}: {found.text()}", flush=True)
    print(f"median ratios: {spread(ratios).text()}")
    return verdicts


def main() -> int:
    """Count, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--more-work", type=float, default=1.0, metavar="FACTOR")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin none after so long")
    arguments = parser.parse_args()
    with neighbour() if arguments.noise else contextlib.nullcontext():
        verdicts = count_verdicts(
            arguments.comparisons,
            arguments.rounds,
            arguments.seed,
            arguments.more_work,
            time.monotonic() + arguments.minutes * 60,
        )
    place = "beside a noisy neighbour" if arguments.noise else "as quiet as this machine is"
    print(f"{arguments.more_work:g} times the work, {place}, {arguments.rounds} rounds: ", end="")
    print(f"{dict(verdicts)} of {verdicts.total()}")
    if arguments.more_work > 1:
        return int(verdicts["cheaper"] < FEWEST_FOUND * verdicts.total())
    wrong = verdicts["cheaper"] + verdicts["dearer"]
    return int(wrong > MOST_FALSE * verdicts.total())


if __name__ == "__main__":
    sys.exit(main())
