"""What the broker costs, side by side with the least that could do the same and with a real Kafka.

    python -m ci.bench [SECTION ...] [--rounds N]
    python -m ci.bench --publish            all of it, into data/bench.json and the README
    python -m ci.bench --against FILE       held against figures that were published
    python -m ci.bench --texts              the texts anew, of the file that is there

| section     | compares                                                                 | with    |
|-------------|--------------------------------------------------------------------------|---------|
| `kafka`     | messages, fetches, small produces; of one client and of many             | Kafka   |
| `latency`   | end to end, at 1,000, 10,000 and 100,000 messages a second               | Kafka   |
| `late`      | what readers of old data do to a tail reader, at a slow device           | Kafka   |
| `fan_out`   | one producer, and 1 to 64 consumers of the same data beside it           | Kafka   |
| `footprint` | start, memory, starting again after kill -9                              | Kafka   |
| `partitions`| making, memory, idling, opening: 100, 1,000 and 10,000 partitions        | Kafka   |
| `growth`    | CPU of a request over the length of the log and the connections          | Kafka   |
| `fetch`     | fetches of 4 KiB to 1 MiB                                                | a loop  |
| `produce`   | produces of 16 KiB to 1 MiB                                              | a loop  |

Rounds of the two take turns in one run, because machines differ and one machine differs from minute
to minute. Medians with their range, and the conditions; goals are printed beside them and gate
nothing. Without Java there is nothing but ours.

Programs of their own: `ci.bench.transfers` (each way from file to socket), `.fetch_sessions` (what
they would save), `.false_verdicts` (how often one is told), `.flame_graph` (a profile, drawn).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ci.bench.agreement import agreement
from ci.bench.beside_kafka import bench_kafka
from ci.bench.conditions import conditions
from ci.bench.fan_out import bench_fan_out
from ci.bench.figures import Figures, load
from ci.bench.footprint import bench_footprint
from ci.bench.growth import bench_growth
from ci.bench.late_readers import bench_late_readers
from ci.bench.latency import bench_latency
from ci.bench.loops import bench_fetch, bench_produce
from ci.bench.pages import write_texts
from ci.bench.partitions import bench_partitions
from ci.bench.published import FILE, publish

ROUNDS = 5

SECTIONS: dict[str, Callable[[Path, Figures, int], None]] = {
    "kafka": bench_kafka,
    "latency": bench_latency,
    "late": bench_late_readers,
    "fan_out": bench_fan_out,
    "footprint": bench_footprint,
    "partitions": bench_partitions,
    "growth": bench_growth,
    "fetch": bench_fetch,
    "produce": bench_produce,
}


def main() -> None:
    """Run the sections that were asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="that count (%(default)s)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the figures as JSON")
    parser.add_argument("--publish", action="store_true", help="data/bench.json and the README")
    parser.add_argument("--against", type=Path, metavar="FILE", help="say which rows disagree")
    parser.add_argument("--texts", action="store_true", help="measure nothing, write the texts")
    asked = parser.parse_args()
    if asked.texts:
        return write_texts(load(FILE))
    chosen = asked.sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; choose of {', '.join(SECTIONS)}")
    if asked.rounds < 1:
        parser.error("--rounds: at least 1")
    workspace = Path(tempfile.mkdtemp(prefix="zerocopy-lab-bench-"))
    try:
        if asked.publish:
            publish(chosen, asked.rounds, workspace)
        else:
            figures = run(chosen, asked.rounds, workspace)
            if asked.save:
                figures.save(asked.save)
            if asked.against:
                print(agreement([figures], load(asked.against)))
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def run(sections: list[str], rounds: int, workspace: Path) -> Figures:
    """Take the figures of these sections here and now."""
    figures = Figures(conditions(workspace))
    for name, told in figures.conditions.items():
        print(f"{name}: {told}")
    print(f"contestants take turns; medians of {rounds} rounds and their range")
    for name in sections:
        place = workspace / name
        place.mkdir()
        began_s = time.perf_counter()
        SECTIONS[name](place, figures, rounds)
        print(f"  ({name}: {time.perf_counter() - began_s:.0f} s)")
        shutil.rmtree(place)
    return figures


if __name__ == "__main__":
    main()
